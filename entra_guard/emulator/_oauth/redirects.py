"""Redirect URIs: whether one is registered, on which platform, and how an answer is carried to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode

from entra_guard.emulator._http.messages import Response, split_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.directory import AppRegistration

Platform = Literal["web", "spa", "public"]
ResponseMode = Literal["query", "fragment", "form_post"]
MODES: Final[tuple[str, ...]] = ("query", "fragment", "form_post")
_LOCAL: Final = frozenset({"localhost", "127.0.0.1"})


def platform_of(app: AppRegistration, uri: str) -> Platform | None:
    """The platform a redirect URI is registered for; nothing if it is not registered."""
    if any(_same(known, uri) for known in app.spa_redirect_uris):
        return "spa"
    if any(_same(known, uri) for known in app.redirect_uris):
        return "web"
    return "public" if any(_same(known, uri) for known in app.public_redirect_uris) else None


def only_uri(app: AppRegistration) -> str:
    """The one redirect URI of an app that has one; nothing otherwise."""
    uris = (*app.redirect_uris, *app.spa_redirect_uris, *app.public_redirect_uris)
    return uris[0] if len(uris) == 1 else ""


def _same(known: str, given: str) -> bool:
    """Equal to the letter; on localhost whatever the port, as an app takes any free one (RFC 8252 7.3)."""
    if known == given:
        return True
    a, b = split_url(known), split_url(given)
    local = a.scheme == b.scheme == "http" and a.hostname == b.hostname and a.hostname in _LOCAL
    return local and (a.path or "/", a.query) == (b.path or "/", b.query)


def is_own_page(app: AppRegistration, origin: str) -> bool:
    """Whether an origin is that of one of the app's pages, which may redeem codes from a browser."""
    return any(
        _same(f"{known.scheme}://{known.netloc}", origin) for known in map(split_url, app.spa_redirect_uris)
    )


def redirect(uri: str, mode: str, fields: Mapping[str, str]) -> Response:
    """An answer carried in the query or the fragment of a redirect URI."""
    mark = "#" if mode == "fragment" else "&" if split_url(uri).query else "?"
    return Response(
        302, b"", (("Location", f"{uri}{mark}{urlencode(fields)}"), ("Cache-Control", "no-store"))
    )
