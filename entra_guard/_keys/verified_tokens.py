"""The cache of verified tokens: bounded in bytes, not only in entries.

An ordinary token takes about 600 bytes, and a token with hundreds of roles a hundred times as much. Ordinary
ones are in a cache without locks, which every request reads. Large ones share a fixed number of bytes.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import cachetools

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.lru import LRUCache
from entra_guard.principal import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

# The most that an entry of an ordinary token may weigh: a caller with about ten long roles.
ORDINARY_BYTES: Final = 2048
# What all larger tokens may take together, for each token of the cache's size.
LARGE_BYTES_PER_TOKEN: Final = 256

_SLICE: Final = 100
# A place in the table with its key, the object, two numbers, and the strings without their characters.
_ENTRY: Final = 800
_NAME: Final = 88
_PLACE_OF_LARGE: Final = 400  # what cachetools takes for an entry


def weight_of(identity: Identity) -> int:
    """Return an upper bound of the bytes that a cached token takes: shared objects count in full."""
    names = identity.roles + identity.scopes
    text = "".join((identity.app_id, identity.object_id, identity.subject, identity.token_id, *names))
    return _ENTRY + _NAME * len(names) + len(text) * (1 if text.isascii() else 4)


def _weight_of_large(identity: Identity) -> int:
    return weight_of(identity) + _PLACE_OF_LARGE


def _share_of_large(size: int) -> cachetools.LRUCache[bytes, Identity]:
    return cachetools.LRUCache(size * LARGE_BYTES_PER_TOKEN, getsizeof=_weight_of_large)


class VerifiedTokens(LRUCache[bytes, Identity]):
    """The most recently used verified tokens, by their SHA-256 digest. Threads may use it at once.

    It holds at most `size` tokens of up to 2 KiB each, and `size` x 256 bytes of larger ones: for 200,000
    tokens 390 and 49 MiB. An ordinary token takes about 600 bytes, so that a full cache takes about 115 MiB.

    Args:
        size: The maximum number of tokens; 0 keeps none.
    """

    __slots__ = ("__weakref__", "_large", "_lock")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._lock = threading.Lock()
        self._large = _share_of_large(size)
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the large tokens of a forked process, if another thread of its parent was changing them."""
        if self._lock.locked():
            self._large = _share_of_large(self._size)
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Identity | None:
        """Return a verified token, or None."""
        found = super().get(key)
        if found is None and self._large.currsize:
            with self._lock:
                found = self._large.get(key)
        return found

    def put(self, key: bytes, value: Identity) -> None:
        """Store a verified token."""
        if not self._size:
            return
        weight = weight_of(value)
        if weight <= ORDINARY_BYTES:
            super().put(key, value)
        elif weight + _PLACE_OF_LARGE <= self._large.maxsize:
            with self._lock:
                self._large[key] = value
                self.has_more = True

    def discard(self, key: bytes) -> None:
        """Remove a token."""
        super().discard(key)
        with self._lock:
            self._large.pop(key, None)

    def empty_in_slices(self) -> Iterator[None]:
        """Remove all tokens, and yield after each slice."""
        yield from super().empty_in_slices()
        while self._large:
            with self._lock, suppress(KeyError):  # it is empty
                for _ in range(_SLICE):
                    self._large.popitem()
            yield

    @property
    def entries(self) -> int:
        """The number of tokens, without looking at each."""
        return super().entries + len(self._large)

    def __len__(self) -> int:
        return super().__len__() + len(self._large)
