"""What is imported late, on a background thread: whole, and with no fork in its midst. Uses none of it.

A child that is forked while another thread imports inherits that module's lock, whose owner did not come
along, and waits for it for good; so it does with OpenSSL's locks, which are held while a context is made and
its certificates are read. The fork waits instead, for a fraction of a second.
"""

from __future__ import annotations

import logging  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: before a fork, hooks run last come first, and its own takes its lock
import os
import threading
from contextlib import suppress
from importlib import import_module
from typing import Final

_NEEDED: Final = ("encodings.idna", "certifi", "httpcore", "httpx", "jwt.algorithms")
"""They take two thirds of this package's import time, and nobody needs them before keys are fetched. Of
themselves httpx loads httpcore and certifi, and the look-up of a host encodings.idna, later still."""
_LONGEST: Final = 10.0
"""Seconds that a fork waits at the most."""


class _Gate:
    """Lets either imports or forks through."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loaded = False
        self.held = False

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self.lock.release()

    def before_fork(self) -> None:
        self.held = self.lock.acquire(timeout=_LONGEST)

    def after_fork(self) -> None:
        if self.held:
            self.held = False
            self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.Lock()
        self.held = False


FORK_LOCK: Final = _Gate()
"""Held for what a fork must not come into. Not reentrant, and for fractions of a second only."""


def load_late_imports() -> None:
    """Import what fetching and reading keys needs, before any of it is needed; free once it is done."""
    if FORK_LOCK.loaded:
        return
    with FORK_LOCK:
        for name in _NEEDED:
            import_module(name)
        with suppress(ImportError):  # only for proxies that speak SOCKS
            import_module("socksio")
        FORK_LOCK.loaded = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORK_LOCK.before_fork,
        after_in_parent=FORK_LOCK.after_fork,
        after_in_child=FORK_LOCK.after_in_child,
    )
