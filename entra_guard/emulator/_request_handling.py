"""An emulator that answers requests, and counts them; however they came in."""

from __future__ import annotations

import collections
import datetime as dt
import time
from dataclasses import dataclass, replace
from email.utils import format_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._control import PREFIX, control
from entra_guard.emulator._faults.injector import FaultInjection
from entra_guard.emulator._http.asgi import asgi_app
from entra_guard.emulator._http.delivery import Answer
from entra_guard.emulator._http.transport import InProcessTransport
from entra_guard.emulator._routes import Target, find, handle

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from entra_guard.emulator._http.messages import Request

MAX_REQUEST_RECORDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that reached the emulator: no body, no credential."""

    method: str
    path: str
    target: Target
    status: int
    at: float


class RequestHandling(FaultInjection):
    """Answers for every way in, in-process or over a socket.

    Args:
        seed: Makes every identifier and secret the same on every run.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, *, seed: int | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(seed=seed, clock=clock)
        self._seen: collections.deque[RequestRecord] = collections.deque(maxlen=MAX_REQUEST_RECORDS)
        self._counts: collections.Counter[str] = collections.Counter()
        self._held: dict[str, list[threading.Event]] = {}

    @cached_property
    def transport(self) -> InProcessTransport:
        """A transport for `httpx.Client` and `httpx.AsyncClient` that answers without a socket."""
        return InProcessTransport(self.answer)

    @cached_property
    def app(self) -> ASGIApp:
        """The emulator as an ASGI app."""
        return asgi_app(self.answer)

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last ten thousand requests that reached the emulator, oldest first."""
        with self.lock:
            return tuple(self._seen)

    def count(self, target: Target) -> int:
        """How many requests reached `configuration`, `keys`, `token`, ... since `clear_requests`."""
        with self.lock:
            return self._counts[target]

    def clear_requests(self) -> None:
        """Count from zero again."""
        with self.lock:
            self._seen.clear()
            self._counts.clear()

    def answer(self, request: Request) -> Answer:
        """Answer one request as the faults would have it, and remember that it came."""
        if request.path.startswith(PREFIX):
            # Without the lock: a fault set here may have to wait for the server's own thread.
            return Answer(control(self, request))
        with self.lock:
            found = find(request)
            target: Target = found[0].target if found else "nothing"
            answer = self.apply_fault(target, request, lambda: handle(self, request))
            if answer.ending == "refused":
                return answer
            self._remember(target, request, answer)
            dated = answer.response.adding(("Date", self._date()))
            return replace(answer, response=dated, releases=self._waiting(target, answer))

    def _remember(self, target: Target, request: Request, answer: Answer) -> None:
        self._counts[target] += 1
        self._seen.append(
            RequestRecord(request.method, request.path, target, answer.response.status, self.now())
        )

    def _waiting(self, target: Target, answer: Answer) -> tuple[threading.Event, ...]:
        """The answers held back until this one is out."""
        if answer.held is not None:
            self._held.setdefault(target, []).append(answer.held)
            return ()
        return tuple(self._held.pop(target, ()))

    def _date(self) -> str:
        return format_datetime(dt.datetime.fromtimestamp(self.now(), dt.UTC), usegmt=True)
