"""Durations and times relative to now, in words: `58 min`, `in 58 min`, `3 days ago`."""

from __future__ import annotations

from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
DAY: Final = 86400


def duration_words(seconds: float) -> str:
    """Return a duration in its largest unit: `58 min`, `3 days`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // DAY} days"


def relative_words(seconds: float) -> str:
    """Return a time relative to now: 'in 60 min', '5 min ago', 'now'."""
    if abs(seconds) < 1:
        return "now"
    return f"in {duration_words(seconds)}" if seconds > 0 else f"{duration_words(-seconds)} ago"
