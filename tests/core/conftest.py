"""An office on the embedded Entra, in this process, and the two worlds a guard is used in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from entra_guard import Guard, Principal
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Office:
    """An Orders API, a daemon that may read orders, and guards before the API."""

    entra: Emulator = field(default_factory=lambda: Emulator(seed=7))

    def __post_init__(self) -> None:
        self.api = self.entra.register_app("Orders API", app_roles=["Orders.Read"], scopes=["Orders.Read"])
        self.daemon = self.entra.register_app("Daemon")
        self.entra.grant(self.daemon, self.api, "Orders.Read")

    def guard(self, **settings: Any) -> Guard:
        settings.setdefault("tenant", self.entra.tenant_id)
        settings.setdefault("http_client", httpx.Client(transport=self.entra.transport))
        return Guard(audience=self.api.client_id, authority=self.entra.url, **settings)

    def token(self, **wishes: Any) -> str:
        wishes.setdefault("audience", self.api)
        if not {"roles", "scopes"} & wishes.keys():
            wishes["roles"] = ["Orders.Read"]
        return self.entra.issue_token(self.daemon, **wishes)


@pytest.fixture(scope="session")
def office() -> Office:
    """Shared by tests that change nothing in it."""
    return Office()


@pytest.fixture(params=["sync", "asyncio", "trio"])
def verify(request: pytest.FixtureRequest) -> Callable[[Guard, str], Principal]:
    """`Guard.verify` or `Guard.averify`, run to its end in one of the worlds."""

    def in_sync(guard: Guard, token: str) -> Principal:
        return guard.verify(token)

    def in_asyncio(guard: Guard, token: str) -> Principal:
        return asyncio.run(guard.averify(token))

    def in_trio(guard: Guard, token: str) -> Principal:
        return trio.run(guard.averify, token)

    return {"sync": in_sync, "asyncio": in_asyncio, "trio": in_trio}[request.param]
