"""Who may cause a refresh or wait for one: the table of `refresh_policy`, and budgets that no client can exceed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_key_state import EMPTY, TROUBLE, failed_times, snapshot, state_with

from entra_guard import KeySettings
from entra_guard._keys.budget import KnownCallersBudget, RefreshBudget
from entra_guard._keys.refresh_policy import (
    LIMITED_WAITING,
    PER_CALLER,
    SHORT_WAIT,
    Admission,
    Cause,
    RefreshRequest,
    RefreshRound,
    admit,
    kid_found,
    kid_not_found,
    start,
)
from entra_guard._keys.state import KeyCacheState, fail, succeed

UNKNOWN = RefreshRequest(Cause.UNKNOWN_KID, "kid", "stranger")
KNOWN = RefreshRequest(Cause.UNKNOWN_KID, "kid", "alice", is_known_caller=True)
TASK = replace(UNKNOWN, is_task=True)
BAD_SIGNATURE = RefreshRequest(Cause.BAD_SIGNATURE, "kid", "alice", is_known_caller=True)
NO_KEYS = RefreshRequest(Cause.NO_KEYS)


def used_up(state: KeyCacheState, now: float = 0.0) -> KeyCacheState:
    """Return the state after a flood has used up the general budget for 300 s."""
    return replace(state, general=RefreshBudget(now + 300.0, now, 300.0))


NORMAL = state_with("a")
LIMITED = kid_not_found(NORMAL, 0.0)
FAILING = failed_times(NORMAL, 1, jitter=0.0)  # its back-off is over


# --- who may start a round ---


@pytest.mark.parametrize("request_", [UNKNOWN, KNOWN, BAD_SIGNATURE, NO_KEYS], ids=lambda r: r.cause.name)
@pytest.mark.parametrize(
    "state", [NORMAL, LIMITED, FAILING, EMPTY], ids=["normal", "limited", "failing", "empty"]
)
def test_the_first_round_is_free_in_every_state(state: KeyCacheState, request_: RefreshRequest) -> None:
    assert start(state, request_, 0.0, 0.0) is not None


@pytest.mark.parametrize("request_", [UNKNOWN, KNOWN, BAD_SIGNATURE, NO_KEYS], ids=lambda r: r.cause.name)
def test_within_a_back_off_no_token_starts_a_round(request_: RefreshRequest) -> None:
    state = failed_times(NORMAL, 4, now=100.0)
    assert start(state, request_, 107.9, 0.0) is None
    assert start(state, request_, 108.0, 0.0) is not None


def test_a_flood_leaves_a_budget_to_known_callers() -> None:
    state = used_up(NORMAL)
    assert start(state, UNKNOWN, 0.0, 0.0) is None
    assert start(state, KNOWN, 0.0, 0.0) is not None


def test_a_caller_without_an_object_id_is_not_a_known_caller() -> None:
    assert start(used_up(NORMAL), RefreshRequest(Cause.UNKNOWN_KID, "kid"), 0.0, 0.0) is None


def test_a_flood_that_names_one_known_caller_leaves_a_budget_to_all_others() -> None:
    state, now, started = used_up(NORMAL, 0.0), 0.0, 0
    while now < 290.0:
        after = start(state, KNOWN, now, 0.0)
        if after is not None:
            state, started = after, started + 1
        now += 1.0
    assert started == 2
    assert start(state, replace(KNOWN, caller="bob"), now, 0.0) is not None


def test_a_new_key_makes_all_budgets_new() -> None:
    state = start(start(NORMAL, UNKNOWN, 0.0, 0.0), KNOWN, 0.0, 0.0)
    nothing_new = succeed(state, snapshot("a", at=1.0), 1.0, 0.5)
    assert start(nothing_new, UNKNOWN, 2.0, 0.0) is None
    assert start(nothing_new, KNOWN, 2.0, 0.0) is None
    for news in (snapshot("a", "b", at=3.0), snapshot("a", at=3.0, material=1)):
        after = succeed(nothing_new, news, 3.0, 0.5)
        assert after.general == RefreshBudget()
        assert after.for_known_callers == KnownCallersBudget()


# --- who may wait for the round in flight ---


def admitted(
    state: KeyCacheState, request: RefreshRequest, *, count: int = 30, now: float = 0.0
) -> list[Admission]:
    """Let some tokens ask to wait for a round that began at 0."""
    round_, answers = RefreshRound(state.settings, 0.0), []
    for _ in range(count):
        answer = admit(state, round_, request, now)
        answers.append(answer)
        if answer in (Admission.WAIT, Admission.WAIT_SHORTLY):
            round_.add(request)
    return answers


def test_without_keys_all_tokens_wait() -> None:
    assert set(admitted(EMPTY, NO_KEYS, count=5000)) == {Admission.WAIT}


def test_while_rounds_fail_only_known_callers_wait() -> None:
    assert set(admitted(FAILING, UNKNOWN)) == {Admission.REFUSED}
    assert admitted(FAILING, KNOWN) == [Admission.WAIT] * PER_CALLER + [Admission.REFUSED] * (30 - PER_CALLER)


def test_after_a_kid_is_not_found_few_unknown_callers_wait() -> None:
    few = [Admission.WAIT] * LIMITED_WAITING + [Admission.REFUSED] * (30 - LIMITED_WAITING)
    assert admitted(LIMITED, UNKNOWN) == few
    assert admitted(LIMITED, TASK) == few
    assert admitted(LIMITED, BAD_SIGNATURE) == few


def test_after_a_kid_is_not_found_a_known_caller_has_own_places() -> None:
    round_ = RefreshRound(KeySettings(), 0.0)
    for _ in range(LIMITED_WAITING):
        round_.add(UNKNOWN)
    assert admit(LIMITED, round_, UNKNOWN, 0.0) is Admission.REFUSED
    for _ in range(PER_CALLER):
        assert admit(LIMITED, round_, KNOWN, 0.0) is Admission.WAIT
        round_.add(KNOWN)
    assert admit(LIMITED, round_, KNOWN, 0.0) is Admission.WAIT_SHORTLY
    assert admit(LIMITED, round_, KNOWN, SHORT_WAIT) is Admission.REFUSED


@pytest.mark.parametrize("state", [NORMAL, LIMITED, FAILING], ids=["normal", "limited", "failing"])
def test_a_flood_that_names_many_known_callers_holds_no_more_threads_than_one_half_more(
    state: KeyCacheState,
) -> None:
    bound, waiting = KeySettings().max_waiting_threads, 0
    round_ = RefreshRound(KeySettings(), 0.0)
    for number in range(1000):
        request = replace(KNOWN, caller=f"caller {number}")
        if admit(state, round_, request, SHORT_WAIT) is Admission.WAIT:
            round_.add(request)
            waiting += 1
    assert waiting <= bound + bound // 2


def test_the_limit_ends_with_time_or_with_a_requested_kid() -> None:
    assert admitted(LIMITED, UNKNOWN, now=299.9)[-1] is Admission.REFUSED
    assert admitted(LIMITED, UNKNOWN, now=300.0)[0] is Admission.WAIT
    assert admitted(kid_found(LIMITED), UNKNOWN)[7] is Admission.WAIT


def test_otherwise_threads_wait_within_their_bound_and_the_others_for_half_a_second() -> None:
    bound = KeySettings().max_waiting_threads
    early, late = admitted(NORMAL, UNKNOWN), admitted(NORMAL, UNKNOWN, now=SHORT_WAIT)
    assert early == [Admission.WAIT] * bound + [Admission.WAIT_SHORTLY] * (30 - bound)
    assert late == [Admission.WAIT] * bound + [Admission.BUSY] * (30 - bound)


def test_otherwise_tasks_wait_within_a_bound_of_their_own() -> None:
    state = KeyCacheState(KeySettings(max_waiting_tasks=20, max_waiting_threads=0), snapshot("a", at=0.0))
    assert admitted(state, TASK, now=1.0) == [Admission.WAIT] * 20 + [Admission.BUSY] * 10
    assert set(admitted(state, UNKNOWN, now=1.0)) == {Admission.BUSY}


def test_a_signature_that_fails_proves_no_caller() -> None:
    round_ = RefreshRound(KeySettings(), 0.0)
    round_.add(BAD_SIGNATURE)
    assert (sum(round_.unknown.values()), round_.by_caller.total()) == (1, 0)


def test_a_round_remembers_a_bounded_number_of_kids() -> None:
    round_ = RefreshRound(KeySettings(), 0.0)
    for number in range(10_000):
        round_.add(replace(TASK, kid=f"kid {number}"))
    assert len(round_.requested_kids) <= 256


# --- budgets ---


def gaps_of_a_flood(state: KeyCacheState, seconds: float) -> list[float]:
    """Return the seconds between the rounds that a flood without a pause starts."""
    moments, now = [], 0.0
    while now <= seconds:
        after = start(state, UNKNOWN, now, 0.0)
        if after is not None:
            state, moments = after, [*moments, now]
        now += 1.0
    return [later - earlier for earlier, later in pairwise(moments)]


def test_a_flood_of_unknown_kids_gets_a_round_per_30_seconds_at_first_and_per_5_minutes_later() -> None:
    assert gaps_of_a_flood(NORMAL, 1700.0) == [30, 60, 120, 240, 300, 300, 300, 300]


def test_jitter_keeps_a_fleet_from_refreshing_in_step_and_never_shortens_a_cooldown() -> None:
    settings = KeySettings()
    first = {RefreshBudget().consume(settings, 0.0, jitter).available_at for jitter in (0.0, 0.3, 0.7, 1.0)}
    assert first == {30.0, 34.5, 40.5, 45.0}
    later = RefreshBudget(available_at=240.0, last=0.0, cooldown=240.0).consume(settings, 240.0, 1.0)
    assert later.available_at == 540.0


def test_a_client_that_sends_a_wrong_token_every_five_minutes_does_not_make_the_cooldown_long() -> None:
    state = NORMAL
    for now in range(0, 36_000, 301):
        after = start(state, UNKNOWN, float(now), 0.0)
        assert after is not None
        state = after
        assert state.general.cooldown == 30.0


def most_in(seconds: float, settings: KeySettings) -> float:
    """Return the general budget, as `RefreshBudget.consume` promises it."""
    doublings = math.ceil(math.log2(settings.max_cooldown / settings.cooldown))
    return seconds / settings.max_cooldown + 2 + doublings


def most_for_known_callers_in(seconds: float, settings: KeySettings) -> float:
    return 8 * (seconds // settings.max_cooldown + 1)


@st.composite
def budgets(draw: st.DrawFn) -> KeySettings:
    cooldown = draw(st.sampled_from([1.0, 7.0, 30.0, 300.0]))
    return KeySettings(cooldown=cooldown, max_cooldown=cooldown * draw(st.sampled_from([1.0, 3.0, 10.0])))


@given(
    settings=budgets(),
    pauses=st.lists(st.integers(0, 2000), min_size=1, max_size=80),
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_general_budget_holds_in_every_period_however_a_flood_is_timed(
    settings: KeySettings, pauses: list[int], jitter: float
) -> None:
    budget, now, used = RefreshBudget(), 0.0, []
    for pause in pauses:
        now = max(now + pause, budget.available_at if pause < 1 else 0.0)  # a flood waits no second longer
        if now >= budget.available_at:
            budget = budget.consume(settings, now, jitter)
            used.append(now)
    assert all(later - earlier >= settings.cooldown for earlier, later in pairwise(used))
    for first, earlier in enumerate(used):
        for last, later in enumerate(used[first:], first):
            assert last - first + 1 <= most_in(later - earlier, settings)


@given(
    settings=budgets(),
    steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12)), min_size=1, max_size=120),
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_budget_for_known_callers_holds_in_every_period_for_all_callers_that_a_flood_names(
    settings: KeySettings, steps: list[tuple[int, int]], jitter: float
) -> None:
    budget, now, used = KnownCallersBudget(), 0.0, []
    for pause, number in steps:
        now, caller = now + pause, f"caller {number}"
        if now >= budget.available_at(caller, settings, now):
            budget = budget.consume(caller, settings, now, jitter)
            used.append((now, caller))
    for first, (earlier, _caller) in enumerate(used):
        for last, (later, _other) in enumerate(used[first:], first):
            assert last - first + 1 <= most_for_known_callers_in(later - earlier, settings)
            own = [when for when, caller in used[first : last + 1] if caller == used[first][1]]
            assert len(own) <= 2 * ((later - earlier) // settings.max_cooldown + 1)
            assert all(b - a >= settings.cooldown for a, b in pairwise(own))
    assert len(budget.uses) <= 16


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 500), st.booleans(), st.sampled_from(["nothing new", "no response"])),
        max_size=60,
    )
)
def test_no_client_gets_more_than_both_budgets_or_an_attempt_within_a_back_off(
    steps: list[tuple[int, bool, str]],
) -> None:
    state, now, rounds = NORMAL, 0.0, []
    for number, (pause, is_known, outcome) in enumerate(steps):
        now += pause
        request = replace(KNOWN, caller=f"caller {number % 10}") if is_known else UNKNOWN
        after = start(state, request, now, 0.0)
        if after is None:
            continue
        assert state.may_attempt(now)
        rounds.append(now)
        state = (
            fail(after, TROUBLE, now, now, 0.5)
            if outcome == "no response"
            else succeed(after, snapshot("a", at=now), now, 0.5)
        )
    if rounds:
        seconds, settings = rounds[-1] - rounds[0], state.settings
        assert len(rounds) <= most_in(seconds, settings) + most_for_known_callers_in(seconds, settings)
