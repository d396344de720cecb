"""Reset objects in a forked child: a lock that another thread held at the fork would never be released."""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class ResetAfterFork(Protocol):
    """An object with state that must not outlive a fork, such as a lock."""

    def after_fork(self) -> None:
        """Replace that state; runs in the child, which has one thread."""


_objects: Final[WeakSet[ResetAfterFork]] = WeakSet()


def reset_after_fork(target: ResetAfterFork) -> None:
    """Have an object's `after_fork` called in every forked child, for as long as the object lives."""
    _objects.add(target)


def _reset_all() -> None:
    for target in list(_objects):
        target.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
