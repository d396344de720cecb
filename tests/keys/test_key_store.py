"""The pure state of keys: its transitions as a table, and the budget that no stranger can exceed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_guard import ConfigurationError
from entra_guard._keys.state import (
    NEVER,
    KeyCacheState,
    KeySettings,
    RefreshBudget,
    Snapshot,
    adopt,
    after_fork,
    expire,
    failed,
    start_forced_refresh,
    succeeded,
)
from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import read_keys
from entra_guard.emulator import Emulator

HOUR, DAY = 3600.0, 24 * 3600.0
ISSUER = Issuer("https://login.example/{tenantid}/v2.0")
MATERIAL = [key.modulus for key in Emulator().keys]
EMPTY = KeyCacheState(KeySettings())
TROUBLE = RuntimeError("Entra is down")


def snapshot(*kids: str, at: float, material: int = 0) -> Snapshot:
    entries = [{"kty": "RSA", "kid": kid, "n": MATERIAL[material], "e": "AQAB"} for kid in kids]
    keys = read_keys({"keys": entries}, ISSUER)
    return Snapshot(ISSUER, "https://login.example/keys", keys, fetched_at=at, configured_at=at)


def state_with(*kids: str, at: float = 0.0, **settings: float) -> KeyCacheState:
    return succeeded(KeyCacheState(KeySettings(**settings)), snapshot(*kids, at=at), at, 0.5)


def failed_times(state: KeyCacheState, times: int, *, now: float = 0.0, jitter: float = 1.0) -> KeyCacheState:
    for _ in range(times):
        state = failed(state, TROUBLE, now, now, jitter)
    return state


# --- what serves ---


def test_keys_serve_until_they_are_a_day_old_and_not_a_second_longer() -> None:
    state = state_with("a", at=100.0)
    assert expire(state, 100.0 + DAY - 1) is state
    assert expire(state, 100.0 + DAY).snapshot is None


def test_what_was_accepted_stays_through_any_number_of_failures() -> None:
    state = failed_times(state_with("a"), 500)
    assert set(state.snapshot.by_kid) == {"a"}
    assert state.failures == 500
    assert state.last_error is TROUBLE


def test_a_success_ends_failing() -> None:
    state = succeeded(failed_times(state_with("a"), 3), snapshot("a", at=50.0), 50.0, 0.5)
    assert (state.failing, state.last_error) == (False, None)


def test_an_answer_to_an_older_question_is_discarded() -> None:
    state = state_with("a", "new", at=100.0)
    assert succeeded(state, snapshot("a", at=99.0), 120.0, 0.5) is state
    assert failed(state, TROUBLE, 99.0, 120.0, 0.5) is state


def test_the_generation_counts_changes_and_not_refreshes() -> None:
    state = state_with("a")
    same = succeeded(state, snapshot("a", at=1.0), 1.0, 0.5)
    more = succeeded(same, snapshot("a", "b", at=2.0), 2.0, 0.5)
    other_material = succeeded(more, snapshot("a", "b", at=3.0, material=1), 3.0, 0.5)
    assert [s.snapshot.generation for s in (state, same, more, other_material)] == [1, 1, 2, 3]


def test_the_generation_goes_on_after_keys_that_became_too_old() -> None:
    state = expire(state_with("a"), 24 * 3600.0)
    assert state.snapshot is None
    again = succeeded(state, snapshot("a", at=24 * 3600.0), 24 * 3600.0, 0.5).snapshot
    assert again is not None
    assert again.generation == 2


def test_workers_that_were_forked_do_not_refresh_in_step() -> None:
    state = succeeded(EMPTY, snapshot("a", at=100.0), 100.0, 0.5)
    assert [after_fork(state, jitter).next_attempt for jitter in (0.0, 0.5, 1.0)] == pytest.approx(
        [3340, 3700, 4060]
    )
    assert after_fork(failed(state, TROUBLE, 200.0, 200.0, 1.0), 0.0).next_attempt == 201
    assert after_fork(EMPTY, 0.0) is EMPTY


def test_a_withdrawn_key_stops_at_once() -> None:
    state = succeeded(state_with("a", "b"), snapshot("b", at=10.0), 10.0, 0.5)
    assert set(state.snapshot.by_kid) == {"b"}


def test_a_withdrawn_key_serves_through_the_grace_that_was_asked_for() -> None:
    state = succeeded(state_with("a", "b", retired_key_grace=60.0), snapshot("b", at=10.0), 10.0, 0.5)
    again = succeeded(state, snapshot("b", at=40.0), 40.0, 0.5)
    assert set(again.snapshot.by_kid) == {"a", "b"}
    assert again.ends() == 70.0
    assert set(expire(again, 69.9).snapshot.by_kid) == {"a", "b"}
    assert set(expire(again, 70.0).snapshot.by_kid) == {"b"}


def test_a_key_that_comes_back_is_not_retired_any_more() -> None:
    state = succeeded(state_with("a", "b", retired_key_grace=60.0), snapshot("b", at=10.0), 10.0, 0.5)
    back = succeeded(state, snapshot("a", "b", at=20.0), 20.0, 0.5)
    assert not back.snapshot.retired


def test_only_what_the_authority_itself_said_pins_its_issuer() -> None:
    of_network = snapshot("a", at=0.0)
    of_file = replace(of_network, configured_at=NEVER)
    assert (of_network.pinned, of_file.pinned) == (ISSUER, None)


def test_a_file_replaces_keys_and_leaves_failures_and_back_off_as_they_are() -> None:
    failing = failed_times(state_with("a"), 3, now=10.0)
    state = adopt(failing, snapshot("a", "b", at=5.0), 11.0)
    assert set(state.snapshot.by_kid) == {"a", "b"}
    assert (state.failures, state.next_attempt) == (failing.failures, failing.next_attempt)


# --- when the authority is asked ---


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 3240.0), (0.5, 3600.0), (1.0, 3960.0)])
def test_the_next_refresh_is_an_hour_away_give_or_take_a_tenth(jitter: float, delay: float) -> None:
    state = succeeded(EMPTY, snapshot("a", at=0.0), 10.0, jitter)
    assert state.next_attempt == pytest.approx(10.0 + delay)


def test_failures_back_off_from_one_second_to_five_minutes_with_full_jitter() -> None:
    longest = [failed_times(EMPTY, n).next_attempt for n in range(1, 12)]
    assert longest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert failed_times(EMPTY, 5, jitter=0.0).next_attempt == 0.0


@pytest.mark.parametrize(("asked", "obeyed"), [(None, 0.5), (0.1, 0.5), (120.0, 120.0), (1e9, 3600.0)])
def test_retry_after_is_obeyed_up_to_the_refresh_interval(asked: float | None, obeyed: float) -> None:
    state = state_with("a", at=-1.0)
    assert failed(state, TROUBLE, 0.0, 0.0, 0.5, retry_after=asked).next_attempt == obeyed


def test_without_keys_retry_after_is_obeyed_for_five_minutes_at_most() -> None:
    assert failed(EMPTY, TROUBLE, 0.0, 0.0, 0.5, retry_after=120.0).next_attempt == 120
    assert failed(EMPTY, TROUBLE, 0.0, 0.0, 0.5, retry_after=3600.0).next_attempt == 300


def test_within_a_back_off_no_caller_causes_an_attempt() -> None:
    state = failed_times(state_with("a"), 4, now=100.0)
    assert not state.may_attempt(107.9)
    assert start_forced_refresh(state, 107.9, 0.0, is_known_caller=True) is None
    assert state.may_attempt(108.0)
    assert start_forced_refresh(state, 108.0, 0.0, is_known_caller=False) is not None


def test_the_configuration_is_read_again_when_it_is_old_or_something_failed() -> None:
    state = state_with("a", at=0.0)
    assert not state.needs_configuration(12 * HOUR - 1)
    assert state.needs_configuration(12 * HOUR)
    assert failed_times(state, 1).needs_configuration(1.0)
    assert adopt(EMPTY, replace(snapshot("a", at=0.0), configured_at=NEVER), 0.0).needs_configuration(0.0)


# --- unknown kids ---


def gaps_of_a_flood(state: KeyCacheState, seconds: float, *, is_known_caller: bool = False) -> list[float]:
    """When a flood that never pauses has the authority asked, as gaps."""
    moments, now = [], 0.0
    while now <= seconds:
        after = start_forced_refresh(state, now, 0.0, is_known_caller=is_known_caller)
        if after is not None:
            state, moments = after, [*moments, now]
        now += 1.0
    return [later - earlier for earlier, later in pairwise(moments)]


def test_a_flood_of_unknown_kids_sinks_from_one_refresh_in_30_seconds_to_one_in_5_minutes() -> None:
    assert gaps_of_a_flood(state_with("a"), 1700.0) == [30, 60, 120, 240, 300, 300, 300, 300]


def test_jitter_keeps_a_fleet_from_asking_in_step_and_never_shortens_a_cooldown() -> None:
    first = {
        RefreshBudget().consume(KeySettings(), 0.0, jitter).available_at for jitter in (0.0, 0.3, 0.7, 1.0)
    }
    assert first == {30.0, 34.5, 40.5, 45.0}
    assert (
        RefreshBudget(available_at=240.0, last=0.0, cooldown=240.0)
        .consume(KeySettings(), 240.0, 1.0)
        .available_at
        == 540.0
    )


def test_the_first_refresh_for_an_unknown_kid_is_free() -> None:
    state = state_with("a", at=0.0)
    assert start_forced_refresh(state, 0.0, 0.0, is_known_caller=False) is not None


def test_a_new_key_starts_the_cooldown_over() -> None:
    state = state_with("a")
    for now in (0.0, 30.0, 90.0):
        state = start_forced_refresh(state, now, 0.0, is_known_caller=False)
    nothing_new = succeeded(state, snapshot("a", at=91.0), 91.0, 0.5)
    assert start_forced_refresh(nothing_new, 100.0, 0.0, is_known_caller=False) is None
    for news in (snapshot("a", "b", at=92.0), snapshot("a", at=92.0, material=1)):
        assert (
            start_forced_refresh(succeeded(nothing_new, news, 92.0, 0.5), 92.0, 0.0, is_known_caller=False)
            is not None
        )


def test_a_stray_client_that_asks_every_five_minutes_does_not_make_the_cooldown_long() -> None:
    state = state_with("a")
    for now in range(0, 36_000, 301):
        state = start_forced_refresh(state, float(now), 0.0, is_known_caller=False)
        assert state is not None
        assert state.forced.cooldown == 30.0


def test_a_flood_of_strangers_leaves_the_reserve_to_familiar_callers() -> None:
    state = state_with("a")
    for now in (0.0, 30.0, 90.0, 210.0):
        state = start_forced_refresh(state, now, 0.0, is_known_caller=False)
    assert start_forced_refresh(state, 211.0, 0.0, is_known_caller=False) is None
    state = start_forced_refresh(state, 211.0, 0.0, is_known_caller=True)
    assert state is not None
    assert start_forced_refresh(state, 212.0, 0.0, is_known_caller=True) is None


def most_in(seconds: float, settings: KeySettings) -> float:
    """The budget of one allowance, as `RefreshBudget.spent` promises it."""
    doublings = math.ceil(math.log2(settings.max_cooldown / settings.cooldown))
    return seconds / settings.max_cooldown + 2 + doublings


@st.composite
def budgets(draw: st.DrawFn) -> KeySettings:
    cooldown = draw(st.sampled_from([1.0, 7.0, 30.0, 300.0]))
    return KeySettings(cooldown=cooldown, max_cooldown=cooldown * draw(st.sampled_from([1.0, 3.0, 10.0])))


@given(
    settings=budgets(),
    pauses=st.lists(st.integers(0, 2000), min_size=1, max_size=80),
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_however_strangers_time_their_tokens_the_budget_holds_in_every_stretch_of_time(
    settings: KeySettings, pauses: list[int], jitter: float
) -> None:
    allowance, now, asked = RefreshBudget(), 0.0, []
    for pause in pauses:
        now = max(
            now + pause, allowance.available_at if pause < 1 else 0.0
        )  # a flood waits for no second longer
        if now >= allowance.available_at:
            allowance = allowance.consume(settings, now, jitter)
            asked.append(now)
    assert all(later - earlier >= settings.cooldown for earlier, later in pairwise(asked))
    for first, earlier in enumerate(asked):
        for last, later in enumerate(asked[first:], first):
            assert last - first + 1 <= most_in(later - earlier, settings)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 500), st.booleans(), st.sampled_from(["nothing new", "no answer"])),
        max_size=60,
    )
)
def test_even_insiders_get_no_more_than_twice_the_budget_and_never_an_attempt_within_a_back_off(
    steps: list[tuple[int, bool, str]],
) -> None:
    state, now, rounds = state_with("a"), 0.0, []
    for pause, is_known_caller, outcome in steps:
        now += pause
        before = state
        after = start_forced_refresh(state, now, 0.0, is_known_caller=is_known_caller)
        if after is None:
            continue
        assert before.may_attempt(now)
        rounds.append(now)
        state = (
            failed(after, TROUBLE, now, now, 0.5)
            if outcome == "no answer"
            else succeeded(after, snapshot("a", at=now), now, 0.5)
        )
    if rounds:
        assert len(rounds) <= 2 * most_in(rounds[-1] - rounds[0], state.settings)


# --- settings ---


@pytest.mark.parametrize(
    "settings",
    [
        {"refresh": 59.0},
        {"refresh": float("nan")},
        {"refresh": 2 * DAY},
        {"max_stale": 3599.0},
        {"max_stale": float("inf")},
        {"cooldown": 0.5},
        {"max_cooldown": 29.0},
        {"wait": -1.0},
        {"max_backoff": 0.0},
        {"configuration_life": -1.0},
        {"retired_key_grace": -1.0},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused_when_they_are_made(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is in seconds"):
        KeySettings(**settings)
