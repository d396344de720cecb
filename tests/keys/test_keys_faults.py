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
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from keys_entra import HOUR, Callers, KeysEntra, Outcome, in_background, settle, visit, wait_for_waiters

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


def statuses(answers: list[Outcome]) -> set[int]:
    return {answer.status for answer in answers}


# --- Entra is down -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", OUTAGES)
def test_in_an_outage_good_tokens_pass_for_a_day_and_health_is_degraded(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    guard = entra.warm_guard()
    entra.fail("all", how)
    for _ in range(4):
        entra.monotonic.advance(5 * HOUR)
        assert statuses(callers.verify_all(guard, [entra.token() for _ in range(5)])) == {200}
        settle(guard)
        assert guard.health().status == "degraded"
    entra.clear_faults()
    entra.monotonic.advance(301)
    visit(guard)
    assert guard.health().status == "ok"


@pytest.mark.parametrize("how", OUTAGES)
def test_in_an_outage_one_attempt_is_made_at_a_time_further_and_further_apart(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    guard = entra.warm_guard()
    entra.fail("all", how)
    entra.monotonic.advance(2 * HOUR)
    attempts = []
    for _ in range(600):
        before = guard._key_manager.state.failures
        guard._key_manager.run_due_tasks(entra.monotonic())
        settle(guard)
        if guard._key_manager.state.failures > before:
            attempts.append(entra.monotonic())
        entra.monotonic.advance(1)
    assert callers.verify(guard, entra.token()).status == 200
    gaps = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert gaps == sorted(gaps)
    assert gaps[:8] == [1, 1, 2, 4, 8, 16, 32, 64]


def test_no_caller_waits_for_a_refresh_that_never_ends(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.monotonic.advance(2 * HOUR)
    entra.responses.hold(99)
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(20)])) == {200}
    entra.responses.wait_for_request()
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(20)])) == {200}
    assert len(entra.requests) == 1


@pytest.mark.parametrize("how", OUTAGES)
def test_with_keys_older_than_a_day_the_answer_is_503_until_the_first_success(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    guard = entra.warm_guard()
    entra.fail("all", how)
    entra.monotonic.advance(25 * HOUR)
    for answer in callers.verify_all(guard, [entra.token() for _ in range(10)]):
        assert (answer.status, answer.reason) == (503, "keys_unavailable")
        assert answer.retry_after is not None
        assert answer.retry_after >= 1
    assert guard.health().status == "unavailable"
    entra.clear_faults()
    entra.monotonic.advance(301)
    assert callers.verify(guard, entra.token()).status == 200
    assert guard.health().status == "ok"


@pytest.mark.parametrize("how", OUTAGES)
def test_without_any_keys_yet_the_answer_is_503_until_the_first_success(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    entra.fail("all", how)
    guard = entra.guard()
    answers = callers.verify_all(guard, [entra.token() for _ in range(10)])
    assert {(answer.status, answer.reason) for answer in answers} == {(503, "keys_unavailable")}
    entra.clear_faults()
    entra.monotonic.advance(301)
    assert callers.verify(guard, entra.token()).status == 200


def test_a_caller_without_keys_waits_only_so_long(entra: KeysEntra, callers: Callers) -> None:
    entra.responses.hold(1)
    guard = entra.guard(wait=0.05)
    answer = callers.verify(guard, entra.token())
    assert (answer.status, answer.facts["last_success"]) == (503, "never")
    assert guard._key_manager._work.in_flight


def test_retry_after_of_entra_is_obeyed_and_told_to_callers(entra: KeysEntra, callers: Callers) -> None:
    entra.fail("all", "429", retry_after=120)
    guard = entra.guard()
    assert callers.verify(guard, entra.token()).retry_after == 120
    reached = len(entra.requests)
    entra.clear_faults()
    entra.monotonic.advance(119)
    assert callers.verify(guard, entra.token()).status == 503
    assert len(entra.requests) == reached
    entra.monotonic.advance(1)
    assert callers.verify(guard, entra.token()).status == 200


def test_strict_startup_fails_if_keys_are_unavailable(entra: KeysEntra) -> None:
    entra.fail("all", "500")
    with pytest.raises(FetchError, match="status 500"):
        entra.guard(strict_startup=True)


def test_a_broken_exchange_is_tried_once_more_at_once(entra: KeysEntra, callers: Callers) -> None:
    entra.fail_next("configuration", "dropped")
    entra.fail_next("keys", "503")
    assert callers.verify(entra.guard(), entra.token()).status == 200


# --- poison ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "how"), POISON)
def test_invalid_responses_never_replace_the_cached_keys_and_are_counted_and_logged(
    entra: KeysEntra, callers: Callers, target: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.warm_guard()
    before = guard.health()
    entra.fail(target, how)
    entra.monotonic.advance(13 * HOUR)
    with caplog.at_level(logging.WARNING, "entra_guard.keys"):
        visit(guard)
    after = guard.health()
    assert callers.verify(guard, entra.token()).status == 200
    assert (after.status, after.kids, after.refused) == ("degraded", before.kids, 1)
    assert "the cached keys stay: content:" in caplog.text


@pytest.mark.parametrize(("target", "how"), POISON)
def test_poison_is_not_served_to_a_guard_that_has_no_keys_either(
    entra: KeysEntra, callers: Callers, target: str, how: str
) -> None:
    entra.fail(target, how)
    guard = entra.guard()
    assert callers.verify(guard, entra.token()).status == 503
    entra.clear_faults()
    entra.monotonic.advance(1)
    assert callers.verify(guard, entra.token()).status == 200


def test_an_issuer_that_was_pinned_is_never_exchanged_for_another_tenants(
    entra: KeysEntra, callers: Callers
) -> None:
    contoso, other = entra.find_tenant(), "11111111-2222-4333-8444-555555555555"

    class Confused(httpx.BaseTransport):
        astray = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = entra.transport.handle_request(request)
            text = response.read().decode()
            return httpx.Response(200, text=text.replace(contoso.id, other) if self.astray else text)

    transport = Confused()
    with httpx.Client(transport=transport) as client:
        guard = entra.warm_guard(tenant=contoso.domain, http_client=client)
        transport.astray = True
        entra.monotonic.advance(13 * HOUR)
        visit(guard)
        health = guard.health()
        assert "not the pinned" in health.last_error
        assert contoso.id in health.issuer
        assert callers.verify(guard, entra.token()).status == 200
        settle(guard)


def test_a_foreign_jwks_uri_is_never_asked(entra: KeysEntra, callers: Callers) -> None:
    entra.fail("configuration", "foreign-jwks-uri")
    assert callers.verify(entra.guard(), entra.token()).status == 503
    assert {seen.target for seen in entra.requests} == {"configuration"}


def test_one_answer_that_is_poison_is_forgotten_with_the_next_good_one(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.fail_next("keys", "empty")
    entra.monotonic.advance(2 * HOUR)
    visit(guard)
    entra.monotonic.advance(1)
    visit(guard)
    assert (guard.health().status, guard.health().refused) == ("ok", 1)
    assert callers.verify(guard, entra.token()).status == 200


@pytest.mark.parametrize("how", ODD_KEYS)
def test_one_odd_key_among_good_ones_does_not_stop_the_good_ones(
    entra: KeysEntra, callers: Callers, how: str
) -> None:
    entra.fail("keys", how)
    guard = entra.guard()
    assert callers.verify(guard, entra.token()).status == 200
    assert set(guard.health().kids) == {key.kid for key in entra.keys}


# --- rotation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [True, False], ids=["overlapping", "sudden"])
def test_the_first_token_of_a_new_key_is_accepted_and_many_at_once_cost_one_fetch(
    entra: KeysEntra, callers: Callers, overlap: bool
) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=overlap)
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(30)])) == {200}
    assert entra.key_requests == 1


@pytest.mark.parametrize("overlap", [True, False], ids=["overlapping", "sudden"])
def test_a_withdrawn_key_stops_at_once_for_cached_tokens_too(
    entra: KeysEntra, callers: Callers, overlap: bool
) -> None:
    guard = entra.warm_guard()
    old = entra.token()
    assert callers.verify(guard, old).status == 200
    entra.rotate_keys(overlap=overlap)
    if overlap:
        entra.withdraw_key(entra.keys[1].kid)
    assert callers.verify(guard, entra.token()).status == 200
    assert callers.verify(guard, old).reason == "unknown_key"


def test_fifty_callers_who_come_before_any_key_cost_one_fetch(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.guard()
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(50)])) == {200}
    assert (entra.count("configuration"), entra.key_requests) == (2, 1)


def test_a_refresh_that_was_in_flight_before_the_rotation_does_not_cost_the_new_key_its_first_request(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.monotonic.advance(2 * HOUR)
    entra.responses.hold(1)
    guard._key_manager.run_due_tasks(entra.monotonic())
    entra.responses.wait_for_request()  # the old keys are on their way
    entra.monotonic.advance(0.1)
    entra.rotate_keys(overlap=False)
    answers = in_background(lambda: callers.verify_all(guard, [entra.token() for _ in range(5)]))
    wait_for_waiters(guard, 5)
    entra.monotonic.advance(0.1)
    entra.responses.release()
    assert statuses(answers()) == {200}


def test_rotation_after_rotation_no_caller_of_many_is_refused(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard(monotonic=time.monotonic)
    one = entra.snapshot()
    entra.rotate_keys(overlap=False)
    other = entra.snapshot()
    for number in range(30):
        entra.restore((one, other)[number % 2])
        assert statuses(callers.verify_all(guard, [entra.token() for _ in range(8)])) == {200}


def test_a_token_is_verified_again_if_newer_keys_arrived_meanwhile(
    entra: KeysEntra, callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=False)

    def too_late(*_arguments: object) -> Admission:
        guard._key_manager.load_now()  # what another caller's round may do in just this moment
        return Admission.REFUSED

    monkeypatch.setattr(guard._key_manager, "refresh", too_late)
    assert callers.verify(guard, entra.token()).status == 200


def test_the_same_kid_with_new_material_costs_one_refresh_and_then_serves(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(same_kid=True)
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(20)])) == {200}
    assert entra.key_requests == 1


def test_forged_signatures_cost_one_refresh_per_kid_in_five_minutes(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    for _ in range(60):
        answers = callers.verify_all(guard, [entra.token(preset="forged") for _ in range(3)])
        assert {answer.reason for answer in answers} == {"bad_signature"}
        entra.monotonic.advance(10)
    assert entra.key_requests == 2


# --- floods ------------------------------------------------------------------------------------------


def flood(entra: KeysEntra, callers: Callers, guard: Guard, seconds: int, name: str = "forged") -> set[str]:
    """Two forged kids every ten seconds, and the reasons they are refused with."""
    reasons = set()
    for moment in range(0, seconds, 10):
        tokens = [entra.forged_kid(f"{name}-{moment}-{n}") for n in range(2)]
        reasons |= {answer.reason for answer in callers.verify_all(guard, tokens)}
        entra.monotonic.advance(10)
    return reasons


def test_a_flood_of_unknown_kids_costs_ever_fewer_fetches_and_gets_401(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    guard._key_manager._jitter = lambda: 0.0
    assert flood(entra, callers, guard, 1700) == {"unknown_key"}
    assert entra.key_requests == 9  # after 0, 30, 90, 210, 450, 750, 1050, 1350 and 1650 seconds


def test_while_a_flood_waits_for_its_fetch_other_callers_do_not(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.responses.hold(1)
    strangers = in_background(
        lambda: callers.verify_all(guard, [entra.forged_kid(f"k{n}") for n in range(20)])
    )
    entra.responses.wait_for_request()
    assert statuses(callers.verify_all(guard, [entra.token() for _ in range(10)])) == {200}
    entra.responses.release()
    assert {answer.reason for answer in strangers()} == {"unknown_key"}
    assert entra.key_requests == 1


def test_a_sudden_rotation_in_a_flood_of_unknown_callers_is_noticed_with_the_first_known_caller(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    flood(entra, callers, guard, 500)
    reached = entra.key_requests
    entra.rotate_keys(overlap=False)
    assert callers.verify(guard, entra.forged_kid("one-more")).reason == "unknown_key"
    assert entra.key_requests == reached
    assert callers.verify(guard, entra.token()).status == 200
    assert entra.key_requests == reached + 1


def test_a_sudden_rotation_in_a_flood_that_names_known_callers_is_noticed_within_five_minutes(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    for moment in range(0, 1000, 10):
        callers.verify(guard, entra.token(headers={"kid": f"insider-{moment}"}))
        entra.monotonic.advance(10)
    entra.rotate_keys(overlap=False)
    entra.monotonic.advance(300)
    assert callers.verify(guard, entra.token()).status == 200


def test_one_kid_that_is_sent_again_and_again_costs_no_more_than_a_flood_of_them(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    guard._key_manager._jitter = lambda: 0.0
    stray = entra.forged_kid("stray")
    for _ in range(170):
        assert callers.verify(guard, stray).reason == "unknown_key"
        entra.monotonic.advance(10)
    assert entra.key_requests == 9


def test_a_replica_that_lags_behind_a_rotation_costs_the_new_key_one_cooldown_and_not_five_minutes(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    lagging = entra.snapshot()
    entra.rotate_keys(overlap=False)
    token, newest = entra.token(), entra.snapshot()
    entra.restore(lagging)
    assert callers.verify(guard, token).reason == "unknown_key"
    entra.restore(newest)
    entra.monotonic.advance(1.5 * KeySettings().cooldown)
    assert callers.verify(guard, token).status == 200


def test_a_kid_that_was_not_found_is_found_once_the_keys_change(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    before = entra.snapshot()
    entra.rotate_keys()
    token, after = entra.token(), entra.snapshot()
    entra.restore(before)
    assert callers.verify(guard, token).reason == "unknown_key"
    entra.restore(after)
    entra.monotonic.advance(2 * HOUR)
    visit(guard)
    assert callers.verify(guard, token).status == 200


def garbage(entra: KeysEntra) -> list[str]:
    good = entra.token()
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
        entra.issue_raw(b"[" * 3000, b"{}"),
        entra.issue_raw({"alg": "RS256", "kid": "k"}, b'{"a":' * 1800 + b"1" + b"}" * 1800),
        entra.token(preset="expired"),
        entra.token(preset="wrong-aud"),
        entra.token(preset="alg-none"),
        entra.token(preset="huge"),
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


def test_a_flood_of_garbage_costs_no_fetch_and_no_memory(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    tokens = garbage(entra)
    held = []
    for _ in range(3):
        for _ in range(8):
            assert statuses(callers.verify_all(guard, tokens)) == {401}
        gc.collect()
        held.append(objects_of(guard))
    assert len(entra.requests) == 0
    assert held[1] == held[0]
    assert held[2] == held[1]


def test_a_flood_of_unknown_kids_leaves_what_is_kept_bounded(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    serving = guard._key_manager.active_keys
    for number in range(600):
        serving.add_unknown_kid(b"header %d" % number, f"kid {number}", 1e9)
        serving.add_known_caller(f"caller {number}")
    for number in range(6000):
        serving.add_known_caller(f"caller {number}")
    callers.verify_all(guard, [entra.forged_kid(f"kid-{n}") for n in range(50)])
    assert len(serving.unknown_kids) <= 256
    assert len(serving.known_callers) <= 8192
    assert len(serving.headers) <= 64
    assert len(guard._key_manager.look_ups.not_found) <= 256


@hypothesis_settings(max_examples=15)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 10, 30, 31, 150, 300, 301, 4000]),
            st.sampled_from(["new kid", "old kid", "forged signature", "garbage", "good"]),
        ),
        max_size=40,
    )
)
def test_the_fetches_stay_within_the_budget_for_all_sequences_of_tokens(steps: list[tuple[int, str]]) -> None:
    entra = KeysEntra()
    guard = entra.warm_guard()
    tokens = {
        "old kid": entra.forged_kid("old"),
        "forged signature": entra.token(preset="forged"),
        "garbage": "a.b.c",
        "good": entra.token(),
    }
    began = entra.monotonic()
    for number, (pause, kind) in enumerate(steps):
        entra.monotonic.advance(pause)
        token = entra.forged_kid(f"new-{number}") if kind == "new kid" else tokens[kind]
        assert Callers("sync").verify(guard, token).status == (200 if kind == "good" else 401)
        settle(guard)
    seconds = entra.monotonic() - began
    in_background_at_most = seconds / (0.9 * HOUR) + 1
    for_unknown_kids_at_most = seconds / 300 + 6
    for_one_suspect_at_most = seconds / 300 + 1
    assert entra.key_requests <= in_background_at_most + for_unknown_kids_at_most + for_one_suspect_at_most
    entra.tear_down()


# --- order, cancellation, threads, clocks -----------------------------------------------------


def test_a_round_that_does_not_end_is_given_up_and_its_late_answer_discarded(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.monotonic.advance(2 * HOUR)
    entra.responses.hold(1)
    guard._key_manager.run_due_tasks(entra.monotonic())
    stuck = guard._key_manager._work.in_flight["keys"]
    entra.responses.wait_for_request()  # with the keys of now in its hands
    entra.rotate_keys(overlap=False)
    entra.monotonic.advance(31)
    assert callers.verify(guard, entra.token()).status == 200
    newest = guard.health()
    entra.responses.release()
    stuck.result(timeout=10)
    assert (guard.health().kids, guard.health().generation) == (newest.kids, newest.generation)
    assert callers.verify(guard, entra.token()).status == 200


def test_a_caller_who_is_cancelled_does_not_block_others(entra: KeysEntra) -> None:
    async def scene() -> list[int]:
        served = []

        async def patient() -> None:
            await guard.averify(entra.token())
            served.append(200)

        async with anyio.create_task_group() as callers:
            with anyio.move_on_after(0):
                await guard.averify(entra.token())
            callers.start_soon(patient)
            callers.start_soon(patient)
            await anyio.wait_all_tasks_blocked() if backend == "trio" else await anyio.sleep(0.01)
            entra.responses.release()
        return served

    for backend in ("asyncio", "trio"):
        entra.responses.hold(1)
        guard = entra.guard()
        assert anyio.run(scene, backend=backend) == [200, 200]


def test_a_thread_that_gives_up_does_not_block_others(entra: KeysEntra) -> None:
    entra.responses.hold(1)
    guard = entra.guard()
    guard._key_manager.settings = KeySettings(wait=0.0)
    assert Callers("sync").verify(guard, entra.token()).status == 503
    guard._key_manager.settings = KeySettings()
    patient = in_background(lambda: Callers("sync").verify(guard, entra.token()))
    entra.responses.wait_for_request()
    entra.responses.release()
    assert patient().status == 200
    assert entra.key_requests == 1


def everywhere_at_once(guard: Guard, tokens: list[str]) -> list[int]:
    """One thread for each token: plain threads, and threads with a loop of asyncio or trio of their own."""
    worlds = [Callers(name) for name in ("sync", "asyncio", "trio")]
    barrier = threading.Barrier(len(tokens))
    outcomes: list[int] = []

    def caller(number: int, token: str) -> None:
        barrier.wait()
        outcomes.extend(answer.status for answer in worlds[number % 3].verify_all(guard, [token, token]))

    threads = [threading.Thread(target=caller, args=pair) for pair in enumerate(tokens)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return outcomes


def test_threads_and_several_event_loops_at_once_share_one_fetch(entra: KeysEntra) -> None:
    guard = entra.guard()
    assert everywhere_at_once(guard, [entra.token() for _ in range(24)]) == [200] * 48
    assert entra.key_requests == 1
    entra.clear_requests()
    entra.rotate_keys(overlap=False)
    assert everywhere_at_once(guard, [entra.token() for _ in range(24)]) == [200] * 48
    assert entra.key_requests == 1


def test_threads_and_several_event_loops_at_once_all_get_503_when_there_are_no_keys(entra: KeysEntra) -> None:
    entra.fail("all", "500")
    assert everywhere_at_once(entra.guard(), [entra.token() for _ in range(12)]) == [503] * 24


def test_a_loop_that_has_ended_while_its_task_waited_does_not_affect_others(entra: KeysEntra) -> None:
    entra.responses.hold(1)
    guard = entra.guard(wait=0.01)
    for name in ("asyncio", "trio"):
        assert Callers(name).verify(guard, entra.token()).status == 503
    entra.responses.release()
    settle(guard)
    assert Callers("sync").verify(guard, entra.token()).status == 200


def test_jumps_of_the_wall_clock_age_no_key(entra: KeysEntra, callers: Callers) -> None:
    wall = {"ahead": 0.0}
    guard = entra.warm_guard(clock=lambda: entra.now() + wall["ahead"])
    for ahead in (400 * 24 * HOUR, -400 * 24 * HOUR):
        wall["ahead"] = ahead
        assert callers.verify(guard, entra.token()).status == 401
        assert (guard.health().status, guard.health().age) == ("ok", 0.0)
    wall["ahead"] = 0.0
    assert callers.verify(guard, entra.token()).status == 200
    assert len(entra.requests) == 0


def test_a_process_that_can_start_no_thread_serves_what_it_can(
    entra: KeysEntra, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm, cold = entra.warm_guard(), entra.guard()
    entra.monotonic.advance(2 * HOUR)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert Callers("sync").verify(warm, entra.token()).status == 200
        assert Callers("sync").verify(cold, entra.token()).status == 503
    entra.monotonic.advance(301)
    assert Callers("sync").verify(cold, entra.token()).status == 200
