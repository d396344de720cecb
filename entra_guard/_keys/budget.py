"""Budgets for refreshes that a client can cause. Pure: each use returns a new budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard._keys.settings import KeySettings

# A time before all others: a task that is due since then is due.
NEVER: Final = float("-inf")

_PER_CALLER: Final = 2
_ALL_CALLERS: Final = 8


@dataclass(frozen=True, slots=True)
class RefreshBudget:
    """When an unknown kid may cause a refresh again: the first is free, the next ones ever later."""

    available_at: float = NEVER
    last: float = NEVER
    cooldown: float = 0.0

    def consume(self, settings: KeySettings, now: float, jitter: float) -> RefreshBudget:
        """Return the budget after a refresh.

        The cooldown doubles, less one halving for every `max_cooldown` since the last refresh. So a flood
        gets one refresh per `max_cooldown`, and a client that sends one wrong token now and then keeps the
        cooldown short. In any T seconds there are at most T / max_cooldown + 2 refreshes, plus the number of
        doublings from `cooldown` to `max_cooldown`. The jitter lengthens the cooldown by up to a half:
        without it, a fleet that one flood hits would refresh in step (benchmarks/fleet.py measures it).
        """
        halvings = (now - self.last) // settings.max_cooldown if self.cooldown else 0
        wanted = 2 * self.cooldown / 2.0 ** min(halvings, 64)
        cooldown = min(settings.max_cooldown, max(settings.cooldown, wanted))
        wait = min(settings.max_cooldown, cooldown * (1 + jitter / 2))
        return RefreshBudget(now + wait, now, cooldown)


@dataclass(frozen=True, slots=True)
class _Use:
    """One refresh that a known caller's token caused."""

    caller: str
    at: float
    again_at: float


@dataclass(frozen=True, slots=True)
class KnownCallersBudget:
    """Refreshes for known callers, for times when a flood has used up the general budget.

    A token names its caller before it is verified, so a forged token can use this budget too. A flood that
    names one caller therefore gets two refreshes per `max_cooldown` from it, and leaves six for all others.
    In any T seconds there are at most 8 * (T / max_cooldown + 1) refreshes.
    """

    uses: tuple[_Use, ...] = ()

    def available_at(self, caller: str, settings: KeySettings, now: float) -> float:
        """Return when this caller's token may cause a refresh; NEVER for at once."""
        end, own, total = NEVER, 0, 0
        for use in reversed(self.uses):  # the latest first
            ends = use.at + settings.max_cooldown
            is_recent = now < ends
            total += is_recent
            if use.caller == caller:
                own += is_recent
                end = max(end, use.again_at)
                if own == _PER_CALLER:
                    end = max(end, ends)
            if total == _ALL_CALLERS:
                end = max(end, ends)
                break
        return end

    def consume(self, caller: str, settings: KeySettings, now: float, jitter: float) -> KnownCallersBudget:
        """Return the budget after a refresh for this caller."""
        use = _Use(caller, now, now + settings.cooldown * (1 + jitter / 2))
        return KnownCallersBudget((*self._recent(settings, now), use))

    def _recent(self, settings: KeySettings, now: float) -> list[_Use]:
        return [use for use in self.uses if now < max(use.again_at, use.at + settings.max_cooldown)]


FULL_BUDGET: Final = RefreshBudget()
FULL_KNOWN_CALLERS_BUDGET: Final = KnownCallersBudget()
