"""An Entra for tests of keys: responses can be held, clocks can be set, and callers are threads or tasks."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx
from held_responses import HeldResponses
from manual_clock import ManualClock

from entra_guard import AccessError, Guard, KeySettings
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entra_guard.emulator import AppRegistration

HOUR = 3600.0


@dataclass(frozen=True)
class Outcome:
    """What a caller receives."""

    status: int
    reason: str = ""
    retry_after: float | None = None
    facts: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, error: AccessError | None) -> Outcome:
        if error is None:
            return cls(200)
        return cls(error.status, error.reason, error.retry_after, error.facts)


@dataclass(frozen=True)
class Callers:
    """Callers on threads, or as tasks of one event loop."""

    name: str

    def verify(self, guard: Guard, token: str) -> Outcome:
        """Verify a token."""
        return self.verify_all(guard, [token])[0]

    def verify_all(self, guard: Guard, tokens: Iterable[str]) -> list[Outcome]:
        """Verify each token with a caller of its own, all at once; return the outcomes in the same order."""
        tokens = list(tokens)
        if self.name == "sync" and len(tokens) == 1:
            return [_verify(guard, tokens[0])]
        if self.name == "sync":
            barrier = threading.Barrier(len(tokens))
            with ThreadPoolExecutor(len(tokens)) as callers:
                return list(callers.map(lambda token: (barrier.wait(), _verify(guard, token))[1], tokens))
        return anyio.run(_verify_all_async, guard, tokens, backend=self.name)


def _verify(guard: Guard, token: str) -> Outcome:
    try:
        guard.verify(token)
    except AccessError as error:
        return Outcome.of(error)
    return Outcome.of(None)


async def _verify_all_async(guard: Guard, tokens: list[str]) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}

    async def verify(number: int, token: str) -> None:
        try:
            await guard.averify(token)
        except AccessError as error:
            outcomes[number] = Outcome.of(error)
        else:
            outcomes[number] = Outcome.of(None)

    async with anyio.create_task_group() as callers:
        for number, token in enumerate(tokens):
            callers.start_soon(verify, number, token)
    return [outcomes[number] for number in range(len(tokens))]


class NoVisits:
    """Replaces a place on the refresh thread; it is never visited: see `visit`."""

    def wake(self) -> None:
        pass


class KeysEntra(Entra):
    """An Entra whose responses can be held, guards with a clock that can be set, and a stranger.

    Args:
        https: Serve https too, on a real socket.
    """

    def __init__(self, *, https: bool = False) -> None:
        super().__init__(seed=7, app_roles=["Orders.Read"], https=https)
        self.stranger = self.register_app("Stranger")
        self.monotonic = ManualClock(1000.0)
        self.responses = HeldResponses(self.transport)
        self.guards: list[Guard] = []
        self._clients: list[httpx.Client] = []

    def guard(self, **settings: Any) -> Guard:
        settings.setdefault("monotonic", self.monotonic)
        settings.setdefault("wait", 20.0)  # a busy machine is not a reason to fail
        settings.setdefault("tenant", self.tenant_id)
        keys = {name: settings.pop(name) for name in KeySettings.__slots__ if name in settings}
        if not {"http_client", "ssl_context", "proxy"} & settings.keys():
            settings["http_client"] = httpx.Client(transport=self.responses)
            self._clients.append(settings["http_client"])
        settings.setdefault("authority", self.url)
        guard = Guard(audience=self.api.client_id, keys=KeySettings(**keys), **settings)
        guard._key_manager._jitter = lambda: 0.5
        if settings["monotonic"] is self.monotonic:  # the refresh thread would follow the real time
            guard._key_manager._visits = NoVisits()  # type: ignore[assignment]
        self.guards.append(guard)
        return guard

    def warm_guard(self, **settings: Any) -> Guard:
        """Return a guard that has verified the caller's token, with nothing counted yet."""
        guard = self.guard(**settings)
        guard._key_manager.load_now()
        assert _verify(guard, self.token()).status == 200
        settle(guard)
        self.clear_requests()
        return guard

    def token(self, **wishes: Any) -> str:
        return super().token(**{"roles": ["Orders.Read"], **wishes})

    def token_of(self, caller: AppRegistration) -> str:
        return self.token(app=caller)

    def forged_kid(self, kid: str) -> str:
        """Return a token of a stranger that is valid in all but its kid."""
        return self.token(app=self.stranger, headers={"kid": kid})

    @property
    def key_requests(self) -> int:
        """How often the keys were requested."""
        return self.count("keys")

    def tear_down(self) -> None:
        self.responses.release()
        for guard in self.guards:
            settle(guard)
        for client in self._clients:
            client.close()


def until(holds: Callable[[], object]) -> None:
    """Wait for something that happens on another thread."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def settle(guard: Guard) -> None:
    """Wait until no round is in flight."""
    deadline = time.monotonic() + 30
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


def wait_for_waiters(guard: Guard, number: int) -> None:
    """Wait until so many callers wait for the round in flight."""
    current = guard._key_manager._round
    assert current is not None
    until(lambda: sum(current.unknown.values()) + current.by_caller.total() >= number)


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start something on a thread; calling the result waits for its outcome."""
    executor = ThreadPoolExecutor(1)
    future = executor.submit(work)
    executor.shutdown(wait=False)
    return lambda: future.result(timeout=10)
