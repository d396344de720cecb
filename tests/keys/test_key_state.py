"""The state of one issuer's keys: its transitions, and when the authority is requested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entra_guard import ConfigurationError, KeySettings
from entra_guard._keys.budget import NEVER
from entra_guard._keys.state import KeyCacheState, Snapshot, adopt, after_fork, expire, fail, succeed
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
    return succeed(KeyCacheState(KeySettings(**settings)), snapshot(*kids, at=at), at, 0.5)


def failed_times(state: KeyCacheState, times: int, *, now: float = 0.0, jitter: float = 1.0) -> KeyCacheState:
    for _ in range(times):
        state = fail(state, TROUBLE, now, now, jitter)
    return state


# --- which keys are used ---


def test_keys_are_used_until_they_are_a_day_old() -> None:
    state = state_with("a", at=100.0)
    assert expire(state, 100.0 + DAY - 1) is state
    assert expire(state, 100.0 + DAY).snapshot is None


def test_accepted_keys_stay_through_any_number_of_failures() -> None:
    state = failed_times(state_with("a"), 500)
    assert set(state.snapshot.by_kid) == {"a"}
    assert state.failures == 500
    assert state.last_error is TROUBLE


def test_a_success_ends_failing() -> None:
    state = succeed(failed_times(state_with("a"), 3), snapshot("a", at=50.0), 50.0, 0.5)
    assert (state.failing, state.last_error) == (False, None)


def test_a_response_to_an_older_request_is_discarded() -> None:
    state = state_with("a", "new", at=100.0)
    assert succeed(state, snapshot("a", at=99.0), 120.0, 0.5) is state
    assert fail(state, TROUBLE, 99.0, 120.0, 0.5) is state


def test_the_generation_counts_changes_and_not_refreshes() -> None:
    state = state_with("a")
    same = succeed(state, snapshot("a", at=1.0), 1.0, 0.5)
    more = succeed(same, snapshot("a", "b", at=2.0), 2.0, 0.5)
    other_material = succeed(more, snapshot("a", "b", at=3.0, material=1), 3.0, 0.5)
    assert [s.snapshot.generation for s in (state, same, more, other_material)] == [1, 1, 2, 3]


def test_the_generation_continues_after_keys_that_became_too_old() -> None:
    state = expire(state_with("a"), 24 * 3600.0)
    assert state.snapshot is None
    again = succeed(state, snapshot("a", at=24 * 3600.0), 24 * 3600.0, 0.5).snapshot
    assert again is not None
    assert again.generation == 2


def test_forked_workers_do_not_refresh_in_step() -> None:
    state = succeed(EMPTY, snapshot("a", at=100.0), 100.0, 0.5)
    assert [after_fork(state, jitter).next_attempt for jitter in (0.0, 0.5, 1.0)] == pytest.approx(
        [3340, 3700, 4060]
    )
    assert after_fork(fail(state, TROUBLE, 200.0, 200.0, 1.0), 0.0).next_attempt == 201
    assert after_fork(EMPTY, 0.0) is EMPTY


def test_a_withdrawn_key_is_dropped_at_once() -> None:
    state = succeed(state_with("a", "b"), snapshot("b", at=10.0), 10.0, 0.5)
    assert set(state.snapshot.by_kid) == {"b"}


def test_a_withdrawn_key_is_used_through_the_configured_grace() -> None:
    state = succeed(state_with("a", "b", retired_key_grace=60.0), snapshot("b", at=10.0), 10.0, 0.5)
    again = succeed(state, snapshot("b", at=40.0), 40.0, 0.5)
    assert set(again.snapshot.by_kid) == {"a", "b"}
    assert again.ends() == 70.0
    assert set(expire(again, 69.9).snapshot.by_kid) == {"a", "b"}
    assert set(expire(again, 70.0).snapshot.by_kid) == {"b"}


def test_a_key_that_is_published_again_is_not_retired_any_more() -> None:
    state = succeed(state_with("a", "b", retired_key_grace=60.0), snapshot("b", at=10.0), 10.0, 0.5)
    back = succeed(state, snapshot("a", "b", at=20.0), 20.0, 0.5)
    assert not back.snapshot.retired


def test_only_a_response_of_the_authority_pins_its_issuer() -> None:
    of_network = snapshot("a", at=0.0)
    of_file = replace(of_network, configured_at=NEVER)
    assert (of_network.pinned, of_file.pinned) == (ISSUER, None)


def test_a_file_replaces_keys_and_leaves_failures_and_back_off_as_they_are() -> None:
    failing = failed_times(state_with("a"), 3, now=10.0)
    state = adopt(failing, snapshot("a", "b", at=5.0), 11.0)
    assert set(state.snapshot.by_kid) == {"a", "b"}
    assert (state.failures, state.next_attempt) == (failing.failures, failing.next_attempt)


# --- when the authority is requested ---


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 3240.0), (0.5, 3600.0), (1.0, 3960.0)])
def test_the_next_refresh_is_an_hour_away_plus_or_minus_a_tenth(jitter: float, delay: float) -> None:
    state = succeed(EMPTY, snapshot("a", at=0.0), 10.0, jitter)
    assert state.next_attempt == pytest.approx(10.0 + delay)


def test_failures_back_off_from_one_second_to_five_minutes_with_full_jitter() -> None:
    longest = [failed_times(EMPTY, n).next_attempt for n in range(1, 12)]
    assert longest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert failed_times(EMPTY, 5, jitter=0.0).next_attempt == 0.0


@pytest.mark.parametrize(
    ("requested", "background", "forced"),
    [(None, 0.5, 0.5), (0.1, 0.5, 0.5), (120.0, 120.0, 120.0), (3600.0, 3600.0, 300.0), (1e9, 3600.0, 300.0)],
)
def test_retry_after_holds_the_background_for_an_hour_and_forced_look_ups_for_five_minutes_at_most(
    requested: float | None, background: float, forced: float
) -> None:
    state = fail(state_with("a", at=-1.0), TROUBLE, 0.0, 0.0, 0.5, retry_after=requested)
    assert (state.next_attempt, state.next_forced_attempt) == (background, forced)
    assert not state.may_attempt(forced - 0.1)
    assert state.may_attempt(forced)


def test_without_keys_retry_after_is_obeyed_for_five_minutes_at_most() -> None:
    assert fail(EMPTY, TROUBLE, 0.0, 0.0, 0.5, retry_after=120.0).next_attempt == 120
    assert fail(EMPTY, TROUBLE, 0.0, 0.0, 0.5, retry_after=3600.0).next_attempt == 300


def test_the_configuration_is_read_again_when_it_is_old_or_a_round_failed() -> None:
    state = state_with("a", at=0.0)
    assert not state.needs_configuration(12 * HOUR - 1)
    assert state.needs_configuration(12 * HOUR)
    assert failed_times(state, 1).needs_configuration(1.0)
    assert adopt(EMPTY, replace(snapshot("a", at=0.0), configured_at=NEVER), 0.0).needs_configuration(0.0)


# --- settings ---


@pytest.mark.parametrize(
    "settings",
    [
        {"refresh": 59.0},
        {"refresh": float("nan")},
        {"max_stale": 3599.0},
        {"max_stale": float("inf")},
        {"cooldown": 0.5},
        {"max_cooldown": 29.0},
        {"wait": -1.0},
        {"max_backoff": 0.0},
        {"configuration_life": -1.0},
        {"retired_key_grace": -1.0},
        {"max_waiting_threads": -1},
        {"max_waiting_tasks": -1},
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused_with_its_name_and_value(settings: dict[str, float]) -> None:
    [(name, value)] = settings.items()
    with pytest.raises(ConfigurationError, match=f"{name} must be at least .*, got {value}"):
        KeySettings(**settings)


def test_keys_must_live_longer_than_a_refresh_interval() -> None:
    with pytest.raises(
        ConfigurationError, match="max_stale must be at least 172800 seconds, the value of refresh"
    ):
        KeySettings(refresh=2 * DAY)


@pytest.mark.parametrize("value", ["3", None, True, b"3", [3]], ids=str)
@pytest.mark.parametrize("name", ["wait", "refresh", "max_waiting_threads"])
def test_a_setting_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a .*number.*, got "):
        KeySettings(**{name: value})


def test_a_number_of_threads_is_whole() -> None:
    with pytest.raises(ConfigurationError, match="max_waiting_threads must be a whole number"):
        KeySettings(max_waiting_threads=1.5)  # type: ignore[arg-type]
