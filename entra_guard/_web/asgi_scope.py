"""Read a request from an ASGI scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._web.mcp_sessions import EVENT_STREAM, SESSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Scope = Mapping[str, Any]

# The key under which Starlette has the exception handlers of the innermost application.
STARLETTE_HANDLERS: Final = "starlette.exception_handlers"

_AUTHORIZATION: Final = b"authorization"
_NAMES: Final = frozenset({_AUTHORIZATION, SESSION_HEADER, b"accept"})
_LENGTH_OF_EVENTS: Final = len(EVENT_STREAM)
# A path that is never public. It replaces a path with an ambiguous mount point: some frameworks route
# '/static/api/orders' below '/api' as '/orders', others unchanged.
_UNCLEAR: Final = "//"


def read_headers(scope: Scope) -> tuple[list[bytes], bool, bool]:
    """Return the Authorization values, whether an MCP session is named, and whether events are accepted.

    In one pass, as every request pays for it.
    """
    values: list[bytes] = []
    names_session = wants_events = False
    # A list comprehension passes over all the other headers in half of a loop's time.
    for name, value in [header for header in scope["headers"] if header[0] in _NAMES]:
        if name == _AUTHORIZATION:
            values.append(value)
        elif name == SESSION_HEADER:
            names_session = True
        elif len(value) >= _LENGTH_OF_EVENTS and EVENT_STREAM in value.lower():  # '*/*' is the most frequent
            wants_events = True
    return values, names_session, wants_events


def authorization(scope: Scope) -> list[bytes]:
    """Return the values of all Authorization headers."""
    return [value for name, value in scope["headers"] if name == _AUTHORIZATION]


def whole_path(scope: Scope) -> str:
    """Return the path with its mount point."""
    path: str = scope["path"]
    return path


def routed_path(scope: Scope) -> str:
    """Return the path below the mount point, as the application routes it (ASGI: root_path)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root or root == "/":
        return path
    if path == root:
        return "/"
    if path.startswith(f"{root}/"):
        return path[len(root) :]
    return path if root not in path else _UNCLEAR


def quart_path(scope: Scope) -> str:
    """Return the path as Quart routes it: ' ' in place of one that is not below the mount point.

    A route for every path, such as '/<path:path>', matches that too.
    """
    path, root = scope["path"], scope.get("root_path", "")
    is_below = not root or (path.startswith(root) and path != root)
    return routed_path(scope) if is_below else _UNCLEAR
