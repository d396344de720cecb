"""A token is requested once, cached, shared by concurrent callers and renewed in the background."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from outbound_entra import claims_of, wait_until_idle
from waiting import wait_until

from entra_guard.credentials import (
    AccessToken,
    ClientAssertionCredential,
    ManagedIdentityCredential,
    TokenAcquisitionError,
)
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

    from entra_guard.credentials import Credential

CALLERS = 50
HOUR = 3600


def test_a_token_is_fetched_once_and_then_served_from_memory(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(1):
        tokens = {get(credential, entra.scope).token for _ in range(5)}
    assert len(tokens) == 1


def test_each_scope_has_its_own_token(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first, second = entra.scopes_of_new_apis(2)
    with entra.expect_token_requests(2):
        for _ in range(2):
            audiences = [claims_of(get(credential, scope))["aud"] for scope in (first, second)]
    assert [f"api://{audience}/.default" for audience in audiences] == [first, second]


def test_ten_thousand_tokens_are_kept_and_found(entra: OutboundEntra) -> None:
    credential = entra.credential()
    times = {"expires_on": int(entra.clock.now + HOUR), "refresh_on": entra.clock.now + HOUR / 2}
    for number in range(10_000):
        credential._tokens.put((f"api://{number}/.default",), AccessToken(str(number), **times))
    with entra.expect_token_requests(0):
        found = [credential.get_token(f"api://{number}/.default").token for number in range(10_000)]
    assert found == [str(number) for number in range(10_000)]


def test_the_number_of_cached_tokens_is_bounded(entra: OutboundEntra) -> None:
    credential = entra.credential(cache_size=10)
    for scope in entra.scopes_of_new_apis(25):
        credential.get_token(scope)
    assert len(credential._tokens) <= 10


def test_a_token_moves_on_with_time_and_is_used_until_thirty_seconds_before_its_end(
    entra: OutboundEntra, get: Get
) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.fail("token", "503")
    entra.advance(first.expires_on - entra.clock.now - 31)
    assert get(credential, entra.scope) == first
    wait_until_idle(credential)
    entra.clear_faults()
    entra.advance(2)
    assert get(credential, entra.scope) != first


# --- joining -----------------------------------------------------------------------------------------


def _threads(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda _: credential.get_token(scope), range(CALLERS)))


def _tasks(credential: Credential, scope: str, number: int = CALLERS) -> list[AccessToken]:
    async def concurrent_calls() -> list[AccessToken]:
        return await asyncio.gather(*(credential.aget_token(scope) for _ in range(number)))

    return asyncio.run(concurrent_calls())


def _several_loops(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(5) as pool:
        loops = pool.map(lambda _: _tasks(credential, scope, CALLERS // 5), range(5))
        return [token for tokens in loops for token in tokens]


def _threads_and_tasks(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(26) as pool:
        tasks = pool.submit(_tasks, credential, scope, 25)
        threads = [pool.submit(credential.get_token, scope) for _ in range(25)]
        return tasks.result() + [thread.result() for thread in threads]


@pytest.mark.parametrize("concurrent_calls", [_threads, _tasks, _several_loops, _threads_and_tasks])
def test_fifty_cold_callers_send_one_request(
    entra: OutboundEntra, concurrent_calls: Callable[[Credential, str], list[AccessToken]]
) -> None:
    entra.fail("token", "slow", delay=0.1)
    with entra.expect_token_requests(1):
        tokens = concurrent_calls(entra.credential(), entra.scope)
    assert len(tokens) == CALLERS
    assert len(set(tokens)) == 1


def test_callers_for_different_scopes_do_not_wait_for_each_other(entra: OutboundEntra) -> None:
    slow, quick = entra.scopes_of_new_apis(2)
    entra.responses.hold(1)
    credential = entra.credential()
    waiting = threading.Thread(target=credential.get_token, args=(slow,))
    waiting.start()
    entra.responses.wait_for_request()
    credential.get_token(quick)
    assert waiting.is_alive()
    entra.responses.release()
    waiting.join()


def test_a_cancelled_waiter_cancels_no_other_one(entra: OutboundEntra) -> None:
    entra.responses.hold(1)
    credential = entra.credential()

    async def concurrent_calls() -> list[AccessToken | BaseException]:
        tasks = [asyncio.create_task(credential.aget_token(entra.scope)) for _ in range(3)]
        await asyncio.to_thread(entra.responses.wait_for_request)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        entra.responses.release()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with entra.expect_token_requests(1):
        cancelled, *served = asyncio.run(concurrent_calls())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert served == [credential.get_token(entra.scope)] * 2


def test_a_loop_that_ends_while_it_waits_does_not_stop_other_callers(entra: OutboundEntra) -> None:
    entra.responses.hold(1)
    credential = entra.credential()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(credential.aget_token(entra.scope), 0.02)

    with entra.expect_token_requests(1):
        asyncio.run(impatient())
        entra.responses.release()
        credential.get_token(entra.scope)


def test_waiting_for_a_token_does_not_block_the_event_loop(entra: OutboundEntra) -> None:
    entra.responses.hold(1)
    credential = entra.credential()

    async def other_work() -> AccessToken:
        task = asyncio.create_task(credential.aget_token(entra.scope))
        for _turn in range(20):
            await asyncio.sleep(0.001)
        assert not task.done()
        entra.responses.release()  # only a loop that is not blocked comes here before the time limit
        return await task

    assert asyncio.run(other_work())


# --- time limits -------------------------------------------------------------------------------------


def blocked_credential(
    entra: OutboundEntra, calls: list[int], released: threading.Event, **settings: Any
) -> Any:
    """A credential whose requests do not return before they are released."""

    def assertion() -> str:
        calls.append(1)
        released.wait(20)
        return "a.b.c"

    ids = entra.tenant_id, entra.caller.client_id
    return ClientAssertionCredential(*ids, assertion, **{**entra.credential_settings, **settings})


def test_a_caller_waits_no_longer_than_it_may_and_the_next_one_sends_a_new_request(
    entra: OutboundEntra, get: Get
) -> None:
    calls, released = [], threading.Event()
    credential = blocked_credential(entra, calls, released, wait=0.1)
    try:
        for number in (1, 2):
            with pytest.raises(TokenAcquisitionError, match=r"none arrived within 0\.1 seconds") as caught:
                get(credential, entra.scope)
            assert (caught.value.error, caught.value.retryable) == ("timeout", True)
            wait_until(lambda number=number: len(calls) == number)
    finally:
        released.set()
    wait_until_idle(credential)


def test_a_caller_waits_thirty_seconds_by_default(entra: OutboundEntra) -> None:
    assert entra.credential()._cache.wait == 30.0
    assert ManagedIdentityCredential(environ={})._cache.wait == 30.0


@pytest.mark.parametrize("wait", [0, -1, float("inf"), float("nan"), "3", True, None])
def test_a_wait_is_a_number_of_seconds(entra: OutboundEntra, wait: Any) -> None:
    with pytest.raises(ConfigurationError, match="wait"):
        entra.credential(wait=wait)


# --- refreshing --------------------------------------------------------------------------------------


def test_past_half_of_its_life_one_refresh_runs_and_everyone_is_served_the_valid_token(
    entra: OutboundEntra, get: Get
) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.advance(HOUR / 2 - 10)
    with entra.expect_token_requests(0):
        assert get(credential, entra.scope) == first
    entra.advance(20)
    entra.responses.hold(1)
    with entra.expect_token_requests(1):
        served = [get(credential, entra.scope) for _ in range(CALLERS)]
        assert set(served) == {first}
        entra.responses.release()
        wait_until_idle(credential)
        second = get(credential, entra.scope)
    assert second.expires_on > first.expires_on


def test_clock_that_is_set_back_keeps_no_token_past_its_end(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.clock.advance(-2 * HOUR)
    entra.monotonic.advance(HOUR / 2 - 10)
    with entra.expect_token_requests(0):
        assert get(credential, entra.scope) == first
    entra.monotonic.advance(HOUR / 2)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope).token != first.token


def test_clock_that_is_set_back_delays_no_renewal(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.clock.advance(-2 * HOUR)
    entra.monotonic.advance(HOUR * 0.75)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope) == first  # usable, while a new one is requested
        wait_until_idle(credential)


def test_a_refresh_does_not_keep_its_caller_waiting(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.advance(HOUR * 0.75)
    before = entra.token_requests
    entra.responses.hold(1)
    assert get(credential, entra.scope) == first
    assert not credential._cache.idle
    entra.wait_for_token_requests(before + 1)
    entra.responses.release()


def test_callers_of_an_expired_token_wait_for_the_new_one(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.advance(2 * HOUR)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope).expires_on > first.expires_on


BROKEN = ["429", "500", "503", "dropped", "partial", "html", "truncated", "oversize", "redirect", "silent"]


@pytest.mark.parametrize("fault", BROKEN)
def test_when_the_authority_fails_a_valid_token_is_served(entra: OutboundEntra, get: Get, fault: str) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.advance(HOUR * 0.75)
    with entra.failing("token", fault):
        assert get(credential, entra.scope) == first
        wait_until_idle(credential)
        assert get(credential, entra.scope) == first
    entra.advance(60)
    get(credential, entra.scope)
    wait_until(lambda: get(credential, entra.scope) != first)


@pytest.mark.parametrize("fault", BROKEN)
def test_when_the_authority_fails_and_there_is_no_token_the_error_says_try_again(
    entra: OutboundEntra, get: Get, fault: str
) -> None:
    credential = entra.credential()
    with entra.failing("token", fault), pytest.raises(TokenAcquisitionError) as caught:
        get(credential, entra.scope)
    assert caught.value.retryable
    entra.advance(60)
    assert get(credential, entra.scope)


@pytest.mark.parametrize("fault", ["dropped", "500", "503", "temporarily_unavailable"])
def test_a_broken_connection_and_a_server_error_are_retried_once_at_once(
    entra: OutboundEntra, get: Get, fault: str
) -> None:
    entra.fail_next("token", fault)
    with entra.expect_token_requests(2):
        assert get(entra.credential(), entra.scope)


def test_during_an_outage_not_every_caller_sends_a_request(entra: OutboundEntra, get: Get) -> None:
    entra.fail("token", "500")
    credential = entra.credential()
    with entra.expect_token_requests(2):  # the second is the one more try
        for _ in range(CALLERS):
            with pytest.raises(TokenAcquisitionError):
                get(credential, entra.scope)


def test_pauses_grow_while_an_outage_lasts_and_end_with_it(entra: OutboundEntra) -> None:
    entra.fail("token", "silent")
    credential = entra.credential()
    pauses = []
    for _ in range(8):
        for _again in range(2):
            with pytest.raises(TokenAcquisitionError) as caught:
                credential.get_token(entra.scope)
        pauses.append(caught.value.retry_after)
        entra.advance(pauses[-1])
    assert 0.5 <= pauses[0] <= 1.0
    assert 15.0 <= pauses[-1] <= 30.0
    entra.clear_faults()
    credential.get_token(entra.scope)
    assert credential._cache._failures.get((entra.scope,)) is None


# --- Retry-After -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["429", "503"])
def test_retry_after_is_obeyed_without_sleeping_in_the_callers_request(
    entra: OutboundEntra, get: Get, status: str
) -> None:
    credential = entra.credential()
    entra.fail_next("token", status, retry_after=60)
    with entra.expect_token_requests(1):
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, entra.scope)
        assert caught.value.retry_after == 60
        entra.advance(59)
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, entra.scope)
        assert caught.value.retry_after == pytest.approx(1)
    entra.advance(1)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope)


def test_retry_after_is_obeyed_by_the_background_refresh_too(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    first = get(credential, entra.scope)
    entra.advance(HOUR * 0.75)
    entra.fail_next("token", "429", retry_after=120)
    with entra.expect_token_requests(1):
        get(credential, entra.scope)
        wait_until_idle(credential)
        entra.advance(119)
        assert get(credential, entra.scope) == first


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_retry_after_of_zero_does_not_allow_requests_without_end(
    entra: OutboundEntra, get: Get, status: str
) -> None:
    credential = entra.credential()
    with entra.failing("token", status, retry_after=0), entra.expect_token_requests(1):
        for _ in range(CALLERS):
            with pytest.raises(TokenAcquisitionError) as caught:
                get(credential, entra.scope)
    assert caught.value.retry_after >= 1
    entra.advance(1)
    assert get(credential, entra.scope)


def test_pauses_grow_without_a_retry_after(entra: OutboundEntra) -> None:
    entra.fail("token", "429", retry_after=0)
    credential = entra.credential()
    for _ in range(9):
        with pytest.raises(TokenAcquisitionError):
            credential.get_token(entra.scope)
        entra.advance(1.0)
    assert entra.token_requests <= 5  # in the seconds 0, 1, 2, 4 and 8


def test_the_retry_after_of_a_proxys_page_is_obeyed(entra: OutboundEntra, get: Get) -> None:
    requests = []

    def proxy(request: httpx.Request) -> httpx.Response:  # Entra itself responds in JSON
        requests.append(request)
        return httpx.Response(503, headers={"retry-after": "7"}, html="<h1>busy</h1>")

    credential = entra.credential(http_client=httpx.Client(transport=httpx.MockTransport(proxy)))
    for _ in range(2):
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, entra.scope)
        assert caught.value.retry_after == 7
    assert len(requests) == 1


def test_refresh_in_decides_when_to_renew(entra: OutboundEntra, get: Get) -> None:
    class RefreshIn(httpx.BaseTransport):
        """Return the emulator's response with `refresh_in`, which Entra sometimes sends."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = entra.transport.handle_request(request)
            return httpx.Response(
                response.status_code, json={**json.loads(response.read()), "refresh_in": 600}
            )

    credential = entra.credential(http_client=httpx.Client(transport=RefreshIn()))
    first = get(credential, entra.scope)
    entra.advance(599)
    with entra.expect_token_requests(0):
        assert get(credential, entra.scope) == first
    entra.advance(2)
    with entra.expect_token_requests(1):
        assert get(credential, entra.scope) == first
        wait_until_idle(credential)
        assert get(credential, entra.scope) != first


# --- refusals ----------------------------------------------------------------------------------------


def test_a_wrong_secret_is_remembered_for_seconds(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential(client_secret="not-the-secret-at-all")
    with entra.expect_token_requests(1):
        for _ in range(5):
            with pytest.raises(TokenAcquisitionError, match="7000215") as caught:
                get(credential, entra.scope)
    assert not caught.value.retryable
    entra.advance(11)
    with entra.expect_token_requests(1), pytest.raises(TokenAcquisitionError):
        get(credential, entra.scope)


def test_a_refusal_is_forgotten_when_the_secrets_file_changes(
    entra: OutboundEntra, get: Get, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("not-the-secret-at-all")
    credential = entra.credential(client_secret=file)
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        get(credential, entra.scope)
    file.write_text(f"{entra.secret.value}\n")
    assert get(credential, entra.scope)


def test_each_caller_gets_an_error_object_of_its_own(entra: OutboundEntra) -> None:
    entra.fail("token", "slow", delay=0.1)
    credential = entra.credential(client_secret="not-the-secret-at-all")

    async def concurrent_calls() -> list[AccessToken | BaseException]:
        return await asyncio.gather(
            *(credential.aget_token(entra.scope) for _ in range(3)), return_exceptions=True
        )

    errors = asyncio.run(concurrent_calls())
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
