"""Redirect URIs: the platform they are registered for, and responses that redirect to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode

from entra_guard.emulator._http.messages import MAX_PORT, Response, split_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.entries import AppRegistration

Platform = Literal["web", "spa", "public"]
MODES: Final[tuple[str, ...]] = ("query", "fragment", "form_post")
# Stricter than RFC 3986. A browser (WHATWG URL standard) would send http://evil.example\@localhost to
# evil.example, so backslashes, user names, white space and fragments never match.
_LOCAL_URL: Final = re.compile(
    r"http://(localhost|127\.0\.0\.1)(?::([0-9]{1,5}))?(/[^\s\\#?]*)?(\?[^\s\\#]*)?", re.ASCII | re.IGNORECASE
)


def platform_of(app: AppRegistration, uri: str) -> Platform | None:
    """Return the platform a redirect URI is registered for; None if it is not registered."""
    if any(_matches(known, uri) for known in app.spa_redirect_uris):
        return "spa"
    if any(_matches(known, uri) for known in app.redirect_uris):
        return "web"
    return "public" if any(_matches(known, uri) for known in app.public_redirect_uris) else None


def only_uri(app: AppRegistration) -> str:
    """Return the redirect URI of an app that has exactly one; otherwise an empty string."""
    uris = (*app.redirect_uris, *app.spa_redirect_uris, *app.public_redirect_uris)
    return uris[0] if len(uris) == 1 else ""


def _matches(known: str, uri: str) -> bool:
    """Compare exactly; for localhost, ignore the port, which apps choose at run time (RFC 8252 7.3)."""
    return known == uri or (_local_parts(uri) is not None and _local_parts(known) == _local_parts(uri))


def _local_parts(uri: str) -> tuple[str, str, str] | None:
    """Return host, path and query of an http URL on this machine; None for any other URL."""
    match = _LOCAL_URL.fullmatch(uri)
    if match is None or int(match[2] or 0) > MAX_PORT:
        return None
    return match[1].lower(), match[3] or "/", match[4] or ""


def is_own_page(app: AppRegistration, origin: str) -> bool:
    """Return whether an origin belongs to the app's pages, which may redeem codes in a browser."""
    return any(
        _matches(f"{known.scheme}://{known.netloc}", origin)
        for known in map(split_url, app.spa_redirect_uris)
    )


def redirect(uri: str, mode: str, fields: Mapping[str, str]) -> Response:
    """Return a redirect with the fields in the query or the fragment of the URI."""
    mark = "#" if mode == "fragment" else "&" if split_url(uri).query else "?"
    location = f"{uri}{mark}{urlencode(fields)}" if fields else uri
    return Response(302, b"", (("Location", location), ("Cache-Control", "no-store")))
