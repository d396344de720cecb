"""The token cache by itself: which token it returns, where the order of events matters."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import threading
import warnings
from asyncio import CancelledError
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from locked_caches import LockedLRUCache
from manual_clock import ManualClock
from waiting import wait_until

from entra_guard.credentials import AccessToken, TokenAcquisitionError
from entra_guard.credentials._cache.token_cache import TokenCache, TokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable

NBF, STEP_UP = '{"access_token":{"nbf":{}}}', '{"access_token":{"acrs":{}}}'


def new_request(
    send: Callable[[], AccessToken],
    claims: str | None = None,
    rejected: str | None = None,
    *,
    key: str = "orders",
    scope: str = "orders",
    proof_version: Callable[[], object] = lambda: None,
) -> TokenRequest:
    return TokenRequest(key, (scope,), key, send, proof_version, claims, rejected)


class Authority:
    """A cache, and an authority whose tokens are numbered."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.cache = TokenCache(clock=self.clock, monotonic=self.clock)
        self.numbers = itertools.count(1)
        self.requests = 0

    def send(self) -> AccessToken:
        self.requests += 1
        return AccessToken(f"T{next(self.numbers)}", int(self.clock.now) + 3600, self.clock.now + 1800)

    def request(self, claims: str | None = None, rejected: str | None = None) -> TokenRequest:
        return new_request(self.send, claims, rejected)

    def get(self, claims: str | None = None, rejected: str | None = None) -> str:
        return token_of(self.cache, self.request(claims, rejected)).token


def token_of(cache: TokenCache, request: TokenRequest) -> AccessToken:
    pending = cache.get_or_start(request)
    return pending.result(5) if isinstance(pending, Future) else pending


@pytest.fixture
def authority() -> Authority:
    return Authority()


def test_a_request_that_starts_after_another_ended_returns_its_token(authority: Authority) -> None:
    late = authority.request()  # it found no token, and is not started yet
    authority.get()
    assert authority.cache._request_and_store(late).token == "T1"
    assert authority.requests == 1


def test_a_challenge_that_was_just_satisfied_needs_no_second_request(authority: Authority) -> None:
    authority.get()
    late = authority.request(NBF, rejected="T1")
    assert authority.get(NBF, rejected="T1") == "T2"
    assert authority.cache._request_and_store(late).token == "T2"
    assert authority.requests == 2


def test_another_challenge_gets_another_token(authority: Authority) -> None:
    authority.get()
    assert authority.get(NBF, rejected="T1") == "T2"
    assert authority.get(STEP_UP, rejected="T1") == "T3"


def test_the_same_challenge_for_the_newer_token_is_a_new_one(authority: Authority) -> None:
    authority.get()
    assert authority.get(NBF, rejected="T1") == "T2"
    authority.clock.advance(30)
    assert authority.get(NBF, rejected="T2") == "T3"


def test_an_api_that_rejects_every_token_causes_one_request_for_a_while(authority: Authority) -> None:
    authority.get()
    for rejected in ("T1", *["T2"] * 20):
        assert authority.get(NBF, rejected=rejected) == "T2"
    assert authority.requests == 2


def test_an_expired_token_satisfies_no_challenge(authority: Authority) -> None:
    authority.get()
    assert authority.get(NBF, rejected="T1") == "T2"
    authority.clock.advance(3600)
    assert authority.get(NBF, rejected="T1") == "T3"


def test_a_renewal_in_flight_does_not_replace_a_token_for_a_challenge(authority: Authority) -> None:
    authority.get()
    authority.clock.advance(1800)
    renewal: Future[AccessToken] = Future()
    assert authority.cache.get_or_start(new_request(renewal.result)) is not None
    assert authority.get(NBF, rejected="T1") == "T2"
    renewal.set_result(AccessToken("late", int(authority.clock.now) + 3600, authority.clock.now + 1800))
    wait_until(lambda: authority.cache.idle)
    assert authority.get() == "T2"


def test_a_caller_during_a_renewal_gets_the_cached_token(authority: Authority) -> None:
    authority.get()
    authority.clock.advance(1800)
    start = authority.cache._in_flight.start

    def end_at_once(key: Any, work: Any) -> Any:
        future = start(key, work)
        future.result(5)
        return future

    authority.cache._in_flight.start = end_at_once
    assert authority.get() == "T1"
    assert authority.get() == "T2"


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt(), CancelledError()])
def test_an_exception_that_ends_threads_does_not_end_the_waiting_ones(
    authority: Authority, end: BaseException
) -> None:
    def send() -> AccessToken:
        raise end

    pending = authority.cache.get_or_start(new_request(send))
    assert isinstance(pending, Future)
    with pytest.raises(TokenAcquisitionError, match=type(end).__name__):
        pending.result(5)


def test_the_proofs_version_is_never_read_on_the_callers_thread(authority: Authority) -> None:
    threads = set()

    def version() -> object:
        threads.add(threading.current_thread())
        return "a file's stamp"

    def send() -> AccessToken:
        raise TokenAcquisitionError("No token: wrong secret.", error="invalid_client")

    for _ in range(2):
        pending = authority.cache.get_or_start(new_request(send, proof_version=version))
        assert isinstance(pending, Future)
        with pytest.raises(TokenAcquisitionError, match="wrong secret"):
            pending.result(5)
    assert threads
    assert threading.current_thread() not in threads


def test_no_representation_shows_the_rejected_token(authority: Authority) -> None:
    assert "eyJ" not in repr(authority.request(NBF, rejected="eyJ.rejected.token"))


def test_a_token_renewed_without_claims_satisfies_no_challenge(authority: Authority) -> None:
    authority.get()
    assert authority.get(STEP_UP, rejected="T1") == "T2"
    authority.clock.advance(3600)
    assert authority.get() == "T3"
    assert authority.get(STEP_UP, rejected="T1") == "T4"


def test_a_challenge_without_the_rejected_token_gets_a_new_token(authority: Authority) -> None:
    authority.get()
    assert authority.get(NBF) == "T2"
    assert authority.get(NBF) == "T3"


def test_after_abandoning_a_request_the_next_caller_sends_another(authority: Authority) -> None:
    stuck: Future[AccessToken] = Future()
    hanging = new_request(stuck.result)
    waiting = authority.cache.get_or_start(hanging)
    authority.cache.abandon(hanging)
    assert authority.get() == "T1"
    stuck.set_exception(TimeoutError())
    assert isinstance(waiting, Future)
    assert waiting.exception(5) is not None
    assert authority.get() == "T1"


# --- failures ----------------------------------------------------------------------------------------


def throttle() -> AccessToken:
    raise TokenAcquisitionError("No token.", error="http_429", retryable=True, retry_after=60)


def test_a_retry_after_stops_requests_for_its_scope_alone(authority: Authority) -> None:
    with pytest.raises(TokenAcquisitionError):
        token_of(authority.cache, new_request(throttle, key="one", scope="one"))
    for claims in (None, NBF):  # a challenge for the same scope is part of it
        with pytest.raises(TokenAcquisitionError) as caught:
            authority.cache.get_or_start(new_request(authority.send, claims, key="one", scope="one"))
        assert caught.value.retry_after == 60
    assert token_of(authority.cache, new_request(authority.send, key="two", scope="two")).token == "T1"


def test_a_retry_after_stops_other_users_requests_for_the_same_scope(authority: Authority) -> None:
    with pytest.raises(TokenAcquisitionError):
        token_of(authority.cache, new_request(throttle, key="alice", scope="mail"))
    with pytest.raises(TokenAcquisitionError):
        authority.cache.get_or_start(new_request(authority.send, key="bob", scope="mail"))


def test_the_first_success_ends_the_memory_of_failures(authority: Authority) -> None:
    with pytest.raises(TokenAcquisitionError):
        token_of(authority.cache, new_request(throttle))
    authority.clock.advance(60)
    assert authority.get() == "T1"
    assert len(authority.cache._failures) == 0


def test_many_threads_use_failures_and_challenges_under_the_lock_alone(authority: Authority) -> None:
    cache = TokenCache(cache_size=8)
    cache._failures, cache._challenges = LockedLRUCache(8), LockedLRUCache(8)
    cache._failures.lock = cache._challenges.lock = cache._lock
    error = TokenAcquisitionError("No token.", error="http_500", retryable=True)

    def hammer(worker: int) -> None:
        for number in range(200):
            key = str((worker + number) % 20)
            failing = new_request(throttle, key=f"failing {key}")
            challenged = new_request(authority.send, NBF, "x", key=key)
            cache._remember_failure(failing, None, error)
            cache._current_failure(failing)
            for request in (challenged, new_request(authority.send, key=key)):
                cache._store(request, AccessToken("T", 2_000_000_000, 1_999_999_999.0), None)
                cache._usable(request)
            cache._forget_failures(failing)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, range(4)))
    assert (len(cache._failures), len(cache._challenges)) <= (8, 8)


# --- copies and forks --------------------------------------------------------------------------------


def test_a_copy_has_the_settings_and_no_token() -> None:
    cache = TokenCache(cache_size=7, wait=3.5)
    cache.tokens.put("orders", AccessToken("T1", 2_000_000_000, 1_999_999_999.0))
    for twin in (pickle.loads(pickle.dumps(cache)), copy.deepcopy(cache)):
        assert (twin.wait, len(twin.tokens)) == (3.5, 0)
        twin.tokens.put("other", AccessToken("T2", 2_000_000_000, 1_999_999_999.0))
    assert cache.tokens.get("other") is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_a_lock_that_a_thread_holds_at_a_fork_is_free_in_the_child(authority: Authority) -> None:
    with authority.cache._lock, warnings.catch_warnings():  # as another thread of the parent may
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork while threads run, which is the point
        child = os.fork()
        if child == 0:
            os._exit(0 if authority.cache._lock.acquire(timeout=5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
