"""Durations in words: `58 min`, `in 58 min`, `3 days ago`."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86_400, "day", "days"), (3600, "h", "h"), (60, "min", "min"), (1, "s", "s"))


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it: '60 min', '1 day'."""
    whole = round(abs(seconds))
    size, one, many = next(
        (size, one, many) for size, one, many in _UNITS if whole >= (2 * size if size > 1 else 0)
    )
    count = round(whole / size)
    return f"{count} {one if count == 1 else many}"


def relative_words(seconds: float) -> str:
    """Return a time relative to now: 'in 60 min', '5 min ago', 'now'."""
    if abs(seconds) < 1:
        return "now"
    return f"in {duration_text(seconds)}" if seconds > 0 else f"{duration_text(seconds)} ago"
