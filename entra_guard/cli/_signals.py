"""Wait for a signal to stop."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def wait_for_stop_signal(meanwhile: Callable[[], None] | None = None) -> None:
    """Block until SIGINT or SIGTERM, and call `meanwhile` twice a second. Call it in the main thread.

    A signal that the parent process ignores stays ignored: a shell ignores SIGINT for background processes.
    """
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    handled = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN]
    before: dict[signal.Signals, Any] = {which: signal.signal(which, request_stop) for which in handled}
    try:
        # Windows delivers signals only between waits, so no wait is endless.
        while not stop.wait(0.5):
            if meanwhile is not None:
                meanwhile()
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
