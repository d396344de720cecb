"""Decide which tokens may cause a refresh of the keys, and which may wait for one.

Why this needs rules
--------------------
Entra may change its keys at any time without notice. A token with a kid that the cached keys lack is then
either the first token of a new key, which must be accepted, or a forged one, which costs its sender nothing.
Before the key is fetched, the two look the same. So a guard has to fetch for unknown kids, and yet

- a flood of forged kids must not become a flood of requests to Entra (Microsoft: at most one refresh per
  five minutes for unknown kids). So the budgets: `budget.RefreshBudget`, and `budget.KnownCallersBudget`
  for callers whom a flood must not lock out;
- a flood must not hold the threads of a threaded server. So the bounds on waiting;
- valid tokens must not be refused. So the bounds are wide until there is evidence of a flood, and a token
  beyond them gets 503 with Retry-After: 401 would be a statement about the token.

Evidence of a flood is a kid that is not found: a refresh for it, and the new keys lack it, too. From then
on few unknown callers wait, and the others get 401 at once. This LIMITED state ends when `max_cooldown` has
passed without such a kid, or when a refresh brings a kid that a token had requested. A kid that is not found
again does not prolong it, or one client with one wrong token would keep it up forever.

States
------
| state   | holds when                                 | left by                                            |
|---------|--------------------------------------------|----------------------------------------------------|
| NO KEYS | nothing was fetched, or it is too old      | a round that succeeds; a keys file                 |
| FAILING | the last round failed                      | a round that succeeds                              |
| LIMITED | a kid not found within `max_cooldown`      | time; a round that brings a requested kid          |
| NORMAL  | none of these                              | a failed round; a kid not found; keys too old      |

FAILING and LIMITED may hold at once; FAILING decides then.

What a token gets
-----------------
An `unknown kid` is one that the cached keys lack, or that is published without a usable key.

| state   | token         | a round is in flight                     | none, but budget | none, no budget  |
|---------|---------------|------------------------------------------|------------------|------------------|
| NO KEYS | any           | waits                                    | starts one       | 503 (back-off)   |
| FAILING | unknown kid   | known callers wait (1), others get 503   | starts one       | 503 (back-off)   |
| LIMITED | unknown kid   | known callers (1) and 4 wait, others 401 | starts one       | 401              |
| NORMAL  | unknown kid   | waits within bounds (2), others get 503  | starts one       | 401              |
| any     | bad signature | as an unknown caller, but 401 for 503    | starts one (3)   | 401              |

(1) Up to 4 at once that name the same caller, and half of the bounds (2) for all of them: a forged token may
    name a known caller. More of them are treated as unknown callers, except that all wait shortly (2).
(2) `max_waiting_threads` and `max_waiting_tasks`. Beyond them a token waits until the round is half a second
    old: a usual fetch is over by then, and a slow one does not hold the threads.
(3) One per kid and `max_cooldown`, and only tokens with that kid wait for it: new key material under a known
    kid is not how Entra rotates keys. The token never gets 503, as everyone can forge it with a public kid.

A token that has waited for its round gets 503 if its kid is unknown and the round failed or is not done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard._keys.settings import KeySettings
    from entra_guard._keys.state import KeyCacheState

# How many tokens that name the same known caller may wait for one round in places of their own.
PER_CALLER: Final = 4
# How many tokens of unknown callers may wait for one round after a kid was not found.
LIMITED_WAITING: Final = 4
# The age of a round, in seconds, until which more tokens than the bounds allow may wait for it.
SHORT_WAIT: Final = 0.5
_MAX_REQUESTED: Final = 256


class Cause(Enum):
    """Why a token needs newer keys."""

    NO_KEYS = "no keys"
    UNKNOWN_KID = "unknown kid"
    BAD_SIGNATURE = "bad signature"


class Admission(Enum):
    """Whether a token may wait for the round in flight."""

    WAIT = "wait"
    WAIT_SHORTLY = "wait shortly"
    BUSY = "busy"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """One token that needs newer keys.

    Attributes:
        cause: Why.
        kid: The token's kid; '' if there are no keys at all.
        caller: The object id that the unverified token names.
        is_known_caller: Whether a token of this caller was verified before.
        is_task: Whether a task of an event loop waits, and not a thread.
    """

    cause: Cause
    kid: str = ""
    caller: str = ""
    is_known_caller: bool = False
    is_task: bool = False

    @property
    def is_trusted(self) -> bool:
        """Whether the caller's name counts: a signature that fails under a known kid proves no name."""
        return self.is_known_caller and self.cause is Cause.UNKNOWN_KID


class RefreshRound:
    """One fetch in flight, and the tokens that wait for it. Its owner changes it under a lock.

    Args:
        settings: The bounds.
        began: When it began, in monotonic seconds.
        request: The token that started it; None for a refresh in the background.
    """

    __slots__ = ("began", "by_caller", "known", "request", "requested_kids", "settings", "unknown")

    def __init__(self, settings: KeySettings, began: float, request: RefreshRequest | None = None) -> None:
        self.settings = settings
        self.began = began
        self.request = request
        # The numbers of waiting threads (False) and tasks (True): without, and with a place of their caller.
        self.unknown = {False: 0, True: 0}
        self.known = {False: 0, True: 0}
        self.by_caller: Counter[str] = Counter()
        self.requested_kids: set[str] = set()
        if request is not None:
            self.add(request)

    def add(self, request: RefreshRequest) -> None:
        """Count one more token that waits. Tokens that gave up are still counted: the round ends soon."""
        if len(self.requested_kids) < _MAX_REQUESTED:
            self.requested_kids.add(request.kid)
        if self.has_place_of_caller(request):
            self.by_caller[request.caller] += 1
            self.known[request.is_task] += 1
        else:
            self.unknown[request.is_task] += 1

    def has_place_of_caller(self, request: RefreshRequest) -> bool:
        """Return whether one of the places for the token's own caller is free."""
        if not request.is_trusted or self.by_caller[request.caller] >= PER_CALLER:
            return False
        return self.known[request.is_task] < self.bound(request) // 2

    def bound(self, request: RefreshRequest) -> int:
        """Return how many tokens may wait in the same way as this one, without a place of their caller."""
        settings = self.settings
        return settings.max_waiting_tasks if request.is_task else settings.max_waiting_threads


def is_recheck_of(round_: RefreshRound | None, request: RefreshRequest) -> bool:
    """Return whether the round in flight was started for the kid of this token, whose signature fails."""
    started_for = round_.request if round_ is not None else None
    return started_for is not None and (started_for.cause, started_for.kid) == (request.cause, request.kid)


def is_limited(state: KeyCacheState, now: float) -> bool:
    """Return whether a kid was not found lately."""
    return now < state.limited_until


def admit(state: KeyCacheState, round_: RefreshRound, request: RefreshRequest, now: float) -> Admission:
    """Decide whether a token may wait for the round in flight: see the table above.

    Args:
        state: The state of the keys.
        round_: The round in flight.
        request: The token.
        now: Monotonic seconds.
    """
    if request.cause is Cause.NO_KEYS or round_.has_place_of_caller(request):
        return Admission.WAIT
    if state.failing:
        return Admission.REFUSED
    limited = is_limited(state, now)
    if limited:
        has_place = sum(round_.unknown.values()) < LIMITED_WAITING
    else:
        has_place = round_.unknown[request.is_task] < round_.bound(request)
    if has_place:
        return Admission.WAIT
    if now < round_.began + SHORT_WAIT and (request.is_trusted or not limited):
        return Admission.WAIT_SHORTLY
    return Admission.REFUSED if limited else Admission.BUSY


def start(state: KeyCacheState, request: RefreshRequest, now: float, jitter: float) -> KeyCacheState | None:
    """Return the state after a token started a round, or None if it may not start one now.

    Args:
        state: The state of the keys.
        request: The token.
        now: Monotonic seconds.
        jitter: From 0 to 1.
    """
    if not state.may_attempt(now):
        return None
    if request.cause is not Cause.UNKNOWN_KID:
        return state
    if now >= state.general.available_at:
        return replace(state, general=state.general.consume(state.settings, now, jitter))
    if now < may_start_at(state, request, now):
        return None
    budget = state.for_known_callers.consume(request.caller, state.settings, now, jitter)
    return replace(state, for_known_callers=budget)


def may_start_at(state: KeyCacheState, request: RefreshRequest, now: float) -> float:
    """Return when the budgets allow a refresh for a token with an unknown kid."""
    general = state.general.available_at
    if not request.is_trusted or now >= general:
        return general
    return min(general, state.for_known_callers.available_at(request.caller, state.settings, now))


def kid_not_found(state: KeyCacheState, now: float) -> KeyCacheState:
    """Return the state after a refresh for a kid that the new keys lack."""
    return replace(state, limited_until=now + state.settings.max_cooldown)


def kid_found(state: KeyCacheState) -> KeyCacheState:
    """Return the state after a refresh that brought a kid which a token had requested."""
    return replace(state, limited_until=float("-inf"))
