"""Cached tokens of one credential: renewed in time, and requested once however many callers there are.

Knows no HTTP and no credential: it is given a function that requests a token. Reading takes no lock.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from random import SystemRandom  # forked processes share the state of any other generator
from typing import TYPE_CHECKING, Any, Final, TypedDict

import cachetools

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.arguments import check_count, check_seconds
from entra_guard._common.clock import wall_clock
from entra_guard._common.logs import get_logger
from entra_guard._common.lru import LRUCache
from entra_guard._common.single_flight import SingleFlight
from entra_guard._common.worker_pool import OUTBOUND
from entra_guard.credentials._cache.failures import Failure, next_failure, repeated
from entra_guard.credentials._cache.token import SKEW, AccessToken
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

_system_random: Final = SystemRandom().random
log: Final = get_logger("entra_guard.credentials")

DEFAULT_CACHE_SIZE: Final = 20_000
DEFAULT_WAIT: Final = 30.0
_MOST_FAILURES: Final = 2_000
# Seconds for which the same challenge gets the same token, even a rejected one: an API that accepts no token
# must not cost a token request for each of its responses.
_SAME_CHALLENGE: Final = 30.0


class CacheOptions(TypedDict, total=False):
    """How tokens are cached; see `TokenCache`."""

    cache_size: int
    wait: float
    clock: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Which token a caller needs, and how to request it.

    Attributes:
        key: What distinguishes this token from others.
        scopes: What the token is for.
        label: The same in words, for the log.
        send: Requests it, and waits as long as that takes.
        proof_version: Returns what changes with the credential's proof; may look at files. None: it never
            changes.
        claims: A claims challenge to satisfy: a cached token is not returned.
        rejected: The token that the challenge was about, if the caller knows it.
    """

    key: Hashable
    scopes: tuple[str, ...]
    label: str
    send: Callable[[], AccessToken]
    proof_version: Callable[[], object]
    claims: str | None = None
    rejected: str | None = field(default=None, repr=False)

    @property
    def flight_key(self) -> Hashable:
        """What distinguishes one request from another: with and without claims they differ."""
        return self.key if self.claims is None else (self.key, self.claims)

    @property
    def throttle_key(self) -> Hashable:
        """What a Retry-After applies to: all requests for these scopes."""
        return "throttled", self.scopes


@dataclass(frozen=True, slots=True)
class _AnsweredChallenge:
    """Which challenge the cached token satisfies, and since when in monotonic seconds."""

    claims: str
    at: float


class TokenCache:
    """The tokens of one credential.

    Args:
        cache_size: The largest number of tokens.
        wait: The most seconds that a caller waits for a new token.
        clock: Seconds since the epoch: a token's lifetime is measured with it.
        monotonic: Seconds that only increase: pauses after failures are measured with it, and lifetimes where
            the clock was set back.
        jitter: Numbers from 0 to 1.

    Raises:
        ConfigurationError: A number is negative, or a clock is not a function.
    """

    def __init__(
        self,
        *,
        cache_size: int = DEFAULT_CACHE_SIZE,
        wait: float = DEFAULT_WAIT,
        clock: Callable[[], float] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        check_count("cache_size", cache_size)
        check_seconds("wait", wait, least=0.001)
        if not (callable(clock) and callable(monotonic)):
            raise ConfigurationError("clock and monotonic are functions that return seconds")
        self._options = (cache_size, wait, clock, monotonic, jitter)
        self.wait: Final = wait
        self.tokens: LRUCache[Hashable, AccessToken] = LRUCache(cache_size)
        self.clock: Final = clock
        self.monotonic: Final = monotonic
        self._jitter = jitter or _system_random
        self._in_flight: SingleFlight[Hashable, AccessToken] = SingleFlight(OUTBOUND)
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Start with no failures and a free lock, as a forked child must."""
        self._lock = threading.Lock()  # for both caches: cachetools needs one for reading, too
        self._failures: cachetools.LRUCache[Hashable, Failure] = cachetools.LRUCache(_MOST_FAILURES)
        self._challenges: cachetools.LRUCache[Hashable, _AnsweredChallenge] = cachetools.LRUCache(
            _MOST_FAILURES
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the settings alone: tokens stay in the process that requested them."""
        return _empty_cache, self._options

    @property
    def idle(self) -> bool:
        """Whether no request is in flight."""
        return not self._in_flight.in_flight

    def get_or_start(self, request: TokenRequest) -> AccessToken | Future[AccessToken]:
        """Return the cached token, or the request in flight to wait for. Does not wait itself.

        Raises:
            TokenAcquisitionError: There is no token, and it is too soon for another request.
        """
        if token := self._usable(request):
            return token
        current = self.tokens.get(request.key) if request.claims is None else None
        pending = self._start(request)
        if current is not None and self._seconds_left(current) > 0:
            return current
        if isinstance(pending, Failure):
            raise repeated(pending, self.monotonic())
        return pending

    def _usable(self, request: TokenRequest) -> AccessToken | None:
        """Return the cached token if it satisfies the request and needs no renewal."""
        token = self.tokens.get(request.key)
        if token is None or request.claims is None:
            return token if token and self._is_fresh(token) else None
        return token if self._seconds_left(token) > 0 and self._satisfies(token, request) else None

    def _satisfies(self, token: AccessToken, request: TokenRequest) -> bool:
        """Return whether the token was issued for this challenge and not rejected since; or only just."""
        with self._lock:
            answered = self._challenges.get(request.key)
        if answered is None or answered.claims != request.claims or request.rejected is None:
            return False
        return token.token != request.rejected or self.monotonic() < answered.at + _SAME_CHALLENGE

    def _is_fresh(self, token: AccessToken) -> bool:
        return self.clock() < token.refresh_on and self.monotonic() < token.refresh_by

    def _seconds_left(self, token: AccessToken) -> float:
        """Return how long a token may be used, by the clock that has moved on further."""
        by_clock = token.expires_on - self.clock()
        by_monotonic = token.refresh_by + (token.expires_on - token.refresh_on) - self.monotonic()
        return min(by_clock, by_monotonic) - SKEW

    def _dated(self, token: AccessToken) -> AccessToken:
        """Return a token that has just arrived, with its times in monotonic seconds, too."""
        return replace(token, refresh_by=self.monotonic() + max(0.0, token.refresh_on - self.clock()))

    def abandon(self, request: TokenRequest) -> None:
        """Forget a request that does not return: the next caller sends another."""
        self._in_flight.abandon(request.flight_key)

    def _start(self, request: TokenRequest) -> Future[AccessToken] | Failure:
        """Send the request, join the one in flight, or return the failure that forbids it."""
        failure = self._current_failure(request)
        if failure is not None and failure.proof_version is None:
            return failure
        # The proof's version is compared there: it may be a file's, and this may be an event loop.
        return self._in_flight.start(request.flight_key, partial(self._request_and_store, request))

    def _current_failure(self, request: TokenRequest) -> Failure | None:
        """Return the failure whose pause is not over."""
        now = self.monotonic()
        with self._lock:
            found = [self._failures.get(key) for key in (request.throttle_key, request.flight_key)]
        return next((failure for failure in found if failure is not None and now < failure.until), None)

    def _request_and_store(self, request: TokenRequest) -> AccessToken:
        """Request a token and cache it. One at a time per key, on its own thread."""
        if token := self._usable(request):
            return token  # another request ended while this one was started
        proof_version, before = request.proof_version(), self.tokens.get(request.key)
        failure = self._current_failure(request)
        if failure is not None and failure.proof_version in (None, proof_version):
            raise repeated(failure, self.monotonic())
        try:
            token = self._dated(request.send())
        except TokenAcquisitionError as error:
            self._remember_failure(request, proof_version, error)
            raise
        except BaseException as error:
            # Perhaps SystemExit in the user's function: it must not end the threads that wait.
            unexpected = unexpected_error(error)
            self._remember_failure(request, proof_version, unexpected)
            raise unexpected from error
        self._forget_failures(request)
        return self._store(request, token, before)

    def _store(self, request: TokenRequest, token: AccessToken, before: AccessToken | None) -> AccessToken:
        """Cache a token, unless one for a challenge arrived meanwhile: then that one stays."""
        if request.claims is not None:
            self.tokens.put(request.key, token)
            with self._lock:
                self._challenges[request.key] = _AnsweredChallenge(request.claims, self.monotonic())
            return token
        now = self.tokens.get(request.key)
        if now is not None and now is not before:
            return now
        self.tokens.put(request.key, token)
        with self._lock:
            self._challenges.pop(request.key, None)
        return token

    def _remember_failure(
        self, request: TokenRequest, proof_version: object, error: TokenAcquisitionError
    ) -> None:
        """Remember a failure; log it only if no caller gets it, as they still have a valid token."""
        throttled = error.retryable and error.retry_after is not None
        key = request.throttle_key if throttled else request.flight_key
        version = None if throttled else proof_version
        with self._lock:
            before = self._failures.get(key)
            self._failures[key] = next_failure(
                error, before, now=self.monotonic(), jitter=self._jitter(), proof_version=version
            )
        token = self.tokens.get(request.key)
        left = 0.0 if token is None else self._seconds_left(token)
        if left > 0 and request.claims is None:
            log.warning(
                "%s: not renewed; the cached token is valid for %.0f s more: %s", request.label, left, error
            )

    def _forget_failures(self, request: TokenRequest) -> None:
        with self._lock:
            self._failures.pop(request.flight_key, None)
            self._failures.pop(request.throttle_key, None)


def _empty_cache(
    cache_size: int,
    wait: float,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    jitter: Callable[[], float] | None,
) -> TokenCache:
    return TokenCache(cache_size=cache_size, wait=wait, clock=clock, monotonic=monotonic, jitter=jitter)


def unexpected_error(error: BaseException) -> TokenAcquisitionError:
    """Return a TokenAcquisitionError for an unexpected one, without its message, which may hold secrets."""
    return TokenAcquisitionError(
        f"No token: the request failed unexpectedly ({type(error).__name__}).",
        error="unexpected",
        retryable=True,
    )
