"""A bounded mapping without locks: cheap to ask, cheap to collect. Knows nothing of what it keeps.

Two halves: what is asked for moves to the young half, and when that is full the old half is let go.
So the least used leave first, without bookkeeping on each hit. (A cachetools cache costs several
times the look-up and walks 150 ms through the garbage collector at 100,000 entries.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """The most recently used entries of a mapping.

    Args:
        size: How many are kept at the most, an odd number counting as the next even one; 0 keeps none.

    Example:
        >>> kept: LRUCache[str, int] = LRUCache(2)
        >>> kept.put("a", 1)
        >>> kept.get("a")
        1
    """

    __slots__ = ("_half", "previous", "recent")

    def __init__(self, size: int) -> None:
        self._half = (size + 1) // 2
        self.recent: dict[K, V] = {}
        self.previous: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is kept under this key, if it still is."""
        found = self.recent.get(key)
        if found is None and (found := self.previous.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Keep something under this key."""
        young = self.recent
        if len(young) >= self._half:
            if not self._half:
                return
            self.previous, self.recent = young, {}
            young = self.recent
        young[key] = value

    def discard(self, key: K) -> None:
        """Keep nothing under this key."""
        self.recent.pop(key, None)
        self.previous.pop(key, None)

    def __len__(self) -> int:
        return len(self.recent) + len(self.previous.keys() - self.recent.keys())
