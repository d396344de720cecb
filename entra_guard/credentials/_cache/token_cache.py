"""The tokens at hand: kept, renewed in time, and asked for once however many callers there are.

Knows no HTTP and no credential: it is given a way to ask. Readers take no lock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from random import SystemRandom  # forked processes share the state of any other generator
from typing import TYPE_CHECKING, Final, TypedDict

from entra_guard._common.logs import get_logger
from entra_guard._common.lru import LRUCache
from entra_guard._common.single_flight import SingleFlight
from entra_guard._common.worker_pool import OUTBOUND
from entra_guard.credentials._cache import failures
from entra_guard.credentials._cache.failures import Failure
from entra_guard.credentials._cache.token import SKEW, AccessToken
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

_system_random: Final = SystemRandom().random
log: Final = get_logger("entra_guard.credentials")

REMEMBERED: Final = 20_000
_FAILURES: Final = 2_000
_SAME_ANSWER: Final = 30.0
"""Seconds for which the same challenge gets the same answer, be it rejected too: an API that is content with
no token must not cost a token request for each of its own."""


class CacheOptions(TypedDict, total=False):
    """How tokens are kept; see `TokenCache`."""

    cache_size: int
    clock: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Order:
    """Which token is wanted, and how to ask for it.

    Attributes:
        key: What tells this token from others.
        label: The same in words, for the log.
        request: Asks for it; waits as long as that takes.
        proof: Tells what stands for the credential's proof now; may look at files. None: it never changes.
        claims: A claims challenge to answer: no token at hand will do.
        rejected: The token that the challenge was about, if the caller knows it.
    """

    key: Hashable
    label: str
    request: Callable[[], AccessToken]
    proof: Callable[[], object]
    claims: str | None = None
    rejected: str | None = field(default=None, repr=False)

    @property
    def work_key(self) -> Hashable:
        """What tells one request from another: with and without claims they differ."""
        return self.key if self.claims is None else (self.key, self.claims)


@dataclass(frozen=True, slots=True)
class _Answered:
    """Which challenge the token at hand is the answer to, and since when in monotonic seconds."""

    claims: str
    at: float


class TokenCache:
    """Keeps the tokens of one credential.

    Args:
        cache_size: How many tokens are kept at the most.
        clock: Seconds since the epoch: a token's life is measured with it.
        monotonic: Seconds that only go forward: pauses after failures are measured with it.
        jitter: Numbers from 0 to 1.

    Raises:
        ConfigurationError: The number is negative.
    """

    def __init__(
        self,
        *,
        cache_size: int = REMEMBERED,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = _system_random,
    ) -> None:
        if not isinstance(cache_size, int) or cache_size < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("cache_size is a number of tokens, 0 or more")
        if not (callable(clock) and callable(monotonic)):
            raise ConfigurationError("clock and monotonic are functions that tell seconds")
        self.tokens: LRUCache[Hashable, AccessToken] = LRUCache(cache_size)
        self.clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._failures: LRUCache[Hashable, Failure] = LRUCache(_FAILURES)
        self._answered: LRUCache[Hashable, _Answered] = LRUCache(_FAILURES)
        self._time_asked_for: Failure | None = None
        """Who is asked for time gives it with all that it asks for, not with this one token only."""
        self._work: SingleFlight[Hashable, AccessToken] = SingleFlight(OUTBOUND)

    def seek(self, order: Order) -> AccessToken | Future[AccessToken]:
        """The token at hand, or the work to wait for. Waits for nothing itself.

        Raises:
            TokenAcquisitionError: There is none, and it is too soon to ask again.
        """
        if token := self._fresh(order):
            return token
        at_hand = self.tokens.get(order.key) if order.claims is None else None
        work = self._start(order)
        if at_hand is not None and self._left(at_hand) > 0:
            return at_hand
        if isinstance(work, Failure):
            raise failures.repeated(work, self._monotonic())
        return work

    def _fresh(self, order: Order) -> AccessToken | None:
        """The token at hand, if nobody need ask for another."""
        token = self.tokens.get(order.key)
        if token is None or order.claims is None:
            return token if token and self.clock() < token.refresh_on else None
        return token if self._left(token) > 0 and self._answers(token, order) else None

    def _answers(self, token: AccessToken, order: Order) -> bool:
        """Whether the token at hand was got for this very challenge, and not rejected since; or only just."""
        answered = self._answered.get(order.key)
        if answered is None or answered.claims != order.claims or order.rejected is None:
            return False
        return token.token != order.rejected or self._monotonic() < answered.at + _SAME_ANSWER

    def _left(self, token: AccessToken) -> float:
        """Seconds for which a token may still be used."""
        return token.expires_on - SKEW - self.clock()

    def abandon(self, order: Order) -> None:
        """Let go of a request that hangs: the next caller sends another."""
        self._work.abandon(order.work_key)

    def _start(self, order: Order) -> Future[AccessToken] | Failure:
        """Ask, join those who do, or tell which failure keeps us from it."""
        failure = self._standing(order)
        if failure is not None and failure.proof is None:
            return failure
        return self._work.start(order.work_key, partial(self._obtain, order))  # it looks at the proof there

    def _standing(self, order: Order) -> Failure | None:
        """The failure whose time is not over."""
        now = self._monotonic()
        both = self._time_asked_for, self._failures.get(order.work_key)
        return next((failure for failure in both if failure is not None and now < failure.until), None)

    def _obtain(self, order: Order) -> AccessToken:
        """Ask and keep the answer. One at a time per key, on a thread of its own."""
        if token := self._fresh(order):
            return token  # somebody else was done while this caller was on its way
        proof, before = order.proof(), self.tokens.get(order.key)
        failure = self._standing(order)
        if failure is not None and failure.proof in (None, proof):
            raise failures.repeated(failure, self._monotonic())
        try:
            token = order.request()
        except TokenAcquisitionError as error:
            self._failed(order, proof, error)
            raise
        except (
            BaseException
        ) as error:  # of the user's function perhaps: no waiter is to end by its SystemExit
            unforeseen = surprise(error)
            self._failed(order, proof, unforeseen)
            raise unforeseen from error
        self._failures.discard(order.work_key)
        return self._keep(order, token, before)

    def _keep(self, order: Order, token: AccessToken, before: AccessToken | None) -> AccessToken:
        """Keep a token, unless a challenge was answered while it was asked for: then that answer stays."""
        if order.claims is not None:
            self.tokens.put(order.key, token)
            self._answered.put(order.key, _Answered(order.claims, self._monotonic()))
            return token
        now = self.tokens.get(order.key)
        if now is not None and now is not before:
            return now
        self.tokens.put(order.key, token)
        self._answered.discard(order.key)
        return token

    def _failed(self, order: Order, proof: object, error: TokenAcquisitionError) -> None:
        """Remember a failure, and say what it means for those who go on with an older token."""
        before, now = self._failures.get(order.work_key), self._monotonic()
        failure = failures.failed(error, before, now=now, jitter=self._jitter(), proof=proof)
        self._failures.put(order.work_key, failure)
        if error.retryable and error.retry_after is not None:
            self._time_asked_for = replace(failure, proof=None)
        token = self.tokens.get(order.key)
        left = 0.0 if token is None else self._left(token)
        if left > 0 and order.claims is None:
            log.warning("%s: not renewed; the token at hand serves %.0f s more: %s", order.label, left, error)
        else:
            log.warning("%s: %s", order.label, error)


def surprise(error: BaseException) -> TokenAcquisitionError:
    """An error nobody foresaw. Its text is not repeated: who knows what is in it."""
    return TokenAcquisitionError(
        f"No token: asking for one failed unexpectedly ({type(error).__name__}).",
        error="unexpected",
        retryable=True,
    )
