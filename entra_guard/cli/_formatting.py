"""Format values for a terminal: times, durations, lists, shortened secrets, untrusted text."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from entra_guard import Step

_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)Z")
_UNITS: Final = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def shorten_secret(secret: str, keep: int) -> str:
    """Return the beginning of a token or secret, and its length.

    Args:
        secret: The secret.
        keep: How many characters to show; never more than an eighth of the secret.
    """
    shown = secret[: min(keep, len(secret) // 8)]
    return f"{shown}... ({len(secret)} characters)"


def format_time(seconds: float) -> str:
    """Format a time in UTC; the argument is in seconds since 1970."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_times_in(text: str) -> str:
    """Shorten every time in a text to the time of day, in UTC."""
    return _TIME.sub(r"\1", text)


def format_duration(seconds: float) -> str:
    """Format a duration in the unit that suits it: '60 min'."""
    size, unit = next((s, u) for s, u in _UNITS if abs(seconds) >= 2 * s or s == 1)
    return f"{round(seconds / size)} {unit}"


def relative_time(seconds: float) -> str:
    """Format a time relative to now: 'in 60 min', '5 min ago'."""
    return f"in {format_duration(seconds)}" if seconds > 0 else f"{format_duration(-seconds)} ago"


def format_value(value: Any, between: str = ", ") -> str:
    """Format a fact: lists with a separator, mappings as 'name value', empty values as 'none'.

    The result is one line of plain ASCII: a token's content cannot move the cursor, start a line, or
    look like another text.
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{format_value(name)} {format_value(part)}" for name, part in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return between.join(map(format_value, value)) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, float):
        return f"{value:.0f}"
    text = str(value) or "none"
    return text if text.isascii() and text.isprintable() else json.dumps(text)


def format_step(step: Step) -> tuple[str, str]:
    """Return what a step of the checklist expected and found; '' for found if it is the same."""
    if step.verdict == "open":
        return "not checked", ""
    expected, found = format_value(step.expected, " or "), format_value(step.found)
    if step.name == "lifetime":
        expected, found = format_times_in(expected), format_times_in(found)
    if step.name == "key origin":
        expected, found = _split_origin(expected), _split_origin(found)
    return expected, "" if found == expected and step.verdict == "pass" else found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean ...?' for a misspelt name; '' if no known name is similar."""
    return "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, [*known], n=1))


def _split_origin(origin: str) -> str:
    """Return issuer and cloud on one line each, because a loopback issuer is not in that cloud."""
    issuer, _, cloud = origin.rpartition(" in ")
    return f"issuer {issuer}\ncloud {cloud}" if issuer else origin
