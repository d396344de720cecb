"""Waiting for Ctrl-C, or for a polite kill, and leaving in good order on either."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType


def wait_for_stop_signal() -> None:
    """Block until SIGINT or SIGTERM, and return for either. Call it in the main thread.

    A signal that whoever started us has switched off, as a shell does with SIGINT for what it runs in the
    background, stays so.
    """
    stop = threading.Event()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    heard = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN]
    before: dict[signal.Signals, Any] = {which: signal.signal(which, leave) for which in heard}
    try:
        # Not forever at once: Windows delivers signals only between waits.
        while not stop.wait(0.5):
            pass
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
