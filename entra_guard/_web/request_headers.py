"""Read what the guard needs of a request's headers, in one pass: every request pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._web.mcp_sessions import EVENTS, HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_AUTHORIZATION: Final = b"authorization"
_ACCEPT: Final = b"accept"
_NAMES: Final = frozenset({_AUTHORIZATION, HEADER, _ACCEPT})


def read_headers(scope: Mapping[str, Any]) -> tuple[list[bytes], bool, bool]:
    """Return the Authorization values, whether an MCP session is named, and whether events are accepted."""
    values: list[bytes] = []
    names_session = wants_events = False
    for name, value in scope["headers"]:
        if name in _NAMES:
            if name == _AUTHORIZATION:
                values.append(value)
            elif name == _ACCEPT:
                if EVENTS in value.lower():
                    wants_events = True
            else:
                names_session = True
    return values, names_session, wants_events
