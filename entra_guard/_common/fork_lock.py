"""Lock that a fork waits for. Hold it around imports and calls into OpenSSL.

A forked child inherits every lock that another thread holds at that moment, but not the thread: the child
waits for it forever. Import locks and OpenSSL's locks are such locks, and neither can be reset in the child.
So the fork waits until no other thread is inside `with FORK_LOCK`, which lasts for milliseconds: never hold
it while waiting for the network.
"""

from __future__ import annotations

import logging  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers its fork hooks first, so its lock is taken after ours
import os
import threading
import time
from typing import Final

# Seconds. A fork that waited this long goes ahead: a blocked server is worse than a child that may hang.
_LONGEST_WAIT: Final = 10.0
_POLL: Final = 0.001


class ForkLock:
    """Any number of threads may hold it at once, also nested. Forks exclude them, and they exclude forks.

    It polls instead of blocking: under gevent `time.sleep` lets other greenlets run, whereas a lock that was
    made before gevent replaced `threading` would block all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for a few instructions only, never across a switch of greenlets
        self._holders: list[int] = []
        self._forking: int | None = None

    def __enter__(self) -> None:
        while not self._acquire():
            time.sleep(_POLL)

    def _acquire(self) -> bool:
        me = threading.get_ident()
        with self._lock:
            if self._forking not in (None, me):
                return False
            self._holders.append(me)
            return True

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._holders.remove(threading.get_ident())

    def before_fork(self) -> None:
        """Wait until no other thread holds the lock, then keep all others out.

        The forking thread itself may hold it: an import may start a subprocess (trio's does).
        """
        me, end = threading.get_ident(), time.monotonic() + _LONGEST_WAIT
        while True:
            with self._lock:
                others = any(holder != me for holder in self._holders) or self._forking not in (None, me)
                if not others or time.monotonic() > end:
                    self._forking = me
                    return
            time.sleep(_POLL)

    def after_fork_in_parent(self) -> None:
        """Let other threads in again."""
        self._forking = None

    def after_fork_in_child(self) -> None:
        """Forget the parent's other threads."""
        me = threading.get_ident()
        self._lock = threading.Lock()
        self._holders = [holder for holder in self._holders if holder == me]
        self._forking = None


FORK_LOCK: Final = ForkLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORK_LOCK.before_fork,
        after_in_parent=FORK_LOCK.after_fork_in_parent,
        after_in_child=FORK_LOCK.after_fork_in_child,
    )
