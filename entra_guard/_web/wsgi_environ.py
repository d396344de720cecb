"""Read a request from a WSGI environ or Django's META."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Environ = Mapping[str, Any]


def authorization(environ: Environ) -> list[bytes]:
    """Return the Authorization headers; servers join several with a comma (RFC 9110 section 5.3)."""
    value: str | None = environ.get("HTTP_AUTHORIZATION")
    return [] if value is None else [value.encode("latin-1", "replace")]


def routed_path(environ: Environ) -> str:
    """Return the path below the mount point, decoded as UTF-8 as by routers (PEP 3333, "Unicode Issues")."""
    return _decoded(environ.get("PATH_INFO", "")) or "/"


def whole_path(environ: Environ) -> str:
    """Return the path with its mount point, for the log."""
    return _decoded(environ.get("SCRIPT_NAME", "")) + routed_path(environ)


def _decoded(text: str) -> str:
    return text.encode("latin-1", "replace").decode("utf-8", "replace")
