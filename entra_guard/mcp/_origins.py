"""The web pages that may call an MCP server from a browser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entra_guard.errors import ConfigurationError
from entra_guard.mcp._metadata import is_usable

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# What a page must read: where to sign in, and its session.
_EXPOSED: Final = ("WWW-Authenticate", "Mcp-Session-Id")


def origins_of(origins: Iterable[str]) -> tuple[str, ...]:
    """Return the origins of web pages.

    Raises:
        ConfigurationError: One is not an origin: scheme and host, without a path.
    """
    if not isinstance(origins, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"origins must be a list of origins of web pages, got {origins!r}")
    found = (origins,) if isinstance(origins, str) else tuple(origins)
    for origin in found:
        if not is_usable(origin) or urlsplit(origin).path:
            raise ConfigurationError(
                "origins must be origins of web pages as browsers send them, such as "
                f"'https://inspector.example', without a path, got {origin!r}"
            )
    return found


def with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Return an application that responds to preflights of these pages, and lets them read its responses."""
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415

    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=_EXPOSED,
    )
