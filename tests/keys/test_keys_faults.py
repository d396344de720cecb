"""Every row of the table of faults, on threads and in tasks of asyncio and trio."""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import time
import types
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from keys_office import HOUR, Answer, Office, World, await_waiters, in_background, settle, visit

from entra_guard import FetchError, KeySettings
from entra_guard._keys.refresh_policy import Admission

if TYPE_CHECKING:
    from entra_guard import Guard

OUTAGES = ["refused", "dropped", "silent", "500", "503", "429"]
POISON = [
    ("all", "html"),
    ("all", "redirect"),
    ("all", "truncated"),
    ("all", "oversize"),
    ("configuration", "wrong-issuer"),
    ("configuration", "foreign-jwks-uri"),
    ("keys", "wrong-issuer"),
    ("keys", "empty"),
]
ODD_KEYS = ["ec-key", "rsa-1024-key", "no-kid", "bad-base64", "enc-key", "shuffled", "no-x5c"]
ODD_KEYS += ["symmetric-key", "private-key"]


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


# --- Entra is down -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", OUTAGES)
def test_in_an_outage_good_tokens_pass_for_a_day_and_health_is_degraded(
    office: Office, world: World, how: str
) -> None:
    guard = office.warm_guard()
    office.entra.fail("all", how)
    for _ in range(4):
        office.clock.pass_(5 * HOUR)
        assert statuses(world.ask_all(guard, [office.token() for _ in range(5)])) == {200}
        settle(guard)
        assert guard.health().status == "degraded"
    office.entra.clear_faults()
    office.clock.pass_(301)
    visit(guard)
    assert guard.health().status == "ok"


@pytest.mark.parametrize("how", OUTAGES)
def test_in_an_outage_one_attempt_is_made_at_a_time_further_and_further_apart(
    office: Office, world: World, how: str
) -> None:
    guard = office.warm_guard()
    office.entra.fail("all", how)
    office.clock.pass_(2 * HOUR)
    attempts = []
    for _ in range(600):
        before = guard._key_manager.state.failures
        guard._key_manager.run_due_tasks(office.clock())
        settle(guard)
        if guard._key_manager.state.failures > before:
            attempts.append(office.clock())
        office.clock.pass_(1)
    assert world.ask(guard, office.token()).status == 200
    gaps = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert gaps == sorted(gaps)
    assert gaps[:8] == [1, 1, 2, 4, 8, 16, 32, 64]


def test_no_caller_waits_for_a_refresh_that_never_ends(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.clock.pass_(2 * HOUR)
    office.gate.hold(99)
    assert statuses(world.ask_all(guard, [office.token() for _ in range(20)])) == {200}
    office.gate.await_arrival()
    assert statuses(world.ask_all(guard, [office.token() for _ in range(20)])) == {200}
    assert len(office.entra.requests) == 1


@pytest.mark.parametrize("how", OUTAGES)
def test_with_keys_older_than_a_day_the_answer_is_503_until_the_first_success(
    office: Office, world: World, how: str
) -> None:
    guard = office.warm_guard()
    office.entra.fail("all", how)
    office.clock.pass_(25 * HOUR)
    for answer in world.ask_all(guard, [office.token() for _ in range(10)]):
        assert (answer.status, answer.reason) == (503, "keys_unavailable")
        assert answer.retry_after is not None
        assert answer.retry_after >= 1
    assert guard.health().status == "unavailable"
    office.entra.clear_faults()
    office.clock.pass_(301)
    assert world.ask(guard, office.token()).status == 200
    assert guard.health().status == "ok"


@pytest.mark.parametrize("how", OUTAGES)
def test_without_any_keys_yet_the_answer_is_503_until_the_first_success(
    office: Office, world: World, how: str
) -> None:
    office.entra.fail("all", how)
    guard = office.guard()
    answers = world.ask_all(guard, [office.token() for _ in range(10)])
    assert {(answer.status, answer.reason) for answer in answers} == {(503, "keys_unavailable")}
    office.entra.clear_faults()
    office.clock.pass_(301)
    assert world.ask(guard, office.token()).status == 200


def test_a_caller_without_keys_waits_only_so_long(office: Office, world: World) -> None:
    office.gate.hold(1)
    guard = office.guard(wait=0.05)
    answer = world.ask(guard, office.token())
    assert (answer.status, answer.facts["last_success"]) == (503, "never")
    assert guard._key_manager._work.in_flight


def test_retry_after_of_entra_is_obeyed_and_told_to_callers(office: Office, world: World) -> None:
    office.entra.fail("all", "429", retry_after=120)
    guard = office.guard()
    assert world.ask(guard, office.token()).retry_after == 120
    reached = len(office.entra.requests)
    office.entra.clear_faults()
    office.clock.pass_(119)
    assert world.ask(guard, office.token()).status == 503
    assert len(office.entra.requests) == reached
    office.clock.pass_(1)
    assert world.ask(guard, office.token()).status == 200


def test_strict_startup_fails_where_keys_are_unavailable(office: Office) -> None:
    office.entra.fail("all", "500")
    with pytest.raises(FetchError, match="status 500"):
        office.guard(strict_startup=True)


def test_a_broken_exchange_is_tried_once_more_at_once(office: Office, world: World) -> None:
    office.entra.fail_next("configuration", "dropped")
    office.entra.fail_next("keys", "503")
    assert world.ask(office.guard(), office.token()).status == 200


# --- poison ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "how"), POISON)
def test_invalid_answers_never_replace_the_cached_keys_and_is_counted_and_logged(
    office: Office, world: World, target: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    guard = office.warm_guard()
    before = guard.health()
    office.entra.fail(target, how)
    office.clock.pass_(13 * HOUR)
    with caplog.at_level(logging.WARNING, "entra_guard.keys"):
        visit(guard)
    after = guard.health()
    assert world.ask(guard, office.token()).status == 200
    assert (after.status, after.kids, after.refused) == ("degraded", before.kids, 1)
    assert "the cached keys stay: content:" in caplog.text


@pytest.mark.parametrize(("target", "how"), POISON)
def test_poison_is_not_served_to_a_guard_that_has_no_keys_either(
    office: Office, world: World, target: str, how: str
) -> None:
    office.entra.fail(target, how)
    guard = office.guard()
    assert world.ask(guard, office.token()).status == 503
    office.entra.clear_faults()
    office.clock.pass_(1)
    assert world.ask(guard, office.token()).status == 200


def test_an_issuer_that_was_pinned_is_never_exchanged_for_another_tenants(
    office: Office, world: World
) -> None:
    contoso, other = office.entra.find_tenant(), "11111111-2222-4333-8444-555555555555"

    class Confused(httpx.BaseTransport):
        astray = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = office.entra.transport.handle_request(request)
            text = response.read().decode()
            return httpx.Response(200, text=text.replace(contoso.id, other) if self.astray else text)

    transport = Confused()
    with httpx.Client(transport=transport) as client:
        guard = office.warm_guard(tenant=contoso.domain, http_client=client)
        transport.astray = True
        office.clock.pass_(13 * HOUR)
        visit(guard)
        health = guard.health()
        assert "not the pinned" in health.last_error
        assert contoso.id in health.issuer
        assert world.ask(guard, office.token()).status == 200
        settle(guard)


def test_a_foreign_jwks_uri_is_never_asked(office: Office, world: World) -> None:
    office.entra.fail("configuration", "foreign-jwks-uri")
    assert world.ask(office.guard(), office.token()).status == 503
    assert {seen.target for seen in office.entra.requests} == {"configuration"}


def test_one_answer_that_is_poison_is_forgotten_with_the_next_good_one(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.entra.fail_next("keys", "empty")
    office.clock.pass_(2 * HOUR)
    visit(guard)
    office.clock.pass_(1)
    visit(guard)
    assert (guard.health().status, guard.health().refused) == ("ok", 1)
    assert world.ask(guard, office.token()).status == 200


@pytest.mark.parametrize("how", ODD_KEYS)
def test_one_odd_key_among_good_ones_does_not_stop_the_good_ones(
    office: Office, world: World, how: str
) -> None:
    office.entra.fail("keys", how)
    guard = office.guard()
    assert world.ask(guard, office.token()).status == 200
    assert set(guard.health().kids) == {key.kid for key in office.entra.keys}


# --- rotation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [True, False], ids=["overlapping", "sudden"])
def test_the_first_token_of_a_new_key_is_accepted_and_many_at_once_cost_one_fetch(
    office: Office, world: World, overlap: bool
) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(overlap=overlap)
    assert statuses(world.ask_all(guard, [office.token() for _ in range(30)])) == {200}
    assert office.fetches == 1


@pytest.mark.parametrize("overlap", [True, False], ids=["overlapping", "sudden"])
def test_a_withdrawn_key_stops_at_once_for_remembered_tokens_too(
    office: Office, world: World, overlap: bool
) -> None:
    guard = office.warm_guard()
    old = office.token()
    assert world.ask(guard, old).status == 200
    office.entra.rotate_keys(overlap=overlap)
    if overlap:
        office.entra.withdraw_key(office.entra.keys[1].kid)
    assert world.ask(guard, office.token()).status == 200
    assert world.ask(guard, old).reason == "unknown_key"


def test_fifty_callers_who_come_before_any_key_cost_one_fetch(office: Office, world: World) -> None:
    guard = office.guard()
    assert statuses(world.ask_all(guard, [office.token() for _ in range(50)])) == {200}
    assert (office.entra.count("configuration"), office.fetches) == (2, 1)


def test_a_refresh_that_was_in_flight_before_the_rotation_does_not_cost_the_new_key_its_first_request(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    office.clock.pass_(2 * HOUR)
    office.gate.hold(1)
    guard._key_manager.run_due_tasks(office.clock())
    office.gate.await_arrival()  # the old keys are on their way
    office.clock.pass_(0.1)
    office.entra.rotate_keys(overlap=False)
    answers = in_background(lambda: world.ask_all(guard, [office.token() for _ in range(5)]))
    await_waiters(guard, 5)
    office.clock.pass_(0.1)
    office.gate.release()
    assert statuses(answers()) == {200}


def test_rotation_after_rotation_no_caller_of_many_is_refused(office: Office, world: World) -> None:
    guard = office.warm_guard(monotonic=time.monotonic)
    one = office.entra.snapshot()
    office.entra.rotate_keys(overlap=False)
    other = office.entra.snapshot()
    for number in range(30):
        office.entra.restore((one, other)[number % 2])
        assert statuses(world.ask_all(guard, [office.token() for _ in range(8)])) == {200}


def test_a_token_that_was_judged_while_newer_keys_came_is_judged_again(
    office: Office, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(overlap=False)

    def too_late(*_arguments: object) -> Admission:
        guard._key_manager.load_now()  # what another caller's round may do in just this moment
        return Admission.REFUSED

    monkeypatch.setattr(guard._key_manager, "refresh", too_late)
    assert world.ask(guard, office.token()).status == 200


def test_the_same_kid_with_new_material_costs_one_refresh_and_then_serves(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    office.entra.rotate_keys(same_kid=True)
    assert statuses(world.ask_all(guard, [office.token() for _ in range(20)])) == {200}
    assert office.fetches == 1


def test_forged_signatures_cost_one_refresh_per_kid_in_five_minutes(office: Office, world: World) -> None:
    guard = office.warm_guard()
    for _ in range(60):
        answers = world.ask_all(guard, [office.token(preset="forged") for _ in range(3)])
        assert {answer.reason for answer in answers} == {"bad_signature"}
        office.clock.pass_(10)
    assert office.fetches == 2


# --- floods ------------------------------------------------------------------------------------------


def flood(office: Office, world: World, guard: Guard, seconds: int, name: str = "forged") -> set[str]:
    """Two forged kids every ten seconds, and the reasons they are refused with."""
    reasons = set()
    for moment in range(0, seconds, 10):
        tokens = [office.forged_kid(f"{name}-{moment}-{n}") for n in range(2)]
        reasons |= {answer.reason for answer in world.ask_all(guard, tokens)}
        office.clock.pass_(10)
    return reasons


def test_a_flood_of_unknown_kids_costs_ever_fewer_fetches_and_gets_401(office: Office, world: World) -> None:
    guard = office.warm_guard()
    guard._key_manager._jitter = lambda: 0.0
    assert flood(office, world, guard, 1700) == {"unknown_key"}
    assert office.fetches == 9  # after 0, 30, 90, 210, 450, 750, 1050, 1350 and 1650 seconds


def test_while_a_flood_waits_for_its_fetch_other_callers_do_not(office: Office, world: World) -> None:
    guard = office.warm_guard()
    office.gate.hold(1)
    strangers = in_background(lambda: world.ask_all(guard, [office.forged_kid(f"k{n}") for n in range(20)]))
    office.gate.await_arrival()
    assert statuses(world.ask_all(guard, [office.token() for _ in range(10)])) == {200}
    office.gate.release()
    assert {answer.reason for answer in strangers()} == {"unknown_key"}
    assert office.fetches == 1


def test_a_sudden_rotation_in_a_flood_of_unknown_callers_reaches_the_first_familiar_caller(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    flood(office, world, guard, 500)
    reached = office.fetches
    office.entra.rotate_keys(overlap=False)
    assert world.ask(guard, office.forged_kid("one-more")).reason == "unknown_key"
    assert office.fetches == reached
    assert world.ask(guard, office.token()).status == 200
    assert office.fetches == reached + 1


def test_a_sudden_rotation_in_a_flood_by_familiar_callers_lands_within_five_minutes(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    for moment in range(0, 1000, 10):
        world.ask(guard, office.token(headers={"kid": f"insider-{moment}"}))
        office.clock.pass_(10)
    office.entra.rotate_keys(overlap=False)
    office.clock.pass_(300)
    assert world.ask(guard, office.token()).status == 200


def test_one_kid_that_is_sent_again_and_again_costs_no_more_than_a_flood_of_them(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    guard._key_manager._jitter = lambda: 0.0
    stray = office.forged_kid("stray")
    for _ in range(170):
        assert world.ask(guard, stray).reason == "unknown_key"
        office.clock.pass_(10)
    assert office.fetches == 9


def test_a_replica_that_lags_behind_a_rotation_costs_the_new_key_one_cooldown_and_not_five_minutes(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    lagging = office.entra.snapshot()
    office.entra.rotate_keys(overlap=False)
    token, newest = office.token(), office.entra.snapshot()
    office.entra.restore(lagging)
    assert world.ask(guard, token).reason == "unknown_key"
    office.entra.restore(newest)
    office.clock.pass_(1.5 * KeySettings().cooldown)
    assert world.ask(guard, token).status == 200


def test_a_kid_that_was_looked_for_in_vain_is_found_once_the_keys_change(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    before = office.entra.snapshot()
    office.entra.rotate_keys()
    token, after = office.token(), office.entra.snapshot()
    office.entra.restore(before)
    assert world.ask(guard, token).reason == "unknown_key"
    office.entra.restore(after)
    office.clock.pass_(2 * HOUR)
    visit(guard)
    assert world.ask(guard, token).status == 200


def garbage(office: Office) -> list[str]:
    good = office.token()
    header, payload, signature = good.split(".")
    return [
        "",
        "." * 16_000,
        "a.b.c",
        "null",
        "x" * 1_000_000,
        f"{header}.{payload}.{signature}.{signature}",
        f"{header}.{'A' * 12_000}.{signature}",
        f"{header}.{payload}=.{signature}",
        "\N{SNOWMAN}" * 50,
        office.entra.issue_raw(b"[" * 3000, b"{}"),
        office.entra.issue_raw({"alg": "RS256", "kid": "k"}, b'{"a":' * 1800 + b"1" + b"}" * 1800),
        office.token(preset="expired"),
        office.token(preset="wrong-aud"),
        office.token(preset="alg-none"),
        office.token(preset="huge"),
    ]


def objects_of(guard: Guard) -> int:
    """Count the objects that a guard holds, directly or indirectly, as far as the garbage collector knows them."""
    seen: set[int] = set()
    found: list[object] = [guard]
    while found:
        thing = found.pop()
        if id(thing) in seen or isinstance(
            thing, type | types.ModuleType | types.FunctionType | threading.Thread
        ):
            continue
        seen.add(id(thing))
        found += gc.get_referents(thing)
    return len(seen)


def test_a_flood_of_garbage_costs_no_fetch_and_no_memory(office: Office, world: World) -> None:
    guard = office.warm_guard()
    tokens = garbage(office)
    held = []
    for _ in range(3):
        for _ in range(8):
            assert statuses(world.ask_all(guard, tokens)) == {401}
        gc.collect()
        held.append(objects_of(guard))
    assert len(office.entra.requests) == 0
    assert held[1] == held[0]
    assert held[2] == held[1]


def test_a_flood_of_unknown_kids_leaves_what_is_kept_bounded(office: Office, world: World) -> None:
    guard = office.warm_guard()
    serving = guard._key_manager.active_keys
    for number in range(600):
        serving.add_unknown_kid(b"header %d" % number, f"kid {number}", 1e9)
        serving.add_known_caller(f"caller {number}")
    for number in range(6000):
        serving.add_known_caller(f"caller {number}")
    world.ask_all(guard, [office.forged_kid(f"kid-{n}") for n in range(50)])
    assert len(serving.unknown_kids) <= 256
    assert len(serving.known_callers) <= 8192
    assert len(serving.headers) <= 64
    assert len(guard._key_manager._in_vain) <= 256


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 10, 30, 31, 150, 300, 301, 4000]),
            st.sampled_from(["new kid", "old kid", "forged signature", "garbage", "good"]),
        ),
        max_size=40,
    )
)
def test_whatever_unknown_callers_send_the_fetches_stay_within_the_budget(
    steps: list[tuple[int, str]],
) -> None:
    office = Office()
    guard = office.warm_guard()
    tokens = {
        "old kid": office.forged_kid("old"),
        "forged signature": office.token(preset="forged"),
        "garbage": "a.b.c",
        "good": office.token(),
    }
    began = office.clock()
    for number, (pause, kind) in enumerate(steps):
        office.clock.pass_(pause)
        token = office.forged_kid(f"new-{number}") if kind == "new kid" else tokens[kind]
        assert World("sync").ask(guard, token).status == (200 if kind == "good" else 401)
        settle(guard)
    seconds = office.clock() - began
    in_background_at_most = seconds / (0.9 * HOUR) + 1
    for_unknown_kids_at_most = seconds / 300 + 6
    for_one_suspect_at_most = seconds / 300 + 1
    assert office.fetches <= in_background_at_most + for_unknown_kids_at_most + for_one_suspect_at_most
    office.close()


# --- order, cancellation, threads, clocks -----------------------------------------------------


def test_a_round_that_does_not_end_is_given_up_and_its_late_answer_discarded(
    office: Office, world: World
) -> None:
    guard = office.warm_guard()
    office.clock.pass_(2 * HOUR)
    office.gate.hold(1)
    guard._key_manager.run_due_tasks(office.clock())
    stuck = guard._key_manager._work.in_flight["keys"]
    office.gate.await_arrival()  # with the keys of now in its hands
    office.entra.rotate_keys(overlap=False)
    office.clock.pass_(31)
    assert world.ask(guard, office.token()).status == 200
    newest = guard.health()
    office.gate.release()
    stuck.result(timeout=10)
    assert (guard.health().kids, guard.health().generation) == (newest.kids, newest.generation)
    assert world.ask(guard, office.token()).status == 200


def test_a_caller_who_is_cancelled_does_not_block_others(office: Office) -> None:
    async def scene() -> list[int]:
        served = []

        async def patient() -> None:
            await guard.averify(office.token())
            served.append(200)

        async with anyio.create_task_group() as callers:
            with anyio.move_on_after(0):
                await guard.averify(office.token())
            callers.start_soon(patient)
            callers.start_soon(patient)
            await anyio.wait_all_tasks_blocked() if backend == "trio" else await anyio.sleep(0.01)
            office.gate.release()
        return served

    for backend in ("asyncio", "trio"):
        office.gate.hold(1)
        guard = office.guard()
        assert anyio.run(scene, backend=backend) == [200, 200]


def test_a_thread_that_gives_up_does_not_block_others(office: Office) -> None:
    office.gate.hold(1)
    guard = office.guard()
    guard._key_manager.settings = KeySettings(wait=0.0)
    assert World("sync").ask(guard, office.token()).status == 503
    guard._key_manager.settings = KeySettings()
    patient = in_background(lambda: World("sync").ask(guard, office.token()))
    office.gate.await_arrival()
    office.gate.release()
    assert patient().status == 200
    assert office.fetches == 1


def everywhere_at_once(guard: Guard, tokens: list[str]) -> list[int]:
    """One thread for each token: plain threads, and threads with a loop of asyncio or trio of their own."""
    worlds = [World(name) for name in ("sync", "asyncio", "trio")]
    barrier = threading.Barrier(len(tokens))
    outcomes: list[int] = []

    def caller(number: int, token: str) -> None:
        barrier.wait()
        outcomes.extend(answer.status for answer in worlds[number % 3].ask_all(guard, [token, token]))

    threads = [threading.Thread(target=caller, args=pair) for pair in enumerate(tokens)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return outcomes


def test_threads_and_several_event_loops_at_once_share_one_fetch(office: Office) -> None:
    guard = office.guard()
    assert everywhere_at_once(guard, [office.token() for _ in range(24)]) == [200] * 48
    assert office.fetches == 1
    office.entra.clear_requests()
    office.entra.rotate_keys(overlap=False)
    assert everywhere_at_once(guard, [office.token() for _ in range(24)]) == [200] * 48
    assert office.fetches == 1


def test_threads_and_several_event_loops_at_once_all_get_503_when_there_are_no_keys(office: Office) -> None:
    office.entra.fail("all", "500")
    assert everywhere_at_once(office.guard(), [office.token() for _ in range(12)]) == [503] * 24


def test_a_loop_that_has_ended_while_its_task_waited_does_not_affect_others(office: Office) -> None:
    office.gate.hold(1)
    guard = office.guard(wait=0.01)
    for name in ("asyncio", "trio"):
        assert World(name).ask(guard, office.token()).status == 503
    office.gate.release()
    settle(guard)
    assert World("sync").ask(guard, office.token()).status == 200


def test_jumps_of_the_wall_clock_age_no_key(office: Office, world: World) -> None:
    wall = {"ahead": 0.0}
    guard = office.warm_guard(clock=lambda: office.entra.now() + wall["ahead"])
    for ahead in (400 * 24 * HOUR, -400 * 24 * HOUR):
        wall["ahead"] = ahead
        assert world.ask(guard, office.token()).status == 401
        assert (guard.health().status, guard.health().age) == ("ok", 0.0)
    wall["ahead"] = 0.0
    assert world.ask(guard, office.token()).status == 200
    assert len(office.entra.requests) == 0


def test_a_process_that_can_start_no_thread_serves_what_it_can(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm, cold = office.warm_guard(), office.guard()
    office.clock.pass_(2 * HOUR)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert World("sync").ask(warm, office.token()).status == 200
        assert World("sync").ask(cold, office.token()).status == 503
    office.clock.pass_(301)
    assert World("sync").ask(cold, office.token()).status == 200
