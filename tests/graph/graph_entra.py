"""An Entra for tests of Graph: its caller has permissions in Graph, and it makes Graph clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx

from entra_guard.emulator import GRAPH
from entra_guard.graph import GraphClient
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from entra_guard.credentials import ClientSecretCredential

# Calls a method by its name, or its async twin on an event loop: see the fixture `call`.
Call = Callable[..., Any]
SCOPE = "https://graph.microsoft.com/.default"
PERMISSIONS = ("User.Read.All", "Group.Read.All", "Application.ReadWrite.All")


class GraphEntra(Entra):
    """An Entra whose caller may read users and groups and change applications in Graph."""

    def __init__(self) -> None:
        super().__init__()
        self.grant(self.caller, GRAPH, *PERMISSIONS)

    @cached_property
    def graph_credential(self) -> ClientSecretCredential:
        """The one credential of all Graph clients of a test."""
        return self.credential()

    @property
    def graph_requests(self) -> int:
        """The number of requests that Graph received."""
        return self.count("graph")

    def graph_client(self, **settings: Any) -> GraphClient:
        """Return a client of the emulator's Graph; it waits only briefly before it retries."""
        defaults = {"base_url": self.url, "scope": SCOPE, **_clients(self.transport)}
        graph = GraphClient(self.graph_credential, **{**defaults, **settings})
        graph._policy = replace(graph._policy, first_wait=0.01)  # a test does not wait for seconds
        return graph

    def graph_client_for(
        self, handler: Callable[[httpx.Request], httpx.Response], **settings: Any
    ) -> GraphClient:
        """Return a client of a Graph that responds as the handler does, which the emulator would not."""
        clients = _clients(httpx.MockTransport(handler))
        return self.graph_client(**{"base_url": "https://graph.microsoft.com", **clients, **settings})


def _clients(transport: Any) -> dict[str, Any]:
    return {
        "http_client": httpx.Client(transport=transport),
        "async_http_client": httpx.AsyncClient(transport=transport),
    }
