"""An Entra on loopback, and the MCP servers of each SDK line as processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mcp_caller import McpCaller
from mcp_processes import LINES, Registered, Server, serve

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def entra() -> Iterator[Registered]:
    with Emulator() as emulator:
        roles = ["Tasks.Read", "Tasks.Write"]
        api = emulator.register_app("Tasks", app_roles=roles, scopes=["access_as_user"])
        clients = [emulator.register_app(name, identifier_uris=()) for name in ("Editor", "Agent")]
        yield Registered(emulator, api, *clients)


@pytest.fixture(scope="session", params=LINES)
def server(request: pytest.FixtureRequest, entra: Registered) -> Iterator[Server]:
    yield from serve(request.param, "mcp_apps", entra)


@pytest.fixture
def caller() -> Iterator[type[McpCaller]]:
    yield McpCaller
    McpCaller.close_all()
