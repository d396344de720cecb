"""Read what the guard needs of a request's headers, in one pass: every request pays for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._web.mcp_sessions import EVENTS, HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_AUTHORIZATION: Final = b"authorization"
_NAMES: Final = frozenset({_AUTHORIZATION, HEADER, b"accept"})
_LENGTH_OF_EVENTS: Final = len(EVENTS)


def read_headers(scope: Mapping[str, Any]) -> tuple[list[bytes], bool, bool]:
    """Return the Authorization values, whether an MCP session is named, and whether events are accepted."""
    values: list[bytes] = []
    names_session = wants_events = False
    # A list comprehension passes over all the other headers in half of a loop's time.
    for name, value in [header for header in scope["headers"] if header[0] in _NAMES]:
        if name == _AUTHORIZATION:
            values.append(value)
        elif name == HEADER:
            names_session = True
        elif len(value) >= _LENGTH_OF_EVENTS and EVENTS in value.lower():  # '*/*' is the most frequent
            wants_events = True
    return values, names_session, wants_events
