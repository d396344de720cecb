"""Background thread that refreshes the keys of all guards of a process. It decides nothing itself."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.logs import get_logger
from entra_guard._common.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Iterable
    from queue import SimpleQueue

log: Final = get_logger("entra_guard.keys")

_SOONEST: Final = 0.05
_LATEST: Final = 3600.0
_AFTER_ERROR: Final = 60.0


class Refreshable(Protocol):
    """An object with tasks that are due from time to time."""

    def run_pending(self) -> float:
        """Run what is due without waiting for it, and return in how many seconds to call again."""
        ...


class Visits:
    """The place of one object on the thread. Ends by itself when the object is garbage-collected.

    Args:
        thing: What to visit.
        inbox: Where the thread looks for what to visit.
    """

    __slots__ = ("__weakref__", "_inbox", "_thing", "due")

    def __init__(self, thing: Refreshable, inbox: SimpleQueue[Visits]) -> None:
        self._inbox = inbox
        self._thing = weakref.ref(thing, self._on_end)
        self.due = 0.0

    def wake(self) -> None:
        """Have the object visited soon: something may be due earlier than it said."""
        self._inbox.put(self)

    def _on_end(self, _thing: weakref.ref[Refreshable]) -> None:
        # The garbage collector may run in any thread and hold any lock. `put` of a SimpleQueue is reentrant.
        self._inbox.put(self)

    def run(self) -> bool:
        """Visit the object; return False once it is gone."""
        thing = self._thing()
        if thing is None:
            return False
        try:
            delay = min(max(thing.run_pending(), _SOONEST), _LATEST)
        except Exception as error:  # the other guards need this thread
            log.exception("background key refresh failed unexpectedly; will retry", exc_info=error)
            delay = _AFTER_ERROR
        self.due = time.monotonic() + delay
        return True


class RefreshThread:
    """Visits any number of objects on one daemon thread, which runs while there is at least one."""

    def __init__(self) -> None:
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the parent's thread and what it visited."""
        self._lock = threading.Lock()
        self._is_running = False
        self._inbox: SimpleQueue[Visits] | None = None

    def add(self, thing: Refreshable) -> Visits:
        """Visit an object from now on; call `ensure_running` afterwards."""
        if self._inbox is None:
            self._inbox = queue.SimpleQueue()  # not earlier: gevent may replace the class after the import
        visits = Visits(thing, self._inbox)
        visits.wake()
        return visits

    def ensure_running(self) -> None:
        """Start the thread if it is not running. Hold no lock: under gevent, other greenlets run now."""
        inbox = self._inbox
        with self._lock:
            if self._is_running or inbox is None:
                return
            self._is_running = True
        try:
            start_thread(self._run, inbox, name="entra_guard refresh")
        except RuntimeError as error:  # too many threads, or the interpreter exits
            with self._lock:
                self._is_running = False
            log.warning("no thread for the background refresh, so requests must start it: %s", error)

    def _run(self, inbox: SimpleQueue[Visits]) -> None:
        waiting: set[Visits] = set()
        while True:
            for visits in _next(inbox, waiting):
                waiting.discard(visits)
                if visits.run():
                    waiting.add(visits)
            with self._lock:
                if not waiting and inbox.empty():
                    self._is_running = False
                    return


def _next(inbox: SimpleQueue[Visits], waiting: Iterable[Visits]) -> set[Visits]:
    """Wait until something is due or is put into the inbox, and return what to visit."""
    first = min((visits.due for visits in waiting), default=time.monotonic() + _LATEST)
    due: set[Visits] = set()
    try:
        due.add(inbox.get(timeout=max(0.0, first - time.monotonic())))
        while True:
            due.add(inbox.get_nowait())
    except Empty:
        now = time.monotonic()
        return due | {visits for visits in waiting if visits.due <= now}


# The thread of this process.
REFRESH_THREAD: Final = RefreshThread()
