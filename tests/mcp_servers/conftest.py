"""An Entra on loopback, and the MCP servers of each SDK line as processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp_caller import McpCaller
from mcp_environments import LINES as ENVIRONMENTS
from mcp_processes import LINES, Registered, Server, interpreter, serve
from needed_parts import is_ci

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


class MissingEnvironments(pytest.Item):
    """Fails in place of all tests of this folder, where CI lacks environments that they need."""

    def runtest(self) -> None:
        missing = ", ".join(str(interpreter(line)) for line in ENVIRONMENTS if not interpreter(line).exists())
        pytest.fail(
            f"CI must have {missing}. Make them with `python tests/mcp_servers/mcp_environments.py "
            ".mcp-environments`, or unset CI to skip the tests that need them.",
            pytrace=False,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    if here and is_ci() and not all(interpreter(line).exists() for line in ENVIRONMENTS):
        others = [item for item in items if item.path.parent != Path(__file__).parent]
        items[:] = [*others, MissingEnvironments.from_parent(here[0].parent, name="environments")]


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
