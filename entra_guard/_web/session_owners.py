"""Whose each MCP session is: a bounded table in which no caller can push out the sessions of another.

When it is full, the caller with the most sessions loses the one that it has not used for the longest time.
"""

from __future__ import annotations

from typing import Final

Owner = tuple[str, str, str, str]


class SessionOwners:
    """The owners of sessions. Not thread-safe: its owner has a lock.

    Args:
        most: The largest number of sessions.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._owners: dict[bytes, Owner] = {}
        # The sessions of each owner. Both levels begin with what was not used for the longest time.
        self._sessions: dict[Owner, dict[bytes, None]] = {}

    def add(self, session: bytes, owner: Owner) -> None:
        """Add a session; one that is known keeps its owner."""
        if session in self._owners:
            return
        self._owners[session] = owner
        self._sessions.setdefault(owner, {})[session] = None
        if len(self._owners) > self._most:
            largest = max(self._sessions.values(), key=len)
            self.remove(next(iter(largest)))

    def remove(self, session: bytes) -> None:
        """Forget a session, if it is known."""
        owner = self._owners.pop(session, None)
        if owner is not None:
            own = self._sessions[owner]
            del own[session]
            if not own:
                del self._sessions[owner]

    def is_owner(self, session: bytes, owner: Owner) -> bool:
        """Return whether a session is a caller's, and note that the caller uses it."""
        if self._owners.get(session) != owner:
            return False
        own = self._sessions.pop(owner)
        del own[session]
        own[session] = None
        self._sessions[owner] = own
        return True
