"""The background thread of a key ring: comes when something is due, ends with the ring, decides nothing."""

from __future__ import annotations

import queue
import threading
import weakref
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
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


def start_refresh_thread(kept: Kept) -> SimpleQueue[None]:
    """Start the thread. Where none can be started, readers must do without: they look after things too.

    Returns:
        What wakes the thread, so that it looks after `kept`, or ends once that is gone. The collector may
        run in this very thread: an event's lock, held while it waits, would have it wait for itself.
    """
    wake: SimpleQueue[None] = queue.SimpleQueue()  # gevent replaces it: look it up now
    reference = weakref.ref(kept, lambda _gone: wake.put(None))
    thread = threading.Thread(target=_keep, args=(reference, wake), name="entra_guard keeper", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # too many threads, or the interpreter is about to end
        log.warning("no thread for the background refresh, which requests must start: %s", error)
    return wake


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
