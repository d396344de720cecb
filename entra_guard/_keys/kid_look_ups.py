"""Kids that were looked up: what a look-up brought, and which kids are not looked up again soon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cachetools import TTLCache

from entra_guard._common.lru import LRUCache
from entra_guard._keys import refresh_policy
from entra_guard._keys.refresh_policy import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard._keys.refresh_policy import RefreshRound
    from entra_guard._keys.settings import KeySettings
    from entra_guard._keys.state import KeyCacheState, Snapshot

_REMEMBERED: Final = 256


class KidLookUps:
    """The kids that were looked up lately. Changed under its owner's lock; `was_rechecked` needs none.

    Args:
        settings: How long kids are remembered.
        monotonic: Seconds that only increase.
    """

    def __init__(self, settings: KeySettings, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        # Kids whose signatures failed, and until when they cause no further refresh.
        self._rechecked: LRUCache[str, float] = LRUCache(_REMEMBERED)
        # Kids that were not found: looking them up again says nothing new about a flood.
        self.not_found: TTLCache[str, None] = TTLCache(
            _REMEMBERED, 2 * settings.max_cooldown, timer=monotonic
        )

    def was_rechecked(self, kid: str, now: float) -> bool:
        """Return whether new material under this kid was looked up so recently that it is not done again."""
        until = self._rechecked.get(kid)
        return until is not None and now < until

    def add_recheck(self, kid: str, now: float) -> None:
        """Remember that new material under this kid is looked up."""
        self._rechecked.put(kid, now + self._settings.max_cooldown)

    def after_round(self, old: Snapshot | None, state: KeyCacheState, round_: RefreshRound) -> KeyCacheState:
        """Return the state with what a round that succeeded says about a flood.

        Args:
            old: The keys before.
            state: The state with the keys that the round brought.
            round_: The round.
        """
        before: dict[str, Any] = {} if old is None else old.by_kid
        assert state.snapshot is not None  # noqa: S101  # the round has succeeded
        brought = {kid: key for kid, key in state.snapshot.by_kid.items() if before.get(kid) is not key}
        requested = round_.requested_kids
        if any(kid in requested or kid in self.not_found or not key.kid for kid, key in brought.items()):
            return refresh_policy.kid_found(state)
        request = round_.request
        if request is None or request.cause is Cause.NO_KEYS:
            return state
        is_repeated = request.kid in self.not_found
        self.not_found[request.kid] = None
        return state if is_repeated else refresh_policy.kid_not_found(state, self._monotonic())
