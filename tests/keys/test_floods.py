"""Unknown kids: valid callers wait for the new key, and a flood of forged kids holds up few threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from keys_office import HOUR, Answer, Office, World, await_waiters, in_background, settle, until, waiting

from entra_guard import FetchError, KeySettings
from entra_guard._common.lru import LRUCache
from entra_guard._keys.refresh_policy import LIMITED_WAITING, PER_CALLER, RefreshRound
from entra_guard._validation.active_keys import ActiveKeys
from entra_guard._validation.issuer import Issuer

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard import Guard

THREADS = KeySettings().max_waiting_threads


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


def reasons(answers: list[Answer]) -> set[str]:
    return {answer.reason for answer in answers}


def hanging_round(office: Office, guard: Guard, *, for_seconds: float = 0.0) -> None:
    """Let a round of the background hang, and time pass while it does."""
    office.clock.pass_(2)
    office.gate.hold(1)
    with guard._key_manager._changing():
        guard._key_manager._start(RefreshRound(guard._key_manager.settings, office.clock()))
    office.gate.await_arrival()
    office.clock.pass_(for_seconds)


def unseen(office: Office, number: int) -> list[str]:
    """Issue tokens of callers whom no guard has seen, with the newest key."""
    apps = [office.entra.register_app(f"Caller {index}") for index in range(number)]
    return [office.entra.issue_token(app, audience=office.api, roles=["Orders.Read"]) for app in apps]


# --- a new key ---


def test_fifty_unseen_callers_at_a_rotation_are_all_served(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(overlap=False)
    tokens = unseen(office, 50)
    assert statuses(world.ask_all(guard, tokens)) == {200}
    assert office.fetches == 1


def test_fifty_callers_after_a_restart_from_a_keys_file_are_all_served(
    office: Office, world: World, tmp_path: Path
) -> None:
    office.warm_guard(keys_file=tmp_path / "keys.json")
    office.entra.rotate_keys(overlap=False)
    guard = office.guard(keys_file=tmp_path / "keys.json")
    assert guard.health().kids
    settle(guard)
    office.entra.rotate_keys(overlap=False)
    assert statuses(world.ask_all(guard, unseen(office, 50))) == {200}


def test_no_unseen_caller_of_a_rotation_gets_401_while_the_fetch_takes_long(
    office: Office, world: World
) -> None:
    guard = office.warm_guard(max_waiting_threads=8, max_waiting_tasks=20)
    office.entra.rotate_keys(overlap=False)
    tokens = unseen(office, 40)
    hanging_round(office, guard, for_seconds=1)
    bound = 8 if world.name == "sync" else 20
    answers = in_background(lambda: world.ask_all(guard, tokens[:bound]))
    until(lambda: waiting(guard) == bound)
    for late in world.ask_all(guard, tokens[bound:]):
        assert (late.status, late.reason, late.retry_after) == (503, "keys_unavailable", 1.0)
        assert "max_waiting_threads" in str(late.facts["detail"])
    assert waiting(guard) == bound
    office.gate.release()
    assert statuses(answers()) == {200}


def test_callers_beyond_the_bounds_wait_half_a_second_for_a_fetch_that_is_over_by_then(
    office: Office,
) -> None:
    guard = office.warm_guard(max_waiting_threads=2)
    office.entra.rotate_keys(overlap=False)
    tokens = unseen(office, 12)
    hanging_round(office, guard)
    answers = in_background(lambda: World("sync").ask_all(guard, tokens))
    await_waiters(guard, 12)
    office.gate.release()
    assert statuses(answers()) == {200}


def test_callers_beyond_the_bounds_leave_a_round_that_hangs_after_half_a_second(office: Office) -> None:
    guard = office.warm_guard(max_waiting_threads=0)
    hanging_round(office, guard)
    assert World("sync").ask(guard, office.forged_kid("k")).reason == "keys_unavailable"
    assert guard._key_manager._work.in_flight  # it still hangs
    office.gate.release()


def test_twenty_tokens_of_one_known_caller_all_wait_for_their_new_key(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(overlap=False)
    assert statuses(world.ask_all(guard, [office.token() for _ in range(20)])) == {200}


def test_callers_stay_known_through_a_withdrawal_of_keys(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(overlap=False)
    guard._key_manager.fetch_now()
    look_up_in_vain(office, world, guard)
    office.entra.rotate_keys(overlap=False)
    assert world.ask(guard, office.token()).status == 200


def test_the_most_recent_callers_are_the_known_ones() -> None:
    keys = ActiveKeys(Issuer(v2="https://issuer.example"), {}, LRUCache(0))
    for number in range(20_000):
        keys.add_known_caller(f"caller-{number}")
    assert keys.is_known_caller("caller-19999")
    assert not keys.is_known_caller("caller-0")
    assert not keys.is_known_caller("")
    assert len(keys.known_callers) <= 8192


# --- a flood ---


def look_up_in_vain(office: Office, world: World, guard: Guard, kid: str = "in vain") -> None:
    assert world.ask(guard, office.forged_kid(kid)).reason == "unknown_key"


def test_after_a_look_up_in_vain_four_unknown_callers_wait_and_the_others_get_401(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    look_up_in_vain(office, world, guard)
    hanging_round(office, guard)
    crowd = [office.forged_kid(f"k{number}") for number in range(20)]
    answers = in_background(lambda: world.ask_all(guard, crowd))
    await_waiters(guard, LIMITED_WAITING)
    assert world.ask(guard, office.forged_kid("one-more")).reason == "unknown_key"
    assert waiting(guard) == LIMITED_WAITING
    assert guard._key_manager._work.in_flight  # it still hangs
    office.gate.release()
    assert reasons(answers()) == {"unknown_key"}


def test_after_a_look_up_in_vain_a_known_caller_still_waits_for_its_new_key(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    look_up_in_vain(office, world, guard)
    office.entra.rotate_keys(overlap=False)
    tokens = [office.token() for _ in range(PER_CALLER)]
    hanging_round(office, guard, for_seconds=1)
    crowd = in_background(
        lambda: world.ask_all(guard, [office.forged_kid(f"k{number}") for number in range(20)])
    )
    await_waiters(guard, LIMITED_WAITING)
    answers = in_background(lambda: world.ask_all(guard, tokens))
    await_waiters(guard, LIMITED_WAITING + len(tokens))
    office.gate.release()
    assert statuses(answers()) == {200}
    assert reasons(crowd()) == {"unknown_key"}


def served_beyond_the_limit(office: Office, guard: Guard) -> bool:
    """Return whether more unseen callers than the limit allows are served at a rotation."""
    office.entra.rotate_keys(overlap=False)
    return statuses(World("asyncio").ask_all(guard, unseen(office, 5 * LIMITED_WAITING))) == {200}


def test_five_minutes_after_a_look_up_in_vain_all_callers_wait_again(office: Office, world: World) -> None:
    guard = office.warm_guard()
    look_up_in_vain(office, world, guard)
    office.clock.pass_(300)
    assert served_beyond_the_limit(office, guard)


def test_one_wrong_token_that_is_sent_again_and_again_does_not_keep_the_limit_up(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    stray = office.forged_kid("stray")
    for _ in range(100):
        assert world.ask(guard, stray).reason == "unknown_key"
        settle(guard)
        office.clock.pass_(10)
    assert office.fetches > 3
    office.clock.pass_(300)  # the budget
    assert served_beyond_the_limit(office, guard)


def test_ever_new_kids_keep_the_limit_up(office: Office, world: World) -> None:
    guard = office.warm_guard()
    for number in range(100):
        look_up_in_vain(office, world, guard, f"kid {number}")
        settle(guard)
        office.clock.pass_(10)
    office.entra.rotate_keys(overlap=False)
    hanging_round(office, guard)
    tokens = unseen(office, 20)
    answers = in_background(lambda: world.ask_all(guard, tokens[:LIMITED_WAITING]))
    await_waiters(guard, LIMITED_WAITING)
    assert statuses(world.ask_all(guard, tokens[LIMITED_WAITING:])) == {401}
    office.gate.release()
    assert statuses(answers()) == {200}


def test_a_round_that_brings_a_requested_kid_ends_the_limit(office: Office, world: World) -> None:
    guard = office.warm_guard()
    before = office.entra.snapshot()
    office.entra.rotate_keys(overlap=False)
    token, after = office.token(), office.entra.snapshot()
    office.entra.restore(before)
    assert world.ask(guard, token).reason == "unknown_key"  # the replica lags behind
    office.entra.restore(after)
    office.clock.pass_(1.5 * KeySettings().cooldown)
    assert world.ask(guard, token).status == 200
    assert served_beyond_the_limit(office, guard)


def test_a_background_refresh_that_brings_a_kid_which_was_requested_before_ends_the_limit(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    before = office.entra.snapshot()
    office.entra.rotate_keys(overlap=False)
    token, after = office.token(), office.entra.snapshot()
    office.entra.restore(before)
    assert world.ask(guard, token).reason == "unknown_key"
    office.entra.restore(after)
    guard._key_manager.fetch_now()
    assert served_beyond_the_limit(office, guard)


def test_a_flood_that_names_one_known_caller_leaves_a_look_up_to_the_others(
    office: Office, world: World
) -> None:
    other = office.entra.register_app("Another daemon")

    def token_of_other() -> str:
        return office.entra.issue_token(other, audience=office.api, roles=["Orders.Read"])

    guard = office.warm_guard()
    assert world.ask(guard, token_of_other()).status == 200
    for moment in range(100):
        world.ask(guard, office.token(headers={"kid": f"insider-{moment}"}))
        settle(guard)
        office.clock.pass_(10)
    office.entra.rotate_keys(overlap=False)
    assert world.ask(guard, token_of_other()).status == 200


@pytest.mark.parametrize("how", ["503", "429"])
def test_one_response_with_a_retry_after_of_an_hour_stops_look_ups_for_five_minutes_at_most(
    office: Office, world: World, how: str
) -> None:
    guard = office.warm_guard()
    office.clock.pass_(2 * HOUR)
    office.entra.fail("all", how, retry_after=3600)  # type: ignore[arg-type]
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    office.entra.clear_faults()
    office.entra.rotate_keys(overlap=False)
    answer = world.ask(guard, office.token())
    assert (answer.reason, answer.retry_after) == ("keys_unavailable", 300)
    office.clock.pass_(300)
    assert world.ask(guard, office.token()).status == 200


# --- forged signatures ---


def test_within_five_minutes_forged_signatures_do_not_join_a_round_that_hangs(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    assert world.ask(guard, office.token(preset="forged")).reason == "bad_signature"
    hanging_round(office, guard)
    assert world.ask(guard, office.token(preset="forged")).reason == "bad_signature"
    assert waiting(guard) == 0
    assert guard._key_manager._work.in_flight  # it still hangs
    office.gate.release()


def test_forged_signatures_that_name_known_callers_wait_within_the_bounds_and_never_get_503(
    office: Office, world: World
) -> None:
    guard = office.warm_guard(max_waiting_threads=4, max_waiting_tasks=4)
    office.gate.hold(1)
    first = in_background(lambda: world.ask(guard, office.token(preset="forged")))
    office.gate.await_arrival()
    office.clock.pass_(1)
    crowd = in_background(lambda: world.ask_all(guard, [office.token(preset="forged") for _ in range(12)]))
    await_waiters(guard, 4)
    assert world.ask(guard, office.token(preset="forged")).reason == "bad_signature"
    assert waiting(guard) == 4
    assert guard._key_manager._work.in_flight  # it still hangs
    office.gate.release()
    assert reasons([first(), *crowd()]) == {"bad_signature"}


def test_while_rounds_fail_no_unknown_caller_waits(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.entra.fail("all", "500")
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    hanging_round(office, guard)
    assert world.ask(guard, office.forged_kid("k")).reason == "keys_unavailable"
    assert waiting(guard) == 0
    office.gate.release()
