"""The keeper by itself: what counts as at hand, where the order of events is what matters."""

from __future__ import annotations

import itertools
import threading
from asyncio import CancelledError
from concurrent.futures import Future
from typing import Any

import pytest
from outbound_office import Clock, until

from entra_guard.credentials import AccessToken, TokenAcquisitionError
from entra_guard.credentials._cache.token_cache import Order, TokenCache

NBF, STEP_UP = '{"access_token":{"nbf":{}}}', '{"access_token":{"acrs":{}}}'


class Asked:
    """A keeper, and a count of what it asks for: each answer is the next number."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.keeper = TokenCache(clock=self.clock, monotonic=self.clock)
        self.numbers = itertools.count(1)
        self.times = 0

    def answer(self) -> AccessToken:
        self.times += 1
        return AccessToken(f"T{next(self.numbers)}", int(self.clock.now) + 3600, self.clock.now + 1800)

    def order(self, claims: str | None = None, rejected: str | None = None) -> Order:
        return Order("orders", "orders", self.answer, lambda: None, claims, rejected)

    def get(self, claims: str | None = None, rejected: str | None = None) -> str:
        sought = self.keeper.seek(self.order(claims, rejected))
        return (sought.result(5) if isinstance(sought, Future) else sought).token


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_who_comes_as_another_is_done_is_served_what_that_one_got(asked: Asked) -> None:
    late = asked.order()  # it saw no token, and has not begun to ask
    asked.get()
    assert asked.keeper._obtain(late).token == "T1"
    assert asked.times == 1


def test_who_comes_with_a_challenge_as_another_has_answered_it_is_served_too(asked: Asked) -> None:
    asked.get()
    late = asked.order(NBF, rejected="T1")
    assert asked.get(NBF, rejected="T1") == "T2"
    assert asked.keeper._obtain(late).token == "T2"
    assert asked.times == 2


def test_another_challenge_is_not_answered_by_the_first_ones_token(asked: Asked) -> None:
    asked.get()
    assert asked.get(NBF, rejected="T1") == "T2"
    assert asked.get(STEP_UP, rejected="T1") == "T3"


def test_the_same_challenge_of_the_newer_token_is_a_new_one(asked: Asked) -> None:
    asked.get()
    assert asked.get(NBF, rejected="T1") == "T2"
    asked.clock.advance(30)
    assert asked.get(NBF, rejected="T2") == "T3"


def test_who_rejects_every_answer_gets_the_same_one_for_a_while(asked: Asked) -> None:
    asked.get()
    for rejected in ("T1", *["T2"] * 20):
        assert asked.get(NBF, rejected=rejected) == "T2"
    assert asked.times == 2


def test_an_answer_that_has_expired_answers_nothing(asked: Asked) -> None:
    asked.get()
    assert asked.get(NBF, rejected="T1") == "T2"
    asked.clock.advance(3600)
    assert asked.get(NBF, rejected="T1") == "T3"


def test_a_renewal_under_way_does_not_displace_the_answer_to_a_challenge(asked: Asked) -> None:
    asked.get()
    asked.clock.advance(1800)
    renewal: Future[AccessToken] = Future()
    first = asked.order()
    assert asked.keeper.seek(Order(first.key, first.label, renewal.result, first.proof)) is not None
    assert asked.get(NBF, rejected="T1") == "T2"
    renewal.set_result(AccessToken("late", int(asked.clock.now) + 3600, asked.clock.now + 1800))
    until(lambda: not asked.keeper._work.in_flight)
    assert asked.get() == "T2"


def test_who_is_served_while_a_token_is_renewed_gets_the_one_that_was_at_hand(asked: Asked) -> None:
    asked.get()
    asked.clock.advance(1800)
    start = asked.keeper._work.start

    def done_at_once(key: Any, work: Any) -> Any:
        future = start(key, work)
        future.result(5)
        return future

    asked.keeper._work.start = done_at_once
    assert asked.get() == "T1"
    assert asked.get() == "T2"


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt(), CancelledError()])
def test_no_waiter_ends_by_what_ended_the_work(asked: Asked, end: BaseException) -> None:
    def work() -> AccessToken:
        raise end

    sought = asked.keeper.seek(Order("orders", "orders", work, lambda: None))
    assert isinstance(sought, Future)
    with pytest.raises(TokenAcquisitionError, match=type(end).__name__):
        sought.result(5)


def test_what_stands_for_a_proof_is_never_looked_at_on_the_callers_thread(asked: Asked) -> None:
    looked = set()

    def proof() -> object:
        looked.add(threading.current_thread())
        return "a file's stamp"

    def work() -> AccessToken:
        raise TokenAcquisitionError("No token: wrong secret.", error="invalid_client")

    for _ in range(2):
        sought = asked.keeper.seek(Order("orders", "orders", work, proof))
        assert isinstance(sought, Future)
        with pytest.raises(TokenAcquisitionError, match="wrong secret"):
            sought.result(5)
    assert looked
    assert threading.current_thread() not in looked


def test_no_representation_shows_the_rejected_token(asked: Asked) -> None:
    assert "eyJ" not in repr(asked.order(NBF, rejected="eyJ.rejected.token"))


def test_a_token_renewed_without_claims_answers_no_challenge(asked: Asked) -> None:
    asked.get()
    assert asked.get(STEP_UP, rejected="T1") == "T2"
    asked.clock.advance(3600)
    assert asked.get() == "T3"
    assert asked.get(STEP_UP, rejected="T1") == "T4"


def test_who_does_not_say_what_was_rejected_gets_a_new_token(asked: Asked) -> None:
    asked.get()
    assert asked.get(NBF) == "T2"
    assert asked.get(NBF) == "T3"


def test_a_hanging_request_can_be_let_go(asked: Asked) -> None:
    first = asked.order()
    stuck: Future[AccessToken] = Future()
    hanging = Order(first.key, first.label, stuck.result, first.proof)
    waiting = asked.keeper.seek(hanging)
    asked.keeper.abandon(hanging)
    assert asked.get() == "T1"
    stuck.set_exception(TimeoutError())
    assert isinstance(waiting, Future)
    assert waiting.exception(5) is not None
    assert asked.get() == "T1"
