"""Record which requests reached the emulator, and what happened in the last 500 of them."""

from __future__ import annotations

import collections
import itertools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._http.trail import TrailStep

MAX_RECORDS: Final = 10_000
MAX_EXCHANGES: Final = 500

Outcome = Literal["ok", "waiting", "refused"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that reached the emulator, without body and credentials.

    Attributes:
        target: What faults and counts refer to: `configuration`, `keys`, `token`, ...
        status: The status of the response.
        at: The emulator's time, in seconds since 1970.
    """

    method: str
    path: str
    target: str
    status: int
    at: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request. A hidden one has its length only, never its value."""

    name: str
    value: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response, for people: who wanted what, step by step. It contains no secret.

    Attributes:
        number: Counts up; identifies the exchange.
        at: The emulator's time, in seconds since 1970.
        base: The base URL that the client used.
        flow: `client_credentials`, `authorization_code`, `sign_in`, `graph`, `keys`, ...
        client: The client's name; its id if it is not registered.
        client_id: The client's id; '' if the request names no client.
        api: The name of the API that the token or the call is for.
        user: The name of the user.
        result: `200`, an AADSTS code, an OAuth error or Graph's error code.
        status: The status of the response.
        milliseconds: How long the emulator took.
        correlation_id: The id in the response, or the one that the client sent.
        steps: What was checked, in order; the last one failed if the request was refused.
        query: Parameters of the query string.
        form: Parameters of the body.
        scheme: The scheme of the Authorization header; '' without one.
        headers: Other headers that the request needs, to be repeated.
        error: The text of the refusal.
        remedy: What to do about the refusal.
        code: The AADSTS number of the refusal; 0 without one.
    """

    at: float
    method: str
    base: str
    path: str
    flow: str
    target: str
    status: int
    result: str
    outcome: Outcome = "ok"
    milliseconds: float = 0.0
    client: str = ""
    client_id: str = ""
    api: str = ""
    user: str = ""
    correlation_id: str = ""
    steps: tuple[TrailStep, ...] = ()
    query: tuple[Parameter, ...] = ()
    form: tuple[Parameter, ...] = ()
    scheme: str = ""
    headers: tuple[Parameter, ...] = ()
    error: str = ""
    remedy: str = ""
    code: int = 0
    number: int = field(default=0)


class RequestLog:
    """Keep the last 10,000 requests and the last 500 exchanges, and count all requests by target."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: collections.deque[RequestRecord] = collections.deque(maxlen=MAX_RECORDS)
        self._counts: collections.Counter[str] = collections.Counter()
        self._exchanges: collections.deque[Exchange] = collections.deque(maxlen=MAX_EXCHANGES)
        self._numbers = itertools.count(1)
        self._listeners: list[Callable[[Exchange], None]] = []

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last 10,000 requests that reached the emulator, oldest first."""
        with self._lock:
            return tuple(self._records)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The last 500 exchanges, oldest first. Requests of the emulator's own pages are not among them."""
        with self._lock:
            return tuple(self._exchanges)

    def count(self, target: str) -> int:
        """Return how many requests reached `configuration`, `keys`, `token`, ... since `clear_requests`."""
        with self._lock:
            return self._counts[target]

    def clear_requests(self) -> None:
        """Forget all requests, exchanges and counts."""
        with self._lock:
            self._records.clear()
            self._exchanges.clear()
            self._counts.clear()

    def clear_exchanges(self) -> None:
        """Forget the exchanges. Requests and counts, which tests read, stay."""
        with self._lock:
            self._exchanges.clear()

    def add(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)
            self._counts[record.target] += 1

    def add_exchange(self, exchange: Exchange) -> None:
        """Keep an exchange under the next number, and pass it to the listeners."""
        with self._lock:
            numbered = replace(exchange, number=next(self._numbers))
            self._exchanges.append(numbered)
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(numbered)

    def on_exchange(self, listener: Callable[[Exchange], None]) -> None:
        """Call a function with each exchange, on the thread that responds; it must be quick.

        Example:
            >>> from entra_guard.emulator import Emulator
            >>> entra = Emulator()
            >>> entra.request_log.on_exchange(lambda exchange: print(exchange.result))
        """
        self._listeners.append(listener)
