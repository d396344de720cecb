"""Verified tokens remembered by their digest: bounded, without locks, cheap to ask and to collect.

Two halves: what is asked for moves to the young half, and when that is full the old half is let go.
So the least used leave first, without bookkeeping on each hit. Failures are never remembered, and a
forged token's digest never displaces a good one. (A cachetools cache costs several times the look-up
and walks 150 ms through the garbage collector at 100,000 entries.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entra_guard.principal import Identity


class Verdicts:
    """A cache of verified identities.

    Args:
        size: How many are remembered at the most; 0 remembers none.
    """

    __slots__ = ("_half", "old", "young")

    def __init__(self, size: int) -> None:
        self._half = size // 2
        self.young: dict[bytes, Identity] = {}
        self.old: dict[bytes, Identity] = {}

    def get(self, digest: bytes) -> Identity | None:
        """What was verified under this digest, if it is still remembered."""
        found = self.young.get(digest)
        if found is None and (found := self.old.get(digest)) is not None:
            self.put(digest, found)
        return found

    def put(self, digest: bytes, identity: Identity) -> None:
        """Remember a verified identity."""
        young = self.young
        if len(young) >= self._half:
            if not self._half:
                return
            self.old, self.young = young, {}
            young = self.young
        young[digest] = identity

    def __len__(self) -> int:
        return len(self.young) + len(self.old.keys() - self.young.keys())
