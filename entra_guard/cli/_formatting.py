"""How values read on a terminal: times, lists, secrets cut short, strangers' words. Knows no terminal."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from entra_guard import Step

_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)Z")
_UNITS: Final = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def shorten_secret(secret: str, keep: int) -> str:
    """Show the beginning of a token or secret, and how long the rest is.

    Args:
        secret: What must not be shown whole.
        keep: How many characters to show; at most an eighth of them is.
    """
    shown = secret[: min(keep, len(secret) // 8)]
    return f"{shown}... ({len(secret)} characters)"


def format_time(seconds: float) -> str:
    """Write a time as people read it; seconds since the epoch."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_times_in(text: str) -> str:
    """Shorten every time in a text to the time of day, in UTC."""
    return _TIME.sub(r"\1", text)


def format_duration(seconds: float) -> str:
    """Write a length of time in the unit that suits it: '60 min'."""
    size, unit = next((s, u) for s, u in _UNITS if abs(seconds) >= 2 * s or s == 1)
    return f"{round(seconds / size)} {unit}"


def relative_time(seconds: float) -> str:
    """Write how far off a time is: 'in 60 min', '5 min ago'."""
    return f"in {format_duration(seconds)}" if seconds > 0 else f"{format_duration(-seconds)} ago"


def format_value(value: Any, between: str = ", ") -> str:
    """Write a fact: lists with something between, mappings as 'name value', nothing as 'none'.

    Always one line of plain ASCII: what a stranger put into a token moves no cursor, writes no line of its
    own, and looks like nothing else.
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
    """Write what a step of the checklist expected and found; '' was found where it is the same."""
    if step.verdict == "open":
        return "not judged", ""
    expected, found = format_value(step.expected, " or "), format_value(step.found)
    if step.name == "lifetime":
        expected, found = format_times_in(expected), format_times_in(found)
    if step.name == "key origin":
        expected, found = _two_facts(expected), _two_facts(found)
    return expected, "" if found == expected and step.verdict == "pass" else found


def _two_facts(origin: str) -> str:
    """Write 'issuer in cloud' as a line for each: a loopback issuer does not look to be in a cloud."""
    issuer, _, cloud = origin.rpartition(" in ")
    return f"issuer {issuer}\ncloud {cloud}" if issuer else origin
