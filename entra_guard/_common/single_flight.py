"""One piece of work at a time per key, off the caller's thread, for any number of waiting threads and tasks.

A waiter that times out stops nothing: the work continues. No event loop is blocked. A forked child
starts work of its own and does not wait for its parent's. While the interpreter exits, work runs on the
caller's thread.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.threads import ShutdownError, start_thread
from entra_guard._common.worker_pool import in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

from entra_guard._common.worker_pool import WorkerPool

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")

# Seconds that a waiter waits for the preparation of work, before its time-out begins.
_LONGEST_PREPARATION: Final = 10.0


class NoThreadError(RuntimeError):
    """No thread could be started for the work."""


class _Work(Future[T]):
    """Work and its outcome. Runs once, on the thread that calls `run` first."""

    def __init__(
        self,
        function: Callable[[], T],
        prepare: Callable[[], object] | None,
        on_end: Callable[[_Work[T]], None],
    ) -> None:
        super().__init__()
        self._function = function
        self._prepare = prepare
        self._on_end = on_end
        self.prepared: Future[None] = Future()
        self._claim = threading.Lock()
        self.set_running_or_notify_cancel()  # from now on no waiter can cancel it

    @property
    def has_begun(self) -> bool:
        return self._claim.locked()

    @property
    def has_preparation(self) -> bool:
        return self._prepare is not None

    def run(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            if self._prepare is not None:
                self._prepare()
            self._end_preparation()
            outcome = self._function()
        except BaseException as error:  # noqa: BLE001  # the waiters get it, whatever it is
            self._fail(error)
        else:
            self._on_end(self)
            self.set_result(outcome)

    def refuse(self, error: Exception) -> None:
        """Fail without running."""
        if self._claim.acquire(blocking=False):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._on_end(self)
        self.set_exception(error)
        self._end_preparation()

    def _end_preparation(self) -> None:
        if not self.prepared.done():
            self.prepared.set_result(None)


class SingleFlight(Generic[K, T]):
    """Work in flight by key. Starting a key that is in flight joins the work.

    Args:
        pool: Runs the work; without one, each piece of work has a thread of its own.

    Example:
        >>> work: SingleFlight[str, int] = SingleFlight()
        >>> work.start("answer", lambda: 42).result(timeout=1)
        42
    """

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self._pool = pool
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget all work, as a forked child must: it has none of its parent's threads."""
        self._lock = threading.Lock()
        # What was started and has not ended, by key. Read-only for others.
        self.in_flight: dict[K, _Work[T]] = {}

    def start(
        self,
        key: K,
        function: Callable[[], T],
        *,
        prepare: Callable[[], object] | None = None,
        launch: Callable[[Callable[[], None]], object] | None = None,
    ) -> Future[T]:
        """Start work, or join it if the key is in flight.

        Args:
            key: What identifies the work.
            function: The work.
            prepare: Runs before the work; its time does not count against the time-out of those who wait.
            launch: Receives the function that begins the work, to call it later: for callers with a lock, as
                under gevent, starting a thread switches to other greenlets, which may need that lock.

        Raises nothing: if no thread can be started, the future fails with NoThreadError.
        """
        exiting = sys.is_finalizing()
        with self._lock:
            work = self.in_flight.get(key)
            is_new = exiting or work is None  # finalizing, no other thread runs
            if work is None or exiting:
                work = self.in_flight[key] = _Work(function, prepare, partial(self._end, key))
        nested = self._pool is not None and in_worker()
        if not is_new:
            if nested:
                work.run()  # if it still waits for a thread of the pool, it may wait for this very one
            return work
        begin = work.run if exiting or nested else partial(self._launch, key, work)
        if launch is None:
            begin()
        else:
            launch(begin)
        return work

    def _launch(self, key: K, work: _Work[T]) -> None:
        try:
            if self._pool is not None:
                self._pool.submit(self, work.run)
            else:
                start_thread(work.run, name=f"entra_guard {key}")
        except ShutdownError:
            work.run()
        except RuntimeError as error:
            work.refuse(NoThreadError(str(error)))

    def abandon(self, key: K) -> None:
        """Forget work that takes too long, so that the next start begins another. Its waiters still wait.

        Work that still waits for a thread is kept: more of it would not be faster.
        """
        with self._lock:
            work = self.in_flight.get(key)
            if work is not None and work.has_begun:
                del self.in_flight[key]

    def _end(self, key: K, work: Future[T]) -> None:
        """Remove the work before its waiters wake, so that what they start next is new."""
        with self._lock:
            if self.in_flight.get(key) is work:
                del self.in_flight[key]


def done_future() -> Future[None]:
    """Return a future that is done. A new one each time: its lock is shared with no other thread or fork."""
    future: Future[None] = Future()
    future.set_result(None)
    return future


def wait(future: Future[T], timeout: float | None) -> T:
    """Wait for work on this thread, at most `timeout` seconds.

    Raises:
        TimeoutError: The work is not done yet; it continues.
    """
    if (prepared := _preparation(future)) is not None:
        prepared.result(_LONGEST_PREPARATION)
    return future.result(timeout)


async def wait_async(future: Future[T], timeout: float | None) -> T:  # noqa: ASYNC109  # as `wait` has it
    """Wait for work in a task of asyncio or trio, at most `timeout` seconds.

    Raises:
        TimeoutError: The work is not done yet; it continues.
    """
    if (prepared := _preparation(future)) is not None:
        await _done(prepared, _LONGEST_PREPARATION)
    await _done(future, timeout)
    return future.result()


def _preparation(future: Future[Any]) -> Future[None] | None:
    """Return the part of the work that no time-out counts, if it is not done."""
    if isinstance(future, _Work) and future.has_preparation and not future.done():
        return future.prepared
    return None


async def _done(future: Future[Any], timeout: float | None) -> None:  # noqa: ASYNC109  # as `wait` has it
    if future.done():
        return
    done = anyio.Event()
    future.add_done_callback(_waker(done))
    with anyio.move_on_after(timeout):
        await done.wait()
    if not future.done():
        raise TimeoutError


def _waker(event: anyio.Event) -> Callable[[Future[Any]], None]:
    """Make a callback that sets an event of this task's loop from another thread."""
    call_soon = call_soon_threadsafe()

    def wake(_future: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its tasks with it
            call_soon(event.set)

    return wake


def call_soon_threadsafe() -> Callable[[Callable[[], object]], object]:
    """Return the function that lets another thread call something in the loop that runs here.

    Imports nothing: if trio runs here it is loaded; else another thread may be loading it.
    """
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    current_token = getattr(lowlevel, "current_trio_token", None)
    if current_token is not None:
        with contextlib.suppress(RuntimeError):  # trio is loaded, but does not run here
            call_soon: Callable[[Callable[[], object]], object] = current_token().run_sync_soon
            return call_soon
    from asyncio import get_running_loop  # noqa: PLC0415  # loaded where it runs; it takes long to load

    return get_running_loop().call_soon_threadsafe
