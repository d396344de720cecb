"""A bounded mapping without locks: cheap to read, and cheap for the garbage collector.

Three generations. Entries that are used move to `recent`. When that holds half of all entries it becomes
`previous`, and what was not used for that long becomes `leaving`: new entries push those out one by one. So
the least recently used entries leave, nothing leaves while there is room, and a hit in `recent` costs one
dictionary look-up. (A cachetools cache costs several times that, and adds 150 ms to a full garbage
collection at 100,000 entries.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

_SLICE: Final = 500


class LRUCache(Generic[K, V]):
    """The most recently used entries of a mapping.

    Threads may use it at once. Each of them may exceed the size by one entry for a moment.

    Args:
        size: The maximum number of entries; 0 keeps none.

    Example:
        >>> cache: LRUCache[str, int] = LRUCache(2)
        >>> cache.put("a", 1)
        >>> cache.get("a")
        1
    """

    __slots__ = ("_half", "_leaving", "_size", "has_more", "previous", "recent")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = (size + 1) // 2
        # Callers on a hot path read `recent` without a call: a hit there needs no bookkeeping. A miss needs
        # `get` only if there may be entries elsewhere.
        self.recent: dict[K, V] = {}
        self.has_more: bool = False
        self.previous: dict[K, V] = {}
        self._leaving: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        found = self.recent.get(key)
        if found is None and self.has_more:
            found = self.previous.get(key)
            if found is None:
                found = self._leaving.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Store a value."""
        recent = self.recent
        if len(recent) >= self._half:
            if not self._size:
                return
            recent = self._next_generation(recent)
        recent[key] = value
        previous, leaving = self.previous, self._leaving
        if previous or leaving:
            previous.pop(key, None)
            leaving.pop(key, None)
            if len(recent) + len(previous) + len(leaving) > self._size:
                self._evict()

    def _next_generation(self, full: dict[K, V]) -> dict[K, V]:
        leaving, previous = self._leaving, self.previous
        if self.recent is full and previous is not full:  # no other thread was faster
            self.has_more = True
            self.recent, self.previous, self._leaving = {}, full, previous
            previous.update(leaving)  # last in, and so first out
        return self.recent

    def _evict(self) -> None:
        for generation in (self._leaving, self.previous):
            try:
                generation.popitem()
            except KeyError:  # it is empty
                continue
            return

    def discard(self, key: K) -> None:
        """Remove a key."""
        for generation in (self.recent, self.previous, self._leaving):
            generation.pop(key, None)

    def empty_in_slices(self) -> Iterator[None]:
        """Remove all entries, and yield after each slice: freeing all at once stalls every thread."""
        for generation in (self.recent, self.previous, self._leaving):
            while generation:
                for _ in range(_SLICE):
                    try:
                        generation.popitem()
                    except KeyError:  # it is empty
                        break
                yield

    @property
    def entries(self) -> int:
        """The number of entries, without looking at each: other threads may move one meanwhile."""
        return len(self.recent) + len(self.previous) + len(self._leaving)

    def __len__(self) -> int:
        return len(self.recent | self.previous | self._leaving)
