"""State of one issuer's keys, without clock, lock or I/O: a transition takes `now` and returns a new state.

What was accepted is used until something newer is accepted, or until it is too old. Times are seconds of a
monotonic clock, so a jump of the wall clock changes nothing. Which tokens may cause a refresh is decided in
`refresh_policy`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from entra_guard._keys.budget import FULL_BUDGET, FULL_KNOWN_CALLERS_BUDGET, NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._keys.budget import KnownCallersBudget, RefreshBudget
    from entra_guard._keys.settings import KeySettings
    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.jwks import KeySet, SigningKey


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The documents that were accepted, and when they were requested.

    Attributes:
        issuer: The issuer.
        keys_url: Where its keys are.
        keys: Its keys.
        fetched_at: When the keys were requested.
        configured_at: When the OpenID configuration was requested; NEVER for one from a file.
        generation: The number of different key sets so far.
        retired: Withdrawn keys by kid, and until when they are used.
    """

    issuer: Issuer
    keys_url: str
    keys: KeySet
    fetched_at: float
    configured_at: float
    generation: int = 1
    retired: Mapping[str, tuple[SigningKey, float]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def by_kid(self) -> dict[str, SigningKey]:
        """All keys that verify tokens."""
        return {kid: key for kid, (key, _until) in self.retired.items()} | dict(self.keys.by_kid)

    @property
    def pinned(self) -> Issuer | None:
        """The issuer that every later configuration must name; a file pins nothing."""
        return None if self.configured_at == NEVER else self.issuer


@dataclass(frozen=True, slots=True)
class KeyCacheState:
    """All that is known about an issuer's keys and about the attempts to fetch them.

    Attributes:
        settings: The settings.
        snapshot: The cached keys, or None.
        failures: Failed rounds since the last success.
        refused: Responses that were refused since the start.
        last_error: The error of the last round, or None after a success.
        generations: The last snapshot's generation, also after the snapshot was dropped.
        next_attempt: When the next background refresh is due. While rounds fail, this is the end of the
            back-off: what the authority's Retry-After says, up to `refresh`.
        next_forced_attempt: When a token may cause a refresh again while rounds fail: the same back-off, but
            Retry-After counts up to `max_backoff` only. One response must not stop look-ups for an hour.
        general: The budget of refreshes for unknown kids, for all callers.
        for_known_callers: The budget for callers whose tokens were verified before.
        limited_until: Until then few unknown callers may wait, as a kid was not found: see `refresh_policy`.
    """

    settings: KeySettings
    snapshot: Snapshot | None = None
    failures: int = 0
    refused: int = 0
    last_error: Exception | None = None
    generations: int = 0
    next_attempt: float = NEVER
    next_forced_attempt: float = NEVER
    general: RefreshBudget = FULL_BUDGET
    for_known_callers: KnownCallersBudget = FULL_KNOWN_CALLERS_BUDGET
    limited_until: float = NEVER

    @property
    def failing(self) -> bool:
        """Return whether the last round failed."""
        return self.failures > 0

    def age(self, now: float) -> float | None:
        """Return the seconds since the cached keys were requested, or None without keys."""
        return None if self.snapshot is None else now - self.snapshot.fetched_at

    def answered_since(self, moment: float) -> bool:
        """Return whether the cached keys were requested after this moment: a kid they lack did not exist."""
        return self.snapshot is not None and self.snapshot.fetched_at >= moment

    def ends(self) -> float:
        """Return when the cached keys change by themselves: too old, or a retired key's grace is over."""
        if self.snapshot is None:
            return float("inf")
        graces = [until for _key, until in self.snapshot.retired.values()]
        return min([self.snapshot.fetched_at + self.settings.max_stale, *graces])

    def due(self, now: float) -> bool:
        """Return whether the background refresh must run."""
        return now >= self.next_attempt

    def may_attempt(self, now: float) -> bool:
        """Return whether a token may cause a round: not within a back-off."""
        return not self.failing or now >= self.next_forced_attempt

    def needs_configuration(self, now: float) -> bool:
        """Return whether the next round reads the OpenID configuration: it is old, or may be the fault."""
        snapshot = self.snapshot
        if snapshot is None or self.failing:
            return True
        return now - snapshot.configured_at >= self.settings.configuration_life


def succeed(state: KeyCacheState, snapshot: Snapshot, now: float, jitter: float) -> KeyCacheState:
    """Return the state after a round that brought acceptable keys.

    Args:
        state: The state before.
        snapshot: What was fetched; its generation and retired keys are set here.
        now: Monotonic seconds.
        jitter: From 0 to 1: where in the tenth around the refresh interval the next refresh lies.
    """
    adopted = adopt(state, snapshot, now)
    if adopted is state:
        return state
    next_attempt = now + state.settings.refresh * (0.9 + 0.2 * jitter)
    return replace(adopted, failures=0, last_error=None, next_attempt=next_attempt, next_forced_attempt=NEVER)


def adopt(state: KeyCacheState, snapshot: Snapshot, now: float) -> KeyCacheState:
    """Return the state with these keys if they are newer; due times and back-off stay.

    A keys file is adopted this way: it is not a response of the authority.
    """
    old = state.snapshot
    if old is not None and snapshot.fetched_at < old.fetched_at:
        return state  # requested before the cached keys
    before: Mapping[str, SigningKey] = old.keys.by_kid if old else {}
    fresh = replace(
        snapshot,
        generation=old.generation + (before != snapshot.keys.by_kid) if old else state.generations + 1,
        retired=_retired(old, snapshot.keys, now, state.settings.retired_key_grace),
    )
    adopted = replace(state, snapshot=fresh, generations=fresh.generation)
    has_new_key = any(before.get(kid) != key for kid, key in snapshot.keys.by_kid.items())
    if has_new_key:  # the budgets served their purpose
        return replace(adopted, general=FULL_BUDGET, for_known_callers=FULL_KNOWN_CALLERS_BUDGET)
    return adopted


def after_fork(state: KeyCacheState, jitter: float) -> KeyCacheState:
    """Return a forked child's state, with a refresh time of its own: workers must not refresh in step.

    Args:
        state: The parent's state.
        jitter: From 0 to 1.
    """
    if state.snapshot is None or state.failing or state.next_attempt == NEVER:
        return state
    next_attempt = state.snapshot.fetched_at + state.settings.refresh * (0.9 + 0.2 * jitter)
    return replace(state, next_attempt=next_attempt)


def fail(
    state: KeyCacheState,
    error: Exception,
    began: float,
    now: float,
    jitter: float,
    *,
    retry_after: float | None = None,
    refused: bool = False,
) -> KeyCacheState:
    """Return the state after a failed round: the keys stay, and the next attempt moves away.

    The back-off has full jitter, and doubles from 1 s to `max_backoff`.

    Args:
        state: The state before.
        error: What failed.
        began: When the round began, in monotonic seconds.
        now: Monotonic seconds.
        jitter: From 0 to 1.
        retry_after: Seconds that the authority wants us to wait. The background obeys up to the refresh
            interval, and up to `max_backoff` without keys, when callers are refused meanwhile.
        refused: Whether a response arrived and was refused.
    """
    if state.snapshot is not None and state.snapshot.fetched_at > began:
        return state  # a later round succeeded meanwhile
    settings = state.settings
    delay = jitter * min(settings.max_backoff, 2.0 ** min(state.failures, 20))
    requested = retry_after or 0.0
    obeyed = settings.max_backoff if state.snapshot is None else settings.refresh
    return replace(
        state,
        failures=state.failures + 1,
        refused=state.refused + refused,
        last_error=error,
        next_attempt=now + max(delay, min(requested, obeyed)),
        next_forced_attempt=now + max(delay, min(requested, settings.max_backoff)),
    )


def expire(state: KeyCacheState, now: float) -> KeyCacheState:
    """Return the state without keys that are too old, and without retired keys whose grace is over."""
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
    """Return the keys that were withdrawn and are still used: none, unless a grace was configured."""
    if old is None or not grace:
        return MappingProxyType({})
    # Not a kid that is still published, but without a usable key. Not a key without a kid: next to the new
    # one, nothing would say which of the two a token means.
    listed = keys.by_kid.keys() | keys.unusable.keys()
    gone = {kid: (key, now + grace) for kid, key in old.keys.by_kid.items() if kid not in listed and key.kid}
    still = {kid: entry for kid, entry in old.retired.items() if now < entry[1] and kid not in listed}
    return MappingProxyType(gone | still)
