"""Shared pool of daemon threads with an upper bound: for requests that may wait long for a silent server.

Threads start when there is work and end when there is none: no thread idles, and none must be woken after a
fork or after gevent replaced `threading`.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_in_worker: Final[ContextVar[bool]] = ContextVar("entra_guard_in_worker", default=False)


def in_worker() -> bool:
    """Return whether this thread belongs to a pool: work that it starts must run right here.

    If it waited for a free thread, and all other threads did the same, none would ever be free.
    """
    return _in_worker.get()


class WorkerPool:
    """Runs jobs on at most `threads` threads; the owners of jobs take turns.

    Args:
        threads: The maximum number of threads.
        per_owner: The maximum number that serves one owner: a silent server leaves room for others.

    Example:
        >>> done = threading.Event()
        >>> WorkerPool(threads=2, per_owner=1).submit("an owner", done.set)
        >>> done.wait(1)
        True
    """

    def __init__(self, *, threads: int, per_owner: int) -> None:
        self._threads = threads
        self._per_owner = per_owner
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget all jobs and threads, as a forked child must."""
        self._lock = threading.Lock()  # held for a few instructions only: not while a thread starts
        self._queues: dict[Hashable, deque[Callable[[], None]]] = {}
        self._running: dict[Hashable, int] = {}

    def submit(self, owner: Hashable, job: Callable[[], None]) -> None:
        """Run a job as soon as a thread is free.

        Args:
            owner: Whose job it is.
            job: What to run; it must not raise.

        Raises:
            RuntimeError: No thread could be started and none is running, so the job will not run; see
                `start_thread`.
        """
        with self._lock:
            self._queues.setdefault(owner, deque()).append(job)
            if not self._has_room(owner):
                return
            self._running[owner] = self._running.get(owner, 0) + 1
        try:
            start_thread(self._work, owner, name="entra_guard worker")
        except RuntimeError:
            if self._withdraw(owner, job):
                raise

    def _has_room(self, owner: Hashable) -> bool:
        return sum(self._running.values()) < self._threads and self._running.get(owner, 0) < self._per_owner

    def _withdraw(self, owner: Hashable, job: Callable[[], None]) -> bool:
        """Drop a job whose thread did not start; return False if another thread will run it."""
        with self._lock:
            self._release(owner)
            queue = self._queues.get(owner)
            if self._running or queue is None or job not in queue:
                return False
            queue.remove(job)
            return True

    def _work(self, owner: Hashable) -> None:
        _in_worker.set(True)
        while True:
            owner, job = self._next_job(owner)
            if job is None:
                return
            job()

    def _next_job(self, owner: Hashable) -> tuple[Hashable, Callable[[], None] | None]:
        """Return a job of the owner whose turn it is; None when this thread must end."""
        with self._lock:
            self._release(owner)
            for other in list(self._queues):
                if self._running.get(other, 0) < self._per_owner and (job := self._take(other)) is not None:
                    self._running[other] = self._running.get(other, 0) + 1
                    return other, job
            return owner, None

    def _take(self, owner: Hashable) -> Callable[[], None] | None:
        """Take an owner's oldest job, and move the owner to the end of the line."""
        queue = self._queues.pop(owner, None)
        if not queue:
            return None
        job = queue.popleft()
        if queue:
            self._queues[owner] = queue
        return job

    def _release(self, owner: Hashable) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]


# For requests for tokens and groups. Keys are fetched on other threads: outbound calls cannot delay them.
OUTBOUND: Final = WorkerPool(threads=64, per_owner=32)
