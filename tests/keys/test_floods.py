"""Unknown kids: valid callers wait for the new key, and a flood of forged kids holds up few threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from keys_entra import (
    HOUR,
    Callers,
    KeysEntra,
    Outcome,
    in_background,
    settle,
    until,
    wait_for_waiters,
    waiting,
)

from entra_guard import FetchError, KeySettings
from entra_guard._keys.refresh_policy import LIMITED_WAITING, PER_CALLER, RefreshRound
from entra_guard._keys.verified_tokens import VerifiedTokens
from entra_guard._validation.active_keys import ActiveKeys
from entra_guard._validation.issuer import Issuer

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard import Guard

THREADS = KeySettings().max_waiting_threads


def statuses(answers: list[Outcome]) -> set[int]:
    return {answer.status for answer in answers}


def reasons(answers: list[Outcome]) -> set[str]:
    return {answer.reason for answer in answers}


def hanging_round(entra: KeysEntra, guard: Guard, *, for_seconds: float = 0.0) -> None:
    """Let a round of the background hang, and time pass while it does."""
    entra.monotonic.advance(2)
    entra.responses.hold(1)
    with guard._key_manager._changing():
        guard._key_manager._start(RefreshRound(guard._key_manager.settings, entra.monotonic()))
    entra.responses.wait_for_request()
    entra.monotonic.advance(for_seconds)


def unseen(entra: KeysEntra, number: int) -> list[str]:
    """Issue tokens of callers whom no guard has seen, with the newest key."""
    apps = [entra.register_app(f"Caller {index}") for index in range(number)]
    return [entra.issue_token(app, audience=entra.api, roles=["Orders.Read"]) for app in apps]


# --- a new key ---


def test_fifty_unseen_callers_at_a_rotation_are_all_served(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=False)
    tokens = unseen(entra, 50)
    assert statuses(callers.verify_all(guard, tokens)) == {200}
    assert entra.key_requests == 1


def test_fifty_callers_after_a_restart_from_a_keys_file_are_all_served(
    entra: KeysEntra, callers: Callers, tmp_path: Path
) -> None:
    entra.warm_guard(keys_file=tmp_path / "keys.json")
    entra.rotate_keys(overlap=False)
    guard = entra.guard(keys_file=tmp_path / "keys.json")
    assert guard.health().kids
    settle(guard)
    entra.rotate_keys(overlap=False)
    assert statuses(callers.verify_all(guard, unseen(entra, 50))) == {200}


def test_no_unseen_caller_of_a_rotation_gets_401_while_the_fetch_takes_long(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard(max_waiting_threads=8, max_waiting_tasks=20)
    entra.rotate_keys(overlap=False)
    tokens = unseen(entra, 40)
    hanging_round(entra, guard, for_seconds=1)
    bound = 8 if callers.name == "sync" else 20
    answers = in_background(lambda: callers.verify_all(guard, tokens[:bound]))
    until(lambda: waiting(guard) == bound)
    for late in callers.verify_all(guard, tokens[bound:]):
        assert (late.status, late.reason, late.retry_after) == (503, "keys_unavailable", 1.0)
        assert "max_waiting_threads" in str(late.facts["detail"])
    assert waiting(guard) == bound
    entra.responses.release()
    assert statuses(answers()) == {200}


def test_callers_beyond_the_bounds_wait_half_a_second_for_a_fetch_that_is_over_by_then(
    entra: KeysEntra,
) -> None:
    guard = entra.warm_guard(max_waiting_threads=2)
    entra.rotate_keys(overlap=False)
    tokens = unseen(entra, 12)
    hanging_round(entra, guard)
    answers = in_background(lambda: Callers("sync").verify_all(guard, tokens))
    wait_for_waiters(guard, 12)
    entra.responses.release()
    assert statuses(answers()) == {200}


def test_callers_beyond_the_bounds_leave_a_round_that_hangs_after_half_a_second(entra: KeysEntra) -> None:
    guard = entra.warm_guard(max_waiting_threads=0)
    hanging_round(entra, guard)
    assert Callers("sync").verify(guard, entra.forged_kid("k")).reason == "keys_unavailable"
    assert guard._key_manager._work.in_flight  # it still hangs
    entra.responses.release()


def test_twenty_tokens_of_one_known_caller_all_wait_for_their_new_key(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=False)
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(20)])) == {200}


def test_callers_stay_known_through_a_withdrawal_of_keys(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=False)
    guard._key_manager.fetch_now()
    look_up_unknown_kid(entra, callers, guard)
    entra.rotate_keys(overlap=False)
    assert callers.verify(guard, entra.token()).status == 200


def test_the_most_recent_callers_are_the_known_ones() -> None:
    keys = ActiveKeys(Issuer(v2="https://issuer.example"), {}, VerifiedTokens(0))
    for number in range(20_000):
        keys.add_known_caller(f"caller-{number}")
    assert keys.is_known_caller("caller-19999")
    assert not keys.is_known_caller("caller-0")
    assert not keys.is_known_caller("")
    assert len(keys.known_callers) <= 8192


# --- a flood ---


def look_up_unknown_kid(entra: KeysEntra, callers: Callers, guard: Guard, kid: str = "unknown") -> None:
    assert callers.verify(guard, entra.forged_kid(kid)).reason == "unknown_key"


def test_after_a_kid_is_not_found_four_unknown_callers_wait_and_the_others_get_401(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    look_up_unknown_kid(entra, callers, guard)
    hanging_round(entra, guard)
    crowd = [entra.forged_kid(f"k{number}") for number in range(20)]
    answers = in_background(lambda: callers.verify_all(guard, crowd))
    wait_for_waiters(guard, LIMITED_WAITING)
    assert callers.verify(guard, entra.forged_kid("one-more")).reason == "unknown_key"
    assert waiting(guard) == LIMITED_WAITING
    assert guard._key_manager._work.in_flight  # it still hangs
    entra.responses.release()
    assert reasons(answers()) == {"unknown_key"}


def test_after_a_kid_is_not_found_a_known_caller_still_waits_for_its_new_key(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    look_up_unknown_kid(entra, callers, guard)
    entra.rotate_keys(overlap=False)
    tokens = [entra.token() for _ in range(PER_CALLER)]
    hanging_round(entra, guard, for_seconds=1)
    crowd = in_background(
        lambda: callers.verify_all(guard, [entra.forged_kid(f"k{number}") for number in range(20)])
    )
    wait_for_waiters(guard, LIMITED_WAITING)
    answers = in_background(lambda: callers.verify_all(guard, tokens))
    wait_for_waiters(guard, LIMITED_WAITING + len(tokens))
    entra.responses.release()
    assert statuses(answers()) == {200}
    assert reasons(crowd()) == {"unknown_key"}


def served_beyond_the_limit(entra: KeysEntra, guard: Guard) -> bool:
    """Return whether more unseen callers than the limit allows are served at a rotation."""
    entra.rotate_keys(overlap=False)
    return statuses(Callers("asyncio").verify_all(guard, unseen(entra, 5 * LIMITED_WAITING))) == {200}


def test_five_minutes_after_a_kid_is_not_found_all_callers_wait_again(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    look_up_unknown_kid(entra, callers, guard)
    entra.monotonic.advance(300)
    assert served_beyond_the_limit(entra, guard)


def test_one_wrong_token_that_is_sent_again_and_again_does_not_keep_the_limit_up(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    stray = entra.forged_kid("stray")
    for _ in range(100):
        assert callers.verify(guard, stray).reason == "unknown_key"
        settle(guard)
        entra.monotonic.advance(10)
    assert entra.key_requests > 3
    entra.monotonic.advance(300)  # the budget
    assert served_beyond_the_limit(entra, guard)


def test_ever_new_kids_keep_the_limit_up(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    for number in range(100):
        look_up_unknown_kid(entra, callers, guard, f"kid {number}")
        settle(guard)
        entra.monotonic.advance(10)
    entra.rotate_keys(overlap=False)
    hanging_round(entra, guard)
    tokens = unseen(entra, 20)
    answers = in_background(lambda: callers.verify_all(guard, tokens[:LIMITED_WAITING]))
    wait_for_waiters(guard, LIMITED_WAITING)
    assert statuses(callers.verify_all(guard, tokens[LIMITED_WAITING:])) == {401}
    entra.responses.release()
    assert statuses(answers()) == {200}


def test_a_round_that_brings_a_requested_kid_ends_the_limit(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    before = entra.snapshot()
    entra.rotate_keys(overlap=False)
    token, after = entra.token(), entra.snapshot()
    entra.restore(before)
    assert callers.verify(guard, token).reason == "unknown_key"  # the replica lags behind
    entra.restore(after)
    entra.monotonic.advance(1.5 * KeySettings().cooldown)
    assert callers.verify(guard, token).status == 200
    assert served_beyond_the_limit(entra, guard)


def test_a_background_refresh_that_brings_a_kid_which_was_requested_before_ends_the_limit(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    before = entra.snapshot()
    entra.rotate_keys(overlap=False)
    token, after = entra.token(), entra.snapshot()
    entra.restore(before)
    assert callers.verify(guard, token).reason == "unknown_key"
    entra.restore(after)
    guard._key_manager.fetch_now()
    assert served_beyond_the_limit(entra, guard)


def test_a_flood_that_names_one_known_caller_leaves_a_look_up_to_the_others(
    entra: KeysEntra, callers: Callers
) -> None:
    other = entra.register_app("Another daemon")

    def token_of_other() -> str:
        return entra.issue_token(other, audience=entra.api, roles=["Orders.Read"])

    guard = entra.warm_guard()
    assert callers.verify(guard, token_of_other()).status == 200
    for moment in range(100):
        callers.verify(guard, entra.token(headers={"kid": f"insider-{moment}"}))
        settle(guard)
        entra.monotonic.advance(10)
    entra.rotate_keys(overlap=False)
    assert callers.verify(guard, token_of_other()).status == 200


@pytest.mark.parametrize("how", ["503", "429"])
def test_one_response_with_a_retry_after_of_an_hour_stops_look_ups_for_five_minutes_at_most(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    guard = entra.warm_guard()
    entra.monotonic.advance(2 * HOUR)
    entra.fail("all", how, retry_after=3600)  # type: ignore[arg-type]
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    entra.clear_faults()
    entra.rotate_keys(overlap=False)
    answer = callers.verify(guard, entra.token())
    assert (answer.reason, answer.retry_after) == ("keys_unavailable", 300)
    entra.monotonic.advance(300)
    assert callers.verify(guard, entra.token()).status == 200


# --- forged signatures ---


def test_within_five_minutes_forged_signatures_do_not_join_a_round_that_hangs(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    assert callers.verify(guard, entra.token(preset="forged")).reason == "bad_signature"
    hanging_round(entra, guard)
    assert callers.verify(guard, entra.token(preset="forged")).reason == "bad_signature"
    assert waiting(guard) == 0
    assert guard._key_manager._work.in_flight  # it still hangs
    entra.responses.release()


def test_forged_signatures_that_name_known_callers_wait_within_the_bounds_and_never_get_503(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard(max_waiting_threads=4, max_waiting_tasks=4)
    entra.responses.hold(1)
    first = in_background(lambda: callers.verify(guard, entra.token(preset="forged")))
    entra.responses.wait_for_request()
    entra.monotonic.advance(1)
    crowd = in_background(
        lambda: callers.verify_all(guard, [entra.token(preset="forged") for _ in range(12)])
    )
    wait_for_waiters(guard, 4)
    assert callers.verify(guard, entra.token(preset="forged")).reason == "bad_signature"
    assert waiting(guard) == 4
    assert guard._key_manager._work.in_flight  # it still hangs
    entra.responses.release()
    assert reasons([first(), *crowd()]) == {"bad_signature"}


def test_while_rounds_fail_no_unknown_caller_waits(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.fail("all", "500")
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    hanging_round(entra, guard)
    assert callers.verify(guard, entra.forged_kid("k")).reason == "keys_unavailable"
    assert waiting(guard) == 0
    entra.responses.release()
