"""One line of text for each exchange: the access log of the terminal, and "Copy as text"."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from entra_guard._escaping import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._activity.request_log import Exchange

_SIGNS: Final[Mapping[str, str]] = {"ok": "ok", "waiting": "..", "refused": "!!"}
_FLOW_WIDTH: Final = 18
_RESULT_WIDTH: Final = 14


def printable(text: str) -> str:
    """Escape what could move the cursor, start a line or change the direction of the text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def time_of_day(at: float) -> str:
    """Format a time in seconds since 1970 as local time of day."""
    return dt.datetime.fromtimestamp(at).strftime("%H:%M:%S")  # noqa: DTZ006 (local time is meant)


def parties_of(exchange: Exchange) -> str:
    """Return who wanted what: `client -> API as user`. Method and path for Graph and without a client."""
    if not exchange.client:
        return f"{exchange.method} {exchange.path}"
    target = f" -> {exchange.api}" if exchange.api else ""
    if exchange.flow == "graph":  # which of its many requests; the flow names the API
        target = f" {exchange.method} {exchange.path}"
    return f"{exchange.client}{target}{f' as {exchange.user}' if exchange.user else ''}"


def access_line(exchange: Exchange, width: int | None = None) -> str:
    """Return an exchange as one line: time, sign, flow, client and API, result, milliseconds.

    Everything a client controls is escaped.

    Args:
        exchange: The exchange.
        width: The width in columns, at least 80; the middle column is shortened to it. Without it, the
            middle column is as long as it must be.
    """
    start = f"{time_of_day(exchange.at)} {_SIGNS[exchange.outcome]} {exchange.flow:{_FLOW_WIDTH}} "
    result, parties = printable(exchange.result), printable(parties_of(exchange))
    if width is None:
        return f"{start}{parties}  {result}  {exchange.milliseconds:.0f} ms"
    end = f"{result:{_RESULT_WIDTH}} {exchange.milliseconds:5.0f} ms"
    room = max(20, width - len(start) - len(end) - 2)
    return f"{start}{shorten(parties, room):{room}}  {end}"
