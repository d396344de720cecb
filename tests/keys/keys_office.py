"""An embedded Entra that can be broken, clocks that can be set, and the worlds a guard is asked in."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from entra_guard import AccessError, Guard, KeySettings
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HOUR = 3600.0


class Clock:
    """Monotonic seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class RequestAuthenticator(httpx.BaseTransport):
    """A way to the emulator on which answers can be held back, without any time passing."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._to_hold = 0
        self._released = threading.Event()
        self._arrived = threading.Semaphore(0)

    def hold(self, requests: int) -> None:
        """Answer the next so many requests as of now, and keep the answers until `release`."""
        self._released.clear()
        self._to_hold = requests

    def release(self) -> None:
        self._to_hold = 0
        self._released.set()

    def await_arrival(self) -> None:
        """Wait until a request is being held."""
        assert self._arrived.acquire(timeout=10), "no request came"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if self._to_hold:
            self._to_hold -= 1
            self._arrived.release()
            self._released.wait(10)
        return response


@dataclass(frozen=True)
class Answer:
    """What a caller got."""

    status: int
    reason: str = ""
    retry_after: float | None = None
    facts: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, error: AccessError | None) -> Answer:
        if error is None:
            return cls(200)
        return cls(error.status, error.reason, error.retry_after, error.facts)


@dataclass(frozen=True)
class World:
    """How callers come: on threads, or as tasks of one event loop."""

    name: str

    def ask(self, guard: Guard, token: str) -> Answer:
        """One caller."""
        return self.ask_all(guard, [token])[0]

    def ask_all(self, guard: Guard, tokens: Iterable[str]) -> list[Answer]:
        """One caller for each token, all at once; their answers in the same order."""
        tokens = list(tokens)
        if self.name == "sync" and len(tokens) == 1:
            return [_ask(guard, tokens[0])]
        if self.name == "sync":
            barrier = threading.Barrier(len(tokens))
            with ThreadPoolExecutor(len(tokens)) as callers:
                return list(callers.map(lambda token: (barrier.wait(), _ask(guard, token))[1], tokens))
        return anyio.run(_aask_all, guard, tokens, backend=self.name)


def _ask(guard: Guard, token: str) -> Answer:
    try:
        guard.verify(token)
    except AccessError as error:
        return Answer.of(error)
    return Answer.of(None)


async def _aask_all(guard: Guard, tokens: list[str]) -> list[Answer]:
    answers: dict[int, Answer] = {}

    async def ask(number: int, token: str) -> None:
        try:
            await guard.averify(token)
        except AccessError as error:
            answers[number] = Answer.of(error)
        else:
            answers[number] = Answer.of(None)

    async with anyio.create_task_group() as callers:
        for number, token in enumerate(tokens):
            callers.start_soon(ask, number, token)
    return [answers[number] for number in range(len(tokens))]


class NoVisits:
    """Stands for a place on the refresh thread that is never visited: see `visit`."""

    def wake(self) -> None:
        pass


class Office:
    """An Orders API before which guards stand, a daemon that calls it, and a stranger who would like to."""

    def __init__(self) -> None:
        self.entra = Emulator(seed=7)
        self.api = self.entra.register_app("Orders API", app_roles=["Orders.Read"])
        self.daemon = self.entra.register_app("Daemon")
        self.stranger = self.entra.register_app("Stranger")
        self.clock = Clock()
        self.gate = RequestAuthenticator(self.entra.transport)
        self.guards: list[Guard] = []
        self._clients: list[httpx.Client] = []

    def guard(self, **settings: Any) -> Guard:
        settings.setdefault("monotonic", self.clock)
        settings.setdefault("wait", 20.0)  # a busy machine is no reason to fail
        settings.setdefault("tenant", self.entra.tenant_id)
        keys = {name: settings.pop(name) for name in KeySettings.__slots__ if name in settings}
        if not {"http_client", "ssl_context", "proxy"} & settings.keys():
            settings["http_client"] = httpx.Client(transport=self.gate)
            self._clients.append(settings["http_client"])
        settings.setdefault("authority", self.entra.url)
        guard = Guard(audience=self.api.client_id, keys=KeySettings(**keys), **settings)
        guard._key_manager._jitter = lambda: 0.5
        if settings["monotonic"] is self.clock:  # the refresh thread would follow the real time
            guard._key_manager._visits = NoVisits()  # type: ignore[assignment]
        self.guards.append(guard)
        return guard

    def warm_guard(self, **settings: Any) -> Guard:
        """A guard that has verified the daemon's token, with nothing counted yet."""
        guard = self.guard(**settings)
        assert _ask(guard, self.token()).status == 200
        settle(guard)
        self.entra.clear_requests()
        return guard

    def token(self, **wishes: Any) -> str:
        return self.entra.issue_token(self.daemon, audience=self.api, roles=["Orders.Read"], **wishes)

    def forged_kid(self, kid: str) -> str:
        """A stranger's token that is check_unverified in all but its kid."""
        return self.entra.issue_token(
            self.stranger, audience=self.api, roles=["Orders.Read"], headers={"kid": kid}
        )

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.entra.count("keys")

    def close(self) -> None:
        self.gate.release()
        for guard in self.guards:
            settle(guard)
        for client in self._clients:
            client.close()


def until(holds: Callable[[], object]) -> None:
    """Wait for what happens on another thread."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def settle(guard: Guard) -> None:
    """Wait until no fetch is in flight."""
    deadline = time.monotonic() + 10
    while guard._key_manager._work.in_flight:
        assert time.monotonic() < deadline, "a round does not end"
        time.sleep(0.001)


def visit(guard: Guard) -> float:
    """Do what the refresh thread does, wait for the round, and return in how many seconds the next is due."""
    guard._key_manager.run_pending()
    settle(guard)
    return guard._key_manager.run_pending()


def waiting(guard: Guard) -> int:
    """Return how many callers wait for the round in flight, without those of places of their own."""
    current = guard._key_manager._round
    return 0 if current is None else sum(current.unknown.values())


def await_waiters(guard: Guard, number: int) -> None:
    """Wait until a number of callers wait for the fetch in flight."""
    current = guard._key_manager._round
    assert current is not None
    until(lambda: sum(current.unknown.values()) + current.by_caller.total() >= number)


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start something on a thread; calling the result waits for its outcome."""
    executor = ThreadPoolExecutor(1)
    future = executor.submit(work)
    executor.shutdown(wait=False)
    return lambda: future.result(timeout=10)
