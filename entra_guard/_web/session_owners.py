"""Whose each MCP session is: a bounded table in which no caller can push out the sessions of another.

When it is full, the caller with the most sessions loses the one that it has not used for the longest time.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

Owner = tuple[str, str, str, str]


class SessionOwners:
    """The owners of sessions. Each method takes constant time. Not thread-safe: its owner has a lock.

    Args:
        most: The largest number of sessions.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._owners: dict[bytes, Owner] = {}
        # The sessions of each owner, and the owners by the number of their sessions. Both begin with what was
        # not used for the longest time: a plain dict finds its first item slowly after deletions.
        self._sessions: dict[Owner, OrderedDict[bytes, None]] = {}
        self._by_number: dict[int, OrderedDict[Owner, None]] = {}
        self._largest_number = 0

    def add(self, session: bytes, owner: Owner) -> None:
        """Add a session; one that is known keeps its owner."""
        if session in self._owners:
            return
        self._owners[session] = owner
        own = self._sessions.setdefault(owner, OrderedDict())
        own[session] = None
        self._renumber(owner, len(own) - 1, len(own))
        if len(self._owners) > self._most:
            largest = next(iter(self._by_number[self._largest_number]))
            self.remove(next(iter(self._sessions[largest])))

    def remove(self, session: bytes) -> None:
        """Forget a session, if it is known."""
        owner = self._owners.pop(session, None)
        if owner is not None:
            own = self._sessions[owner]
            del own[session]
            if not own:
                del self._sessions[owner]
            self._renumber(owner, len(own) + 1, len(own))

    def is_owner(self, session: bytes, owner: Owner) -> bool:
        """Return whether a session is a caller's, and note that the caller uses it."""
        if self._owners.get(session) != owner:
            return False
        own = self._sessions[owner]
        own.move_to_end(session)
        self._by_number[len(own)].move_to_end(owner)
        return True

    def _renumber(self, owner: Owner, before: int, now: int) -> None:
        """Note that an owner has one session more than before, or one less."""
        if before:
            others = self._by_number[before]
            del others[owner]
            if not others:
                del self._by_number[before]
        if now:
            self._by_number.setdefault(now, OrderedDict())[owner] = None
        if now > self._largest_number or self._largest_number not in self._by_number:
            self._largest_number = now
