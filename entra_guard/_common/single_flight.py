"""One piece of work at a time per key, off the caller's thread, with any number of waiters in both worlds.

Rules: a waiter that gives up strands nobody; the work runs to its end whoever waits; no event loop is
ever blocked; a forked child starts its own work and waits for none of its parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Work in flight by key. Starting what is under way joins it.

    Example:
        >>> work: SingleFlight[str, int] = SingleFlight()
        >>> work.start("answer", lambda: 42).result(timeout=1)
        42
    """

    def __init__(self) -> None:
        self.forget()
        _everywhere.add(self)

    def forget(self) -> None:
        """Let go of all work, as a forked child must: no thread of its parent came along."""
        self._lock = threading.Lock()
        self.in_flight: dict[K, Future[T]] = {}
        """What was started and has not ended, by key. Only to be read."""

    def start(self, key: K, work: Callable[[], T]) -> Future[T]:
        """Start the work on a thread of its own, or join it where it is under way."""
        with self._lock:
            future = self.in_flight.get(key)
            if future is not None:
                return future
            future = self.in_flight[key] = Future()
            future.set_running_or_notify_cancel()  # from here on no waiter can cancel it
        thread = threading.Thread(
            target=self._run, args=(key, work, future), name=f"entra_guard {key}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # too many threads, or the interpreter is about to end
            self._done(key, future)
            future.set_exception(error)
        return future

    def abandon(self, key: K) -> None:
        """Let go of work that takes too long: the next start is a new one. Its waiters wait on."""
        with self._lock:
            self.in_flight.pop(key, None)

    def _run(self, key: K, work: Callable[[], T], future: Future[T]) -> None:
        try:
            outcome = work()
        except BaseException as error:  # noqa: BLE001  # the waiters get it, whatever it is
            self._done(key, future)
            future.set_exception(error)
        else:
            self._done(key, future)
            future.set_result(outcome)

    def _done(self, key: K, future: Future[T]) -> None:
        """Take the work out before its waiters wake: whoever they ask next starts anew."""
        with self._lock:
            if self.in_flight.get(key) is future:
                del self.in_flight[key]


def wait(future: Future[T], timeout: float | None) -> T:
    """Wait for work on this thread, at most so many seconds.

    Raises:
        TimeoutError: It is not done yet, and goes on.
    """
    return future.result(timeout)


async def wait_async(future: Future[T], timeout: float | None) -> T:  # noqa: ASYNC109  # one name in both worlds
    """Wait for work in a task of asyncio or trio, at most so many seconds.

    Raises:
        TimeoutError: It is not done yet, and goes on.
    """
    if not future.done():
        done = anyio.Event()
        future.add_done_callback(_waker(done))
        with anyio.move_on_after(timeout):
            await done.wait()
        if not future.done():
            raise TimeoutError
    return future.result()


def _waker(event: anyio.Event) -> Callable[[Future[Any]], None]:
    """Make a callback that sets an event of this task's loop from another thread."""
    wake = _soon()

    def call(_future: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended while it waited: nobody is left to wake
            wake(event.set)

    return call


def _soon() -> Callable[[Callable[[], object]], object]:
    """What lets another thread call something soon in the loop that runs here.

    Imports nothing: trio is loaded where it runs, and where it does not, another thread may be loading it.
    """
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    current_token = getattr(lowlevel, "current_trio_token", None)
    if current_token is not None:
        with contextlib.suppress(RuntimeError):  # trio is loaded, and not what runs here
            soon: Callable[[Callable[[], object]], object] = current_token().run_sync_soon
            return soon
    return asyncio.get_running_loop().call_soon_threadsafe


_everywhere: WeakSet[SingleFlight[Any, Any]] = WeakSet()


def _forget_in_child() -> None:
    for work in list(_everywhere):
        work.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
