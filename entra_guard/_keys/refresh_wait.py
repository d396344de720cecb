"""How long one token has waited for newer keys, and may still wait. Waits for nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future


class RefreshWait:
    """A token that waits for newer keys: since when, for which round, and whether a round has failed it."""

    __slots__ = ("_longest", "failed", "round", "rounds", "since")

    round: Future[None]

    def __init__(self, since: float, longest: float) -> None:
        self.since = since
        self._longest = longest
        self.rounds = 0
        self.failed = False

    def next_round(self, round_: Future[None]) -> RefreshWait:
        """Wait for this round now."""
        self.round = round_
        self.rounds += 1
        return self

    def remaining(self, now: float) -> float:
        """Seconds that it may still wait, in all its rounds together."""
        return max(0.0, self.since + self._longest - now)
