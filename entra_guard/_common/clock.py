"""The default clock: looked up at each call, so that freezegun reaches it."""

from __future__ import annotations

import time


def wall_clock() -> float:
    """Return the seconds since the epoch.

    freezegun replaces the attribute `time.time`; a function that was captured before would go on unfrozen.
    """
    return time.time()
