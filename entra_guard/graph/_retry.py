"""Requests to Microsoft Graph, their retries and time limits, as values. Does no I/O and knows no event loop.

A flow yields what to send (`GraphRequest`) or how long to wait (`Pause`), receives the response, and returns
the result. The client that drives it sends and sleeps, in a thread or in an event loop.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from entra_guard._common.arguments import check_seconds
from entra_guard._common.http import retry_after
from entra_guard.errors import ConfigurationError, FetchError, TokenAcquisitionError
from entra_guard.graph._errors import GraphError, graph_error
from entra_guard.graph._urls import is_raw_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

_THROTTLED: Final = frozenset({429, 503})
_SERVER_ERRORS: Final = frozenset({500, 502, 504})
_BROKEN: Final = frozenset({"connect", "http", "timeout"})
_NO_CONTENT: Final = 204
_FIRST_ERROR: Final = 400
_FIRST_REDIRECT: Final = 300


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """A request to send.

    Attributes:
        method: The HTTP method.
        url: The whole URL.
        json: The body, if any.
        headers: More headers.
        timeout: Seconds for all of it, the wait for a token included.
    """

    method: str
    url: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=_no_headers)
    timeout: float = float("inf")


@dataclass(frozen=True, slots=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


T = TypeVar("T")
RequestError = FetchError | TokenAcquisitionError | GraphError
REQUEST_ERRORS: Final = (FetchError, TokenAcquisitionError, GraphError)
# What came of a `GraphRequest`; None after a `Pause`.
SendResult: TypeAlias = "httpx.Response | FetchError | TokenAcquisitionError | None"
RequestFlow = Generator[GraphRequest | Pause, SendResult, T]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to retry.

    Attributes:
        tries: How often a request is sent at most.
        longest_wait: The most seconds between two tries; if Graph requires more, its error is the result.
        timeout: The most seconds for one call, with all tries and pauses.
        first_wait: Seconds before the second try, doubled before each one after it: the least to wait, also
            if Graph requires none.
        jitter: Returns numbers from 0 to 1.
        clock: Returns seconds that only increase.

    Raises:
        ConfigurationError: A number cannot work.
    """

    tries: int = 4
    longest_wait: float = 30.0
    timeout: float = 60.0
    first_wait: float = 1.0
    jitter: Callable[[], float] = SystemRandom().random
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if type(self.tries) is not int or self.tries < 1:
            raise ConfigurationError(f"tries must be a whole number, 1 or more, got {self.tries!r}")
        check_seconds("longest_wait", self.longest_wait)
        check_seconds("timeout", self.timeout, least=0.001)

    def delay_before_retry(
        self, method: str, error: RequestError, tried: int, left: float = float("inf")
    ) -> float | None:
        """Return the seconds to wait before the next try, or None if there is none.

        Graph did not act on what it throttled, so that is sent again whatever it was; after a server error
        only what reads (RFC 9110 section 9.2.2).

        Args:
            method: The HTTP method.
            error: Why the try failed.
            tried: How many tries there were.
            left: Seconds that are left for the call.
        """
        if tried >= self.tries or not _is_worth_retrying(method, error):
            return None
        own = self.first_wait * 2.0 ** (tried - 1) * (0.5 + self.jitter() / 2)
        delay = max(own, error.retry_after or 0)
        return delay if delay <= self.longest_wait and delay < left else None


def _is_worth_retrying(method: str, error: RequestError) -> bool:
    if isinstance(error, TokenAcquisitionError):
        return False  # the credential has its own retries
    if isinstance(error, FetchError):
        return method == "GET" and error.step in _BROKEN
    return error.status in _THROTTLED or (method == "GET" and error.status in _SERVER_ERRORS)


def send_with_retries(request: GraphRequest, policy: RetryPolicy) -> RequestFlow[Any]:
    """Send one request, again where that can help, and return the JSON of the response; None if it has none.

    Raises:
        GraphError: Graph refused, or still throttles.
        FetchError: There was no response in time.
        TokenAcquisitionError: There was no token.
    """
    tried, end = 0, policy.clock() + policy.timeout
    while True:
        response = yield replace(request, timeout=max(0.001, end - policy.clock()))
        tried += 1
        outcome = _outcome(request, response)
        if not isinstance(outcome, REQUEST_ERRORS):
            return outcome
        delay = policy.delay_before_retry(request.method, outcome, tried, end - policy.clock())
        if delay is None:
            raise outcome
        yield Pause(delay)


def _outcome(request: GraphRequest, response: SendResult) -> Any:
    """Return the content of a response, or the error that it is."""
    if response is None or isinstance(response, FetchError | TokenAcquisitionError):
        return response or FetchError("http", request.url, "no response")
    status = response.status_code
    if status >= _FIRST_ERROR:
        return graph_error(status, _json(response), response.headers, retry_after(response.headers))
    if status >= _FIRST_REDIRECT:
        return FetchError("content", request.url, f"a redirect ({status}), which is not followed")
    if is_raw_value(request.url):
        return response.content
    if status == _NO_CONTENT or not response.content:
        return None
    document = _json(response)
    return FetchError("content", request.url, "not JSON") if document is None else document


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
