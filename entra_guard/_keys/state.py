"""Pure state of one issuer's keys: no clock, lock or I/O. Every transition takes `now` and gives a new state.

Two rules: what was accepted serves until something newer was accepted, or until it is too old; and
nothing that strangers send makes the state ask the authority more often than the settings allow.
`now` is a monotonic clock's seconds throughout, so a jump of the wall clock changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.jwks import KeySet, SigningKey

NEVER: Final = float("-inf")
"""A moment before all others: what is due since then is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """How keys are kept, all in seconds.

    Attributes:
        refresh: Between two background refreshes, give or take a tenth; at least 60.
        max_stale: How old keys may become while the authority is down. (The longest public outage of
            Entra's lasted 14 h 25 min.)
        cooldown: Between two refreshes because of an unknown kid, and up to half as long again; doubles
            while nothing new appears.
        max_cooldown: The end of that doubling, the most that an unknown kid is remembered, and the time
            between two looks for new material under a kid whose signatures fail.
        wait: The most a request waits for a refresh.
        max_backoff: The end of the doubling after failures, which begins at 1.
        configuration_life: How long the OpenID configuration serves before it is read again.
        retired_key_grace: How long a key that was withdrawn goes on serving.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> KeySettings(max_stale=7 * 24 * 3600).refresh  # a host whose keys file is brought once a week
        3600.0
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
        least = {
            "refresh": 60.0,
            "max_stale": self.refresh,
            "cooldown": 1.0,
            "max_cooldown": self.cooldown,
            "wait": 0.0,
            "max_backoff": 1.0,
            "configuration_life": 0.0,
            "retired_key_grace": 0.0,
        }
        for name, smallest in least.items():
            if not smallest <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} is in seconds, at least {smallest:g} here, and finite")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was accepted, and when it was asked for."""

    issuer: Issuer
    keys_url: str
    keys: KeySet
    fetched_at: float
    configured_at: float
    """When the OpenID configuration was asked for; NEVER for one that only a file has."""
    generation: int = 1
    retired: Mapping[str, tuple[SigningKey, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Withdrawn keys by kid, and until when they serve."""

    @property
    def by_kid(self) -> dict[str, SigningKey]:
        """All keys that serve."""
        return {kid: key for kid, (key, _until) in self.retired.items()} | dict(self.keys.by_kid)

    @property
    def pinned(self) -> Issuer | None:
        """The issuer that every later configuration must name; a file's word pins nothing."""
        return None if self.configured_at == NEVER else self.issuer


@dataclass(frozen=True, slots=True)
class RefreshBudget:
    """When something that strangers can cause may be done again: the first is free, then ever later."""

    available_at: float = NEVER
    last: float = NEVER
    cooldown: float = 0.0

    def consume(self, settings: KeySettings, now: float, jitter: float) -> RefreshBudget:
        """Do it now: the cooldown doubles, less one halving for every `max_cooldown` since the last time.

        So it sinks to one in `max_cooldown` under a flood, and stays short where a single stray client
        asks once in a while. In any T seconds there are at most T / max_cooldown + 2 and as many more
        as there are doublings from `cooldown` to `max_cooldown`. The jitter lengthens the cooldown by up
        to a half, or a fleet that one flood hits would ask in step (benchmarks/fleet.py shows it).
        """
        halvings = (now - self.last) // settings.max_cooldown if self.cooldown else 0
        wanted = 2 * self.cooldown / 2.0 ** min(halvings, 64)
        cooldown = min(settings.max_cooldown, max(settings.cooldown, wanted))
        wait = min(settings.max_cooldown, cooldown * (1 + jitter / 2))
        return RefreshBudget(now + wait, now, cooldown)


@dataclass(frozen=True, slots=True)
class KeyCacheState:
    """All that is known about an issuer's keys and about the attempts to fetch them."""

    settings: KeySettings
    snapshot: Snapshot | None = None
    failures: int = 0
    """Failed rounds since the last success."""
    refused: int = 0
    """Answers that were refused since the start."""
    last_error: Exception | None = None
    generations: int = 0
    """The last snapshot's generation, also once that is too old."""
    next_attempt: float = NEVER
    """When the next background attempt is due; while failing, no attempt comes before it."""
    forced: RefreshBudget = RefreshBudget()
    """For unknown kids, whoever sends them."""
    reserve: RefreshBudget = RefreshBudget()
    """For unknown kids of familiar callers, when strangers have used up `forced`."""

    @property
    def failing(self) -> bool:
        """Whether the last round failed."""
        return self.failures > 0

    def age(self, now: float) -> float | None:
        """Seconds since the keys at hand were asked for, or None without keys."""
        return None if self.snapshot is None else now - self.snapshot.fetched_at

    def answered_since(self, moment: float) -> bool:
        """Whether the keys at hand were asked for after this moment: then what they lack did not exist."""
        return self.snapshot is not None and self.snapshot.fetched_at >= moment

    def ends(self) -> float:
        """When what serves now will change by itself: the keys too old, or a retired key's grace over."""
        if self.snapshot is None:
            return float("inf")
        graces = [until for _key, until in self.snapshot.retired.values()]
        return min([self.snapshot.fetched_at + self.settings.max_stale, *graces])

    def due(self, now: float) -> bool:
        """Whether the background refresh should run."""
        return now >= self.next_attempt

    def may_attempt(self, now: float) -> bool:
        """Whether a caller may cause a round at all: always, but not within a back-off."""
        return not self.failing or now >= self.next_attempt

    def needs_configuration(self, now: float) -> bool:
        """Whether the next round reads the OpenID configuration too: it is old, or may be to blame."""
        snapshot = self.snapshot
        if snapshot is None or self.failing:
            return True
        return now - snapshot.configured_at >= self.settings.configuration_life


def start_forced_refresh(
    state: KeyCacheState, now: float, jitter: float, *, is_known_caller: bool
) -> KeyCacheState | None:
    """Begin a refresh because of an unknown kid, or None where the settings allow none now.

    A flood of forged kids uses up what strangers are allowed. Should Entra change its key without
    notice in just that hour, right tokens would be refused until the cooldown ends. Answering 503 to
    kids that nobody looked up would hand strangers a switch for our 5xx rate (and load balancers would
    take the instance out), and a second allowance for everyone would be emptied by the same flood. So
    the reserve is for what a stranger cannot easily show: a token that names a caller whom the keys at
    hand have verified before.

    Args:
        state: What is known.
        now: Monotonic seconds.
        jitter: From 0 to 1.
        is_known_caller: Whether the token names a caller who was verified before.
    """
    if not state.may_attempt(now):
        return None
    if now >= state.forced.available_at:
        return replace(state, forced=state.forced.consume(state.settings, now, jitter))
    if is_known_caller and now >= state.reserve.available_at:
        return replace(state, reserve=state.reserve.consume(state.settings, now, jitter))
    return None


def succeeded(state: KeyCacheState, snapshot: Snapshot, now: float, jitter: float) -> KeyCacheState:
    """A round brought keys that were accepted.

    Args:
        state: What was known.
        snapshot: What came; its generation and retired keys are set here.
        now: Monotonic seconds.
        jitter: From 0 to 1: where in the tenth around the refresh interval the next one lies.
    """
    served = adopt(state, snapshot, now)
    if served is state:
        return state
    next_attempt = now + state.settings.refresh * (0.9 + 0.2 * jitter)
    return replace(served, failures=0, last_error=None, next_attempt=next_attempt)


def adopt(state: KeyCacheState, snapshot: Snapshot, now: float) -> KeyCacheState:
    """Serve these keys if they are newer; what is due or backing off stays so.

    By itself this is what a keys file does, which is no answer of the authority.
    """
    old = state.snapshot
    if old is not None and snapshot.fetched_at < old.fetched_at:
        return state  # an answer to an older question than the one already answered
    before: Mapping[str, SigningKey] = old.keys.by_kid if old else {}
    fresh = replace(
        snapshot,
        generation=old.generation + (before != snapshot.keys.by_kid) if old else state.generations + 1,
        retired=_retired(old, snapshot.keys, now, state.settings.retired_key_grace),
    )
    news = any(before.get(kid) != key for kid, key in snapshot.keys.by_kid.items())
    again = RefreshBudget() if news else None  # what was asked for has come
    return replace(
        state,
        snapshot=fresh,
        generations=fresh.generation,
        forced=again or state.forced,
        reserve=again or state.reserve,
    )


def after_fork(state: KeyCacheState, jitter: float) -> KeyCacheState:
    """Go on in a forked child, at a time of its own: workers that share their parent's would ask in step.

    Args:
        state: What the parent knew.
        jitter: From 0 to 1.
    """
    if state.snapshot is None or state.failing or state.next_attempt == NEVER:
        return state
    next_attempt = state.snapshot.fetched_at + state.settings.refresh * (0.9 + 0.2 * jitter)
    return replace(state, next_attempt=next_attempt)


def failed(
    state: KeyCacheState,
    error: Exception,
    began: float,
    now: float,
    jitter: float,
    *,
    retry_after: float | None = None,
    refused: bool = False,
) -> KeyCacheState:
    """A round failed: what is at hand stays, and the next attempt moves away (full jitter, 1 s to 5 min).

    Args:
        state: What was known.
        error: What to tell whoever asks.
        began: When the round began, in monotonic seconds.
        now: Monotonic seconds.
        jitter: From 0 to 1.
        retry_after: Seconds the authority asked to wait; obeyed up to the refresh interval, and without
            keys up to `max_backoff`: callers are refused meanwhile.
        refused: Whether an answer came, and was refused.
    """
    if state.snapshot is not None and state.snapshot.fetched_at > began:
        return state  # a later question was answered meanwhile
    settings = state.settings
    delay = jitter * min(settings.max_backoff, 2.0 ** min(state.failures, 20))
    obeyed = settings.max_backoff if state.snapshot is None else settings.refresh
    delay = max(delay, min(retry_after or 0.0, obeyed))
    return replace(
        state,
        failures=state.failures + 1,
        refused=state.refused + refused,
        last_error=error,
        next_attempt=now + delay,
    )


def expire(state: KeyCacheState, now: float) -> KeyCacheState:
    """Let go of what is too old, and of retired keys whose grace is over."""
    snapshot = state.snapshot
    if snapshot is None or now < state.ends():
        return state
    if now - snapshot.fetched_at >= state.settings.max_stale:
        return replace(state, snapshot=None)
    retired = {kid: entry for kid, entry in snapshot.retired.items() if now < entry[1]}
    return replace(state, snapshot=replace(snapshot, retired=MappingProxyType(retired)))


def _retired(
    old: Snapshot | None, keys: KeySet, now: float, grace: float
) -> Mapping[str, tuple[SigningKey, float]]:
    """The keys that were withdrawn and still serve: none, unless a grace was asked for."""
    if old is None or not grace:
        return MappingProxyType({})
    # Not a kid that is still published, but without a usable key. Not a key without a kid: next to the new
    # one, nothing would say which of the two a token means.
    listed = keys.by_kid.keys() | keys.unusable.keys()
    gone = {kid: (key, now + grace) for kid, key in old.keys.by_kid.items() if kid not in listed and key.kid}
    still = {kid: entry for kid, entry in old.retired.items() if now < entry[1] and kid not in listed}
    return MappingProxyType(gone | still)
