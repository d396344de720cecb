"""How one talks with Microsoft Graph: requests, pauses and answers as values. Does no I/O and knows no world.

A conversation yields what to send (`Ask`) or how long to wait (`Pause`), receives the answer, and returns
the result; who drives it sends and sleeps, in whichever world.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from entra_guard._common.http import retry_after
from entra_guard.errors import FetchError, TokenAcquisitionError
from entra_guard.graph._errors import GraphError, graph_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

_THROTTLED: Final = frozenset({429, 503})
_MISHAPS: Final = frozenset({500, 502, 504})
_BROKEN: Final = frozenset({"connect", "http", "timeout"})
_NO_CONTENT: Final = 204
_FIRST_ERROR: Final = 400
_FIRST_REDIRECT: Final = 300


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to send."""

    method: str
    url: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=_no_headers)


@dataclass(frozen=True, slots=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


T = TypeVar("T")
Problem = FetchError | TokenAcquisitionError | GraphError
PROBLEMS: Final = (FetchError, TokenAcquisitionError, GraphError)
Said: TypeAlias = "httpx.Response | FetchError | TokenAcquisitionError | None"
"""What came of an `Ask`; nothing comes of a `Pause`."""
Conversation = Generator[Ask | Pause, Said, T]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when Graph asks for time.

    Attributes:
        tries: How often a request is sent at the most.
        longest_wait: Seconds between two tries at the most; if Graph asks for more, the error is the answer.
        first_wait: Seconds before the second try, doubled before each one after it: the least to wait, also
            where Graph asks for no time at all.
        jitter: Numbers from 0 to 1.
    """

    tries: int = 4
    longest_wait: float = 30.0
    first_wait: float = 1.0
    jitter: Callable[[], float] = SystemRandom().random

    def before_next(self, method: str, problem: Problem, tried: int) -> float | None:
        """Seconds to wait before the next try, or None if there is to be none.

        Graph did not act on what it throttled, so that is sent again whatever it was; after a mishap only
        what reads (RFC 9110 section 9.2.2).
        """
        if tried >= self.tries or not _worth_another(method, problem):
            return None
        wait = max(self.first_wait * 2.0 ** (tried - 1) * (0.5 + self.jitter() / 2), problem.retry_after or 0)
        return wait if wait <= self.longest_wait else None


def _worth_another(method: str, problem: Problem) -> bool:
    if isinstance(problem, TokenAcquisitionError):
        return False  # the credential has its own patience
    if isinstance(problem, FetchError):
        return method == "GET" and problem.step in _BROKEN
    return problem.status in _THROTTLED or (method == "GET" and problem.status in _MISHAPS)


def ask(wanted: Ask, patience: Patience) -> Conversation[Any]:
    """Send one request, again where that can help, and return the JSON of the answer; None if it has none.

    Raises:
        GraphError: Graph refused, or goes on asking for time.
        FetchError: There was no answer.
        TokenAcquisitionError: There was no token to ask with.
    """
    tried = 0
    while True:
        answer = yield wanted
        tried += 1
        outcome = _outcome(wanted, answer)
        if not isinstance(outcome, PROBLEMS):
            return outcome
        wait = patience.before_next(wanted.method, outcome, tried)
        if wait is None:
            raise outcome
        yield Pause(wait)


def _outcome(wanted: Ask, answer: Said) -> Any:
    """The JSON of an answer, or the error that it is."""
    if answer is None or isinstance(answer, FetchError | TokenAcquisitionError):
        return answer or FetchError("http", wanted.url, "no answer")
    status = answer.status_code
    if status >= _FIRST_ERROR:
        return graph_error(status, _json(answer), answer.headers, retry_after(answer.headers))
    if status >= _FIRST_REDIRECT:
        return FetchError("content", wanted.url, f"a redirect ({status}), which is not followed")
    if status == _NO_CONTENT or not answer.content:
        return None
    document = _json(answer)
    return FetchError("content", wanted.url, "no JSON") if document is None else document


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
