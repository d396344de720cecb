"""The keeper by itself: what counts as at hand, where the order of events is what matters."""

from __future__ import annotations

import itertools
from concurrent.futures import Future

import pytest
from outbound_office import Clock

from entra_guard.credentials import AccessToken
from entra_guard.credentials._keeper import Order, TokenKeeper

NBF, STEP_UP = '{"access_token":{"nbf":{}}}', '{"access_token":{"acrs":{}}}'


class Asked:
    """A keeper, and a count of what it asks for: each answer is the next number."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.keeper = TokenKeeper(clock=self.clock, monotonic=self.clock)
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
    assert asked.get(NBF, rejected="T2") == "T3"


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
