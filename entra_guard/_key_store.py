"""Pure state of one issuer's keys: no clock, lock or I/O. Every transition takes `now` and gives a new state.

Two rules: what was accepted serves until something newer was accepted, or until it is too old; and
nothing that strangers send makes the state ask the authority more often than the settings allow.
`now` is a monotonic clock's seconds throughout, so a jump of the wall clock changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._issuer import Issuer
    from entra_guard._keys import KeySet, SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """How keys are kept, all in seconds.

    Attributes:
        refresh: Between two background refreshes, give or take a tenth.
        max_stale: How old keys may become while the authority is down. (The longest public outage of
            Entra's lasted 14 h 25 min.)
        cooldown: Between two refreshes because of an unknown kid; doubles while nothing new appears.
        max_cooldown: The end of that doubling, and the time between two looks for new material under
            a kid whose signatures fail.
        wait: The most a request waits for a refresh.
        max_backoff: The end of the doubling after failures, which begins at 1.
        configuration_life: How long the OpenID configuration serves before it is read again.
        retired_key_grace: How long a key that was withdrawn goes on serving.
    """

    refresh: float = 3600.0
    max_stale: float = 24 * 3600.0
    cooldown: float = 30.0
    max_cooldown: float = 300.0
    wait: float = 3.0
    max_backoff: float = 300.0
    configuration_life: float = 12 * 3600.0
    retired_key_grace: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("refresh", 60), ("cooldown", 1), ("wait", 0), ("retired_key_grace", 0)):
            if not least <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} is in seconds, and at least {least}")
        if self.max_stale < self.refresh or self.max_cooldown < self.cooldown or self.max_backoff < 1:
            raise ConfigurationError(
                "max_stale, max_cooldown and max_backoff end what begins with the others"
            )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was accepted from the authority, and when it was asked for."""

    issuer: Issuer
    keys_url: str
    keys: KeySet
    fetched_at: float
    configured_at: float
    generation: int = 1
    retired: Mapping[str, tuple[SigningKey, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Withdrawn keys by kid, and until when they serve."""

    @property
    def by_kid(self) -> dict[str, SigningKey]:
        """All keys that serve."""
        return {kid: key for kid, (key, _until) in self.retired.items()} | dict(self.keys.by_kid)


@dataclass(frozen=True, slots=True)
class KeyState:
    """All that is known about an issuer's keys and about the attempts to fetch them."""

    settings: KeySettings
    snapshot: Snapshot | None = None
    failures: int = 0
    """Failed rounds since the last success."""
    refused: int = 0
    """Answers that were refused since the start."""
    last_error: Exception | None = None
    next_attempt: float = float("-inf")
    """When the next background attempt is due; while failing, no attempt comes before it."""
    next_forced: float = float("-inf")
    """When an unknown kid may cause the next refresh."""
    cooldown: float = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last round failed."""
        return self.failures > 0

    def age(self, now: float) -> float | None:
        """Seconds since the keys at hand were asked for, or None without keys."""
        return None if self.snapshot is None else now - self.snapshot.fetched_at

    def too_old(self, now: float) -> bool:
        """Whether the keys at hand must not serve any longer."""
        return self.snapshot is not None and now - self.snapshot.fetched_at >= self.settings.max_stale

    def due(self, now: float) -> bool:
        """Whether the background refresh should run."""
        return now >= self.next_attempt

    def may_attempt(self, now: float) -> bool:
        """Whether a caller without keys may cause a round: always, but not within a back-off."""
        return not self.failing or now >= self.next_attempt

    def may_force(self, now: float) -> bool:
        """Whether an unknown kid may cause a round now."""
        return now >= self.next_forced and self.may_attempt(now)

    def needs_configuration(self, now: float) -> bool:
        """Whether the next round reads the OpenID configuration too."""
        snapshot = self.snapshot
        if snapshot is None or self.failing:
            return True
        return now - snapshot.configured_at >= self.settings.configuration_life


def forced(state: KeyState, now: float) -> KeyState:
    """A refresh because of an unknown kid begins: the next one is as far away as the cooldown says.

    The first is free, and starts the cooldown; each that found nothing new doubles it.
    """
    settings = state.settings
    cooldown = min(settings.max_cooldown, max(settings.cooldown, 2 * state.cooldown))
    return replace(state, cooldown=cooldown, next_forced=now + cooldown)


def succeeded(state: KeyState, snapshot: Snapshot, now: float, jitter: float) -> KeyState:
    """A round brought keys that were accepted.

    Args:
        state: What was known.
        snapshot: What came; its generation and retired keys are set here.
        now: Monotonic seconds.
        jitter: From 0 to 1: where in the tenth around the refresh interval the next one lies.
    """
    old = state.snapshot
    if old is not None and snapshot.fetched_at < old.fetched_at:
        return state  # an answer to an older question than the one already answered
    next_attempt = now + state.settings.refresh * (0.9 + 0.2 * jitter)
    news = old is None or bool(snapshot.keys.by_kid.keys() - old.keys.by_kid.keys())
    fresh = replace(
        snapshot,
        generation=old.generation + (old.keys.by_kid != snapshot.keys.by_kid) if old else 1,
        retired=_retired(old, snapshot.keys, now, state.settings.retired_key_grace),
    )
    state = replace(state, snapshot=fresh, failures=0, last_error=None, next_attempt=next_attempt)
    return replace(state, cooldown=0.0, next_forced=now) if news else state


def failed(
    state: KeyState, error: Exception, now: float, jitter: float, *, retry_after: float | None, refused: bool
) -> KeyState:
    """A round failed: what is at hand stays, and the next attempt moves away (full jitter, 1 s to 5 min).

    Args:
        state: What was known.
        error: What to tell whoever asks.
        now: Monotonic seconds.
        jitter: From 0 to 1.
        retry_after: Seconds the authority asked to wait; obeyed up to the refresh interval.
        refused: Whether an answer came, and was refused.
    """
    settings = state.settings
    delay = jitter * min(settings.max_backoff, 2.0 ** min(state.failures, 20))
    delay = max(delay, min(retry_after or 0.0, settings.refresh))
    return replace(
        state,
        failures=state.failures + 1,
        refused=state.refused + refused,
        last_error=error,
        next_attempt=now + delay,
    )


def expired(state: KeyState, now: float) -> KeyState:
    """Let go of what is too old, and of retired keys whose grace is over."""
    snapshot = state.snapshot
    if snapshot is None or state.too_old(now):
        return state if snapshot is None else replace(state, snapshot=None)
    retired = {kid: entry for kid, entry in snapshot.retired.items() if now < entry[1]}
    if len(retired) == len(snapshot.retired):
        return state
    return replace(state, snapshot=replace(snapshot, retired=MappingProxyType(retired)))


def _retired(
    old: Snapshot | None, keys: KeySet, now: float, grace: float
) -> Mapping[str, tuple[SigningKey, float]]:
    """The keys that were withdrawn and still serve: none, unless a grace was asked for."""
    if old is None or not grace:
        return MappingProxyType({})
    gone = {kid: (key, now + grace) for kid, key in old.keys.by_kid.items() if kid not in keys.by_kid}
    still = {kid: entry for kid, entry in old.retired.items() if now < entry[1] and kid not in keys.by_kid}
    return MappingProxyType(gone | still)
