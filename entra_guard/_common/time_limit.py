"""Time limit for everything that one thread does in a `with` block, however many steps it takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

_ends_at: Final[ContextVar[float | None]] = ContextVar("entra_guard_time_limit", default=None)


@contextmanager
def time_limit(seconds: float) -> Generator[None]:
    """Limit what happens inside to a number of seconds; `time_left` enforces it. An outer limit still holds.

    Example:
        >>> with time_limit(5.0):
        ...     time_left(2.0)
        2.0
    """
    outer, end = _ends_at.get(), time.monotonic() + seconds
    token = _ends_at.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _ends_at.reset(token)


def time_left(seconds: float | None = None) -> float | None:
    """Return the seconds that a step may take: its own limit, or what is left of the block's if that is less.

    Raises:
        TimeoutError: Nothing is left.
    """
    end = _ends_at.get()
    if end is None:
        return seconds
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time limit is over")
    return left if seconds is None else min(seconds, left)
