"""Which answers pages of other origins may read: public documents all, tokens only an app's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._http.messages import Request, Response
from entra_guard.emulator._oauth.redirects import is_own_page

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store

_PUBLIC = frozenset({"configuration", "keys", "instance"})


def with_cors(store: Store, request: Request, target: str, response: Response) -> Response:
    """The response with the headers that let the asking page read it, if it may."""
    origin = request.header("origin")
    if origin is None:
        return response
    if target in _PUBLIC:
        return response.adding(("Access-Control-Allow-Origin", "*"))
    if target == "token" and _is_own_page(store, origin):
        return response.adding(("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
    return response


def preflight(store: Store, request: Request) -> Response | None:
    """The answer to a CORS preflight; nothing if this is none."""
    if request.method != "OPTIONS" or request.header("access-control-request-method") is None:
        return None
    origin = request.header("origin") or ""
    if not _is_own_page(store, origin):
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


def _is_own_page(store: Store, origin: str) -> bool:
    """Whether the origin is that of some app's single-page platform."""
    return any(is_own_page(app, origin) for app in store.directory.apps.values())
