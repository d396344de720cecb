"""The background thread of a key ring: comes when something is due, ends with the ring, decides nothing."""

from __future__ import annotations

import queue
import weakref
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from entra_guard._common.logs import get_logger
from entra_guard._common.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

log: Final = get_logger("entra_guard.keys")

_SOONEST: Final = 0.05
_LATEST: Final = 3600.0
_AFTER_A_STUMBLE: Final = 60.0


class Kept(Protocol):
    """What has something to do from time to time."""

    def run_pending(self) -> float:
        """Do what is due, and tell in how many seconds to come again."""
        ...


def new_refresh_thread(kept: Kept) -> tuple[SimpleQueue[None], Callable[[], None]]:
    """Return what wakes the thread, and the function that starts it.

    The thread runs `kept`'s tasks when it is woken, and ends once `kept` is garbage-collected. The collector
    may run in this very thread: with an event it could wait for a lock that it holds itself.
    """
    wake: SimpleQueue[None] = queue.SimpleQueue()  # gevent replaces it: look it up now
    reference = weakref.ref(kept, lambda _gone: wake.put(None))

    def start() -> None:
        try:
            start_thread(_keep, reference, wake, name="entra_guard keeper")
        except RuntimeError as error:  # too many threads, or the interpreter exits
            log.warning("no background refresh of keys, requests refresh them: %s", error)

    return wake, start


def _keep(reference: weakref.ref[Kept], wake: SimpleQueue[None]) -> None:
    delay = 0.0
    while True:
        with suppress(Empty):
            wake.get(timeout=delay)
        kept = reference()
        if kept is None:
            return
        try:
            delay = min(max(kept.run_pending(), _SOONEST), _LATEST)
        except Exception:
            log.exception("the background refresh stumbled, and goes on")
            delay = _AFTER_A_STUMBLE
        del kept
