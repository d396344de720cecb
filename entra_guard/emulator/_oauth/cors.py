"""Which responses pages of other origins may read: public documents all, tokens only an app's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.messages import Request, Response, TooManyFieldsError, parse_basic
from entra_guard.emulator._oauth.redirects import is_own_page

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store

_PUBLIC: Final = frozenset({"configuration", "keys", "instance"})


def with_cors(store: Store, request: Request, target: str, response: Response) -> Response:
    """Return the response with the headers that let the requesting page read it, if it may."""
    origin = request.header("origin")
    # A preflight's response has its headers already; browsers refuse duplicates.
    if origin is None or request.method == "OPTIONS":
        return response
    if target in _PUBLIC:
        return response.with_headers(("Access-Control-Allow-Origin", "*"))
    if target == "token" and _is_page_of_client(store, request, origin):
        return response.with_headers(("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
    return response


def preflight_response(store: Store, request: Request) -> Response:
    """Respond to a CORS preflight of the token endpoint."""
    if request.header("access-control-request-method") is None:
        return Response(405)
    origin = request.header("origin") or ""
    if not _is_registered_page(store, origin):
        return Response(403)
    headers = request.header("access-control-request-headers") or ""
    return Response(
        204,
        b"",
        (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Methods", "POST, OPTIONS"),
            ("Access-Control-Allow-Headers", headers),
            ("Access-Control-Max-Age", "600"),
            ("Vary", "Origin"),
        ),
    )


def _is_page_of_client(store: Store, request: Request, origin: str) -> bool:
    """Return whether the origin belongs to the pages of the client that the request names.

    A page must not read the tokens that it gets with another app's secret. Without a known client there is
    only an error to read, and any registered page may.
    """
    try:
        named = request.form().get("client_id", "")
    except TooManyFieldsError:
        named = ""
    basic = parse_basic(request.header("authorization") or "")
    client = store.directory.apps.get((named or (basic[0] if basic else "")).lower())
    return _is_registered_page(store, origin) if client is None else is_own_page(client, origin)


def _is_registered_page(store: Store, origin: str) -> bool:
    """Return whether the origin belongs to the single-page platform of any app."""
    return any(is_own_page(app, origin) for app in store.directory.apps.values())
