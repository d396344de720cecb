"""A token is fetched once, kept, joined and renewed in the background."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from outbound_office import settled, until

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

    from outbound_office import Get, Office

    from entra_guard.credentials import Credential

HERD = 50
HOUR = 3600


def test_a_token_is_fetched_once_and_then_served_from_memory(office: Office, get: Get) -> None:
    credential = office.credential()
    with office.counting(1):
        tokens = {get(credential, office.scope).token for _ in range(5)}
    assert len(tokens) == 1


def test_each_scope_has_its_own_token(office: Office, get: Get) -> None:
    credential = office.credential()
    first, second = office.apis(2)
    with office.counting(2):
        for _ in range(2):
            audiences = [office.claims(get(credential, scope))["aud"] for scope in (first, second)]
    assert [f"api://{audience}/.default" for audience in audiences] == [first, second]


def test_ten_thousand_tokens_are_kept_and_found(office: Office) -> None:
    credential = office.credential()
    times = {"expires_on": int(office.clock.now + HOUR), "refresh_on": office.clock.now + HOUR / 2}
    for number in range(10_000):
        credential._tokens.put((f"api://{number}/.default",), AccessToken(str(number), **times))
    with office.counting(0):
        found = [credential.get_token(f"api://{number}/.default").token for number in range(10_000)]
    assert found == [str(number) for number in range(10_000)]


def test_the_number_of_cached_tokens_is_bounded(office: Office) -> None:
    credential = office.credential(cache_size=10)
    for scope in office.apis(25):
        credential.get_token(scope)
    assert len(credential._tokens) <= 10


def test_a_token_moves_on_with_time_and_is_used_until_thirty_seconds_before_its_end(
    office: Office, get: Get
) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.entra.fail("token", "503")
    office.advance(first.expires_on - office.clock.now - 31)
    assert get(credential, office.scope) == first
    settled(credential)
    office.entra.clear_faults()
    office.advance(2)
    assert get(credential, office.scope) != first


# --- joining -----------------------------------------------------------------------------------------


def _threads(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(HERD) as pool:
        return list(pool.map(lambda _: credential.get_token(scope), range(HERD)))


def _tasks(credential: Credential, scope: str, number: int = HERD) -> list[AccessToken]:
    async def herd() -> list[AccessToken]:
        return await asyncio.gather(*(credential.aget_token(scope) for _ in range(number)))

    return asyncio.run(herd())


def _several_loops(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(5) as pool:
        loops = pool.map(lambda _: _tasks(credential, scope, HERD // 5), range(5))
        return [token for tokens in loops for token in tokens]


def _both_worlds_at_once(credential: Credential, scope: str) -> list[AccessToken]:
    with ThreadPoolExecutor(26) as pool:
        tasks = pool.submit(_tasks, credential, scope, 25)
        threads = [pool.submit(credential.get_token, scope) for _ in range(25)]
        return tasks.result() + [thread.result() for thread in threads]


@pytest.mark.parametrize("herd", [_threads, _tasks, _several_loops, _both_worlds_at_once])
def test_fifty_cold_callers_send_one_request(
    office: Office, herd: Callable[[Credential, str], list[AccessToken]]
) -> None:
    office.entra.fail("token", "slow", delay=0.1)
    with office.counting(1):
        tokens = herd(office.credential(), office.scope)
    assert len(tokens) == HERD
    assert len(set(tokens)) == 1


def test_callers_for_different_scopes_do_not_wait_for_each_other(office: Office) -> None:
    slow, quick = office.apis(2)
    office.entra.fail_next("token", "slow", delay=0.5)
    credential = office.credential()
    waiting = threading.Thread(target=credential.get_token, args=(slow,))
    waiting.start()
    office.until_posts(1)
    credential.get_token(quick)
    assert waiting.is_alive()
    waiting.join()


def test_a_cancelled_waiter_cancels_no_other_one(office: Office) -> None:
    office.entra.fail("token", "slow", delay=0.1)
    credential = office.credential()

    async def herd() -> list[AccessToken | BaseException]:
        tasks = [asyncio.create_task(credential.aget_token(office.scope)) for _ in range(3)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with office.counting(1):
        cancelled, *served = asyncio.run(herd())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert served == [credential.get_token(office.scope)] * 2


def test_a_loop_that_ends_while_it_waits_does_not_stop_other_callers(office: Office) -> None:
    office.entra.fail("token", "slow", delay=0.1)
    credential = office.credential()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(credential.aget_token(office.scope), 0.02)

    with office.counting(1):
        asyncio.run(impatient())
        credential.get_token(office.scope)


def test_waiting_for_a_token_does_not_block_the_event_loop(office: Office) -> None:
    office.entra.fail("token", "slow", delay=0.2)
    credential = office.credential()

    async def count_turns() -> int:
        turns, task = 0, asyncio.create_task(credential.aget_token(office.scope))
        while not task.done():
            turns += 1
            await asyncio.sleep(0.001)
        return turns

    assert asyncio.run(count_turns()) > 20


# --- time limits -------------------------------------------------------------------------------------


def blocked_credential(office: Office, calls: list[int], released: threading.Event, **settings: Any) -> Any:
    """A credential whose requests do not return before they are released."""

    def assertion() -> str:
        calls.append(1)
        released.wait(20)
        return "a.b.c"

    ids = office.entra.tenant_id, office.daemon.client_id
    return ClientAssertionCredential(*ids, assertion, **{**office.settings, **settings})


def test_a_caller_waits_no_longer_than_it_may_and_the_next_one_sends_a_new_request(
    office: Office, get: Get
) -> None:
    calls, released = [], threading.Event()
    credential = blocked_credential(office, calls, released, wait=0.1)
    try:
        for number in (1, 2):
            with pytest.raises(TokenAcquisitionError, match=r"none arrived within 0\.1 seconds") as caught:
                get(credential, office.scope)
            assert (caught.value.error, caught.value.retryable) == ("timeout", True)
            until(lambda number=number: len(calls) == number)
    finally:
        released.set()
    settled(credential)


def test_a_caller_waits_thirty_seconds_by_default(office: Office) -> None:
    assert office.credential()._cache.wait == 30.0
    assert ManagedIdentityCredential(environ={})._cache.wait == 30.0


@pytest.mark.parametrize("wait", [0, -1, float("inf"), float("nan"), "3", True, None])
def test_a_wait_is_a_number_of_seconds(office: Office, wait: Any) -> None:
    with pytest.raises(ConfigurationError, match="wait"):
        office.credential(wait=wait)


# --- refreshing --------------------------------------------------------------------------------------


def test_past_half_of_its_life_one_refresh_runs_and_everyone_is_served_the_valid_token(
    office: Office, get: Get
) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.advance(HOUR / 2 - 10)
    with office.counting(0):
        assert get(credential, office.scope) == first
    office.advance(20)
    office.entra.fail_next("token", "slow", delay=0.1)
    with office.counting(1):
        served = [get(credential, office.scope) for _ in range(HERD)]
        assert served[0] == first  # at once, although the refresh takes longer
        assert len(set(served)) <= 2  # on a slow machine the last ones get the new token
        settled(credential)
        second = get(credential, office.scope)
    assert second.expires_on > first.expires_on


def test_clock_that_is_set_back_keeps_no_token_past_its_end(office: Office, get: Get) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.clock.advance(-2 * HOUR)
    office.monotonic.advance(HOUR / 2 - 10)
    with office.counting(0):
        assert get(credential, office.scope) == first
    office.monotonic.advance(HOUR / 2)
    with office.counting(1):
        assert get(credential, office.scope).token != first.token


def test_clock_that_is_set_back_delays_no_renewal(office: Office, get: Get) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.clock.advance(-2 * HOUR)
    office.monotonic.advance(HOUR * 0.75)
    with office.counting(1):
        assert get(credential, office.scope) == first  # usable, while a new one is requested
        settled(credential)


def test_a_refresh_does_not_keep_its_caller_waiting(office: Office, get: Get) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.advance(HOUR * 0.75)
    before = office.posts
    office.entra.fail_next("token", "slow", delay=0.3)
    assert get(credential, office.scope) == first
    assert not credential._cache.idle
    office.until_posts(before + 1)


def test_callers_of_an_expired_token_wait_for_the_new_one(office: Office, get: Get) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.advance(2 * HOUR)
    with office.counting(1):
        assert get(credential, office.scope).expires_on > first.expires_on


BROKEN = ["429", "500", "503", "dropped", "partial", "html", "truncated", "oversize", "redirect", "silent"]


@pytest.mark.parametrize("fault", BROKEN)
def test_when_the_authority_fails_a_valid_token_is_served(office: Office, get: Get, fault: str) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.advance(HOUR * 0.75)
    with office.entra.failing("token", fault):
        assert get(credential, office.scope) == first
        settled(credential)
        assert get(credential, office.scope) == first
    office.advance(60)
    get(credential, office.scope)
    until(lambda: get(credential, office.scope) != first)


@pytest.mark.parametrize("fault", BROKEN)
def test_when_the_authority_fails_and_there_is_no_token_the_error_says_try_again(
    office: Office, get: Get, fault: str
) -> None:
    credential = office.credential()
    with office.entra.failing("token", fault), pytest.raises(TokenAcquisitionError) as caught:
        get(credential, office.scope)
    assert caught.value.retryable
    office.advance(60)
    assert get(credential, office.scope)


@pytest.mark.parametrize("fault", ["dropped", "500", "503", "temporarily_unavailable"])
def test_a_broken_connection_and_a_server_error_are_retried_once_at_once(
    office: Office, get: Get, fault: str
) -> None:
    office.entra.fail_next("token", fault)
    with office.counting(2):
        assert get(office.credential(), office.scope)


def test_during_an_outage_not_every_caller_sends_a_request(office: Office, get: Get) -> None:
    office.entra.fail("token", "500")
    credential = office.credential()
    with office.counting(2):  # the second is the one more try
        for _ in range(HERD):
            with pytest.raises(TokenAcquisitionError):
                get(credential, office.scope)


def test_pauses_grow_while_an_outage_lasts_and_end_with_it(office: Office) -> None:
    office.entra.fail("token", "silent")
    credential = office.credential()
    pauses = []
    for _ in range(8):
        for _again in range(2):
            with pytest.raises(TokenAcquisitionError) as caught:
                credential.get_token(office.scope)
        pauses.append(caught.value.retry_after)
        office.advance(pauses[-1])
    assert 0.5 <= pauses[0] <= 1.0
    assert 15.0 <= pauses[-1] <= 30.0
    office.entra.clear_faults()
    credential.get_token(office.scope)
    assert credential._cache._failures.get((office.scope,)) is None


# --- Retry-After -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["429", "503"])
def test_retry_after_is_obeyed_without_sleeping_in_the_callers_request(
    office: Office, get: Get, status: str
) -> None:
    credential = office.credential()
    office.entra.fail_next("token", status, retry_after=60)
    with office.counting(1):
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, office.scope)
        assert caught.value.retry_after == 60
        office.advance(59)
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, office.scope)
        assert caught.value.retry_after == pytest.approx(1)
    office.advance(1)
    with office.counting(1):
        assert get(credential, office.scope)


def test_retry_after_is_obeyed_by_the_background_refresh_too(office: Office, get: Get) -> None:
    credential = office.credential()
    first = get(credential, office.scope)
    office.advance(HOUR * 0.75)
    office.entra.fail_next("token", "429", retry_after=120)
    with office.counting(1):
        get(credential, office.scope)
        settled(credential)
        office.advance(119)
        assert get(credential, office.scope) == first


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_retry_after_of_zero_does_not_allow_requests_without_end(
    office: Office, get: Get, status: str
) -> None:
    credential = office.credential()
    with office.entra.failing("token", status, retry_after=0), office.counting(1):
        for _ in range(HERD):
            with pytest.raises(TokenAcquisitionError) as caught:
                get(credential, office.scope)
    assert caught.value.retry_after >= 1
    office.advance(1)
    assert get(credential, office.scope)


def test_pauses_grow_without_a_retry_after(office: Office) -> None:
    office.entra.fail("token", "429", retry_after=0)
    credential = office.credential()
    for _ in range(9):
        with pytest.raises(TokenAcquisitionError):
            credential.get_token(office.scope)
        office.advance(1.0)
    assert office.posts <= 5  # in the seconds 0, 1, 2, 4 and 8 at the most


def test_the_retry_after_of_a_proxys_page_is_obeyed(office: Office, get: Get) -> None:
    requests = []

    def proxy(request: httpx.Request) -> httpx.Response:  # Entra itself answers in JSON
        requests.append(request)
        return httpx.Response(503, headers={"retry-after": "7"}, html="<h1>busy</h1>")

    credential = office.credential(http_client=httpx.Client(transport=httpx.MockTransport(proxy)))
    for _ in range(2):
        with pytest.raises(TokenAcquisitionError) as caught:
            get(credential, office.scope)
        assert caught.value.retry_after == 7
    assert len(requests) == 1


def test_refresh_in_decides_when_to_renew(office: Office, get: Get) -> None:
    class RefreshIn(httpx.BaseTransport):
        """The emulator's answer with the one field that it leaves out and Entra sometimes sends."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = office.entra.transport.handle_request(request)
            return httpx.Response(answer.status_code, json={**json.loads(answer.read()), "refresh_in": 600})

    credential = office.credential(http_client=httpx.Client(transport=RefreshIn()))
    first = get(credential, office.scope)
    office.advance(599)
    with office.counting(0):
        assert get(credential, office.scope) == first
    office.advance(2)
    with office.counting(1):
        assert get(credential, office.scope) == first
        settled(credential)
        assert get(credential, office.scope) != first


# --- refusals ----------------------------------------------------------------------------------------


def test_a_wrong_secret_is_remembered_for_seconds(office: Office, get: Get) -> None:
    credential = office.credential(client_secret="not-the-secret-at-all")
    with office.counting(1):
        for _ in range(5):
            with pytest.raises(TokenAcquisitionError, match="7000215") as caught:
                get(credential, office.scope)
    assert not caught.value.retryable
    office.advance(11)
    with office.counting(1), pytest.raises(TokenAcquisitionError):
        get(credential, office.scope)


def test_a_refusal_is_forgotten_when_the_secrets_file_changes(
    office: Office, get: Get, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("not-the-secret-at-all")
    credential = office.credential(client_secret=file)
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        get(credential, office.scope)
    file.write_text(f"{office.secret.value}\n")
    assert get(credential, office.scope)


def test_each_caller_gets_an_error_object_of_its_own(office: Office) -> None:
    office.entra.fail("token", "slow", delay=0.1)
    credential = office.credential(client_secret="not-the-secret-at-all")

    async def herd() -> list[AccessToken | BaseException]:
        return await asyncio.gather(
            *(credential.aget_token(office.scope) for _ in range(3)), return_exceptions=True
        )

    errors = asyncio.run(herd())
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
