"""Caches that fail if they are used without their owner's lock: those of cachetools are not thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cachetools

if TYPE_CHECKING:
    import threading


class _Locked(cachetools.Cache[Any, Any]):
    lock: threading.Lock

    def get(self, key: Any, default: Any = None) -> Any:
        assert self.lock.locked()
        return super().get(key, default)

    def pop(self, key: Any, default: Any = None) -> Any:
        assert self.lock.locked()
        return super().pop(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        assert self.lock.locked()
        super().__setitem__(key, value)


class LockedLRUCache(_Locked, cachetools.LRUCache[Any, Any]):
    """The assertions run before the methods of LRUCache."""


class LockedTTLCache(_Locked, cachetools.TTLCache[Any, Any]):
    """The assertions run before the methods of TTLCache."""
