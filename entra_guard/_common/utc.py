"""Times as people read them, and the length of a day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

# Seconds of a day.
DAY: Final = 24 * 3600.0


def utc_text(seconds: float) -> str:
    """Return a time in UTC as text; a number of seconds that no calendar has stays a number.

    Args:
        seconds: Seconds since the epoch.

    Example:
        >>> utc_text(1_767_268_800.4)
        '2026-01-01T12:00:00Z'
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f}"
