"""What is imported late, on a background thread: whole, and with no fork in its midst. Uses none of it.

A child that is forked while another thread imports inherits that module's lock, whose owner did not come
along, and waits for it for good. The fork waits instead, for a fraction of a second, once in a process.
"""

from __future__ import annotations

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

    def before_fork(self) -> None:
        self.held = self.lock.acquire(timeout=_LONGEST)

    def after_fork(self) -> None:
        if self.held:
            self.held = False
            self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.Lock()
        self.held = False


_gate: Final = _Gate()


def load_late_imports() -> None:
    """Import what fetching and reading keys needs, before any of it is needed; free once it is done."""
    if _gate.loaded:
        return
    with _gate.lock:
        for name in _NEEDED:
            import_module(name)
        with suppress(ImportError):  # only for proxies that speak SOCKS
            import_module("socksio")
        _gate.loaded = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_gate.before_fork,
        after_in_parent=_gate.after_fork,
        after_in_child=_gate.after_in_child,
    )
