"""Times relative to now, in words: `in 58 min`, `3 days ago`."""

from __future__ import annotations

from entra_guard.emulator._portal.frame import duration_words


def relative_words(seconds: float) -> str:
    """Return a time relative to now: 'in 60 min', '5 min ago', 'now'."""
    if abs(seconds) < 1:
        return "now"
    return f"in {duration_words(seconds)}" if seconds > 0 else f"{duration_words(-seconds)} ago"
