"""Graph of the emulator, asked in both worlds through one name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from entra_guard.credentials import ClientSecretCredential
from entra_guard.emulator import GRAPH, AppRegistration, Emulator
from entra_guard.graph import GraphClient

Call = Callable[..., Any]
SCOPE = "https://graph.microsoft.com/.default"
PERMISSIONS = ("User.Read.All", "Group.Read.All", "Application.ReadWrite.All")


@dataclass(frozen=True)
class Office:
    entra: Emulator
    daemon: AppRegistration
    credential: ClientSecretCredential

    def graph(self, **changes: Any) -> GraphClient:
        transport = self.entra.transport
        clients = {
            "http_client": httpx.Client(transport=transport),
            "async_http_client": httpx.AsyncClient(transport=transport),
        }
        settings = {"base_url": self.entra.url, "scope": SCOPE, **clients, **changes}
        graph = GraphClient(self.credential, **settings)
        graph._policy = replace(graph._policy, first_wait=0.01)  # a test does not wait for seconds
        return graph

    def answering(self, handler: Callable[[httpx.Request], httpx.Response], **changes: Any) -> GraphClient:
        """A client of a Graph that answers as no emulator does."""
        transport = httpx.MockTransport(handler)
        clients = {
            "http_client": httpx.Client(transport=transport),
            "async_http_client": httpx.AsyncClient(transport=transport),
        }
        return self.graph(**{"base_url": "https://graph.microsoft.com", **clients, **changes})

    @property
    def asked(self) -> int:
        """How many requests reached Graph."""
        return self.entra.count("graph")


@pytest.fixture
def office() -> Iterator[Office]:
    entra = Emulator()
    daemon = entra.register_app("Daemon")
    entra.grant(daemon, GRAPH, *PERMISSIONS)
    with httpx.Client(transport=entra.transport) as web:
        credential = ClientSecretCredential(
            entra.tenant_id,
            daemon.client_id,
            entra.add_secret(daemon).value,
            authority=entra.url,
            http_client=web,
        )
        yield Office(entra, daemon, credential)


def _plain(graph: Any, method: str, *args: Any, **more: Any) -> Any:
    outcome = getattr(graph, method)(*args, **more)
    return list(outcome) if method == "iterate" else outcome


def _asynchronous(graph: Any, method: str, *args: Any, **more: Any) -> Any:
    async def call() -> Any:
        outcome = getattr(graph, f"a{method}")(*args, **more)
        return [item async for item in outcome] if method == "iterate" else await outcome

    return asyncio.run(call())


@pytest.fixture(params=[_plain, _asynchronous], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls a method by its name, in each world."""
    return request.param
