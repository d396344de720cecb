"""Limit the log lines of one reason, and log how often it occurred instead. Imports no framework."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.logs import get_logger
from entra_guard._keys.refresh_thread import REFRESH_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = get_logger("entra_guard")

SECONDS: Final = 60.0
# How many refusals for one reason are logged one by one within `SECONDS`.
MOST_LINES: Final = 100
_MOST_CLIENTS: Final = 1000


class _Window:
    """The refusals for one reason in one minute."""

    def __init__(self, floods: Floods, reason: str, level: int, ends: float) -> None:
        self._floods = floods
        self.reason = reason
        self.level = level
        self.ends = ends
        self.count = 0
        self.clients: set[str] = set()
        self.visits: Any = None

    def run_pending(self) -> float:
        """Log the summary once the minute is over: the refresh thread calls this."""
        left = self.ends - self._floods.monotonic()
        if left <= 0:
            self._floods.close(self)
        return left


class Floods:
    """Which refusals are logged one by one. Thread-safe.

    Args:
        monotonic: Seconds that only increase.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin again in a forked process: the parent logs what it has counted."""
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def is_logged(self, reason: str, level: int, client: str) -> bool:
        """Count a refusal, and return whether to log it.

        Args:
            reason: The name of its reason.
            level: The level of the summary.
            client: The client application of a verified token; '' if no token was verified.
        """
        now = self.monotonic()
        with self._lock:
            window = self._windows.get(reason)
            is_over = window is not None and now >= window.ends
            ended = self._windows.pop(reason) if is_over else None
            if window is None or is_over:
                window = self._windows[reason] = _Window(self, reason, level, now + SECONDS)
            window.count += 1
            if client and len(window.clients) < _MOST_CLIENTS:
                window.clients.add(client)
            begins = window.count == MOST_LINES + 1
            is_logged = window.count <= MOST_LINES
        if ended is not None:
            _summarise(ended, SECONDS)
        if begins:
            window.visits = REFRESH_THREAD.add(window)  # it logs the summary also if the flood just stops
            REFRESH_THREAD.ensure_running()
        return is_logged

    def close(self, window: _Window) -> None:
        """End a window and log its summary, unless that was done."""
        with self._lock:
            is_current = self._windows.get(window.reason) is window
            if is_current:
                del self._windows[window.reason]
        if is_current:
            _summarise(window, SECONDS)

    def log_rest(self) -> None:
        """Log the summaries of all windows that are not over, because the process ends."""
        now = self.monotonic()
        with self._lock:
            windows, self._windows = [*self._windows.values()], {}
        for window in windows:
            _summarise(window, SECONDS - max(0.0, window.ends - now))


def _summarise(window: _Window, seconds: float) -> None:
    """Log how often a reason occurred, in the whole window or in its first seconds."""
    skipped = window.count - MOST_LINES
    if skipped <= 0:
        return
    clients = len(window.clients)
    facts = {"outcome": "summary", "reason": window.reason, "count": window.count}
    facts |= {"seconds": seconds, "not_logged": skipped}
    text = "%s %d times in %d s, %d of them not logged"
    values = [window.reason, window.count, seconds, skipped]
    if clients:
        facts["clients"] = clients
        text += ", by %d client applications" + (" or more" if clients == _MOST_CLIENTS else "")
        values.append(clients)
    log.log(max(window.level, logging.INFO), text, *values, extra={"entra_guard": facts})


# One per process: several guards write to one log.
FLOODS: Final = Floods()
atexit.register(FLOODS.log_rest)
