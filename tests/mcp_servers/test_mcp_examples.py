"""The examples for MCP, with the MCP SDK's own client: client credentials, and sign-in through discovery."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from mcp_processes import EXAMPLES, HERE, LINES, Server, run, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "mcp2"


@pytest.fixture(scope="module")
def example(entra) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    entra.emulator.update_app(entra.api, identifier_uris=(f"api://{entra.api.client_id}", url))
    yield from serve(LINE, "mcp_server", entra, port, MCP_URL=url)


def test_the_examples_are_short():
    for name in ("mcp_server.py", "mcp_client.py"):
        assert len((EXAMPLES / name).read_text().splitlines()) < 40


def test_an_application_calls_a_tool_with_client_credentials(example, entra):
    emulator, client = entra.emulator, entra.client
    emulator.grant(client, entra.api, "Tasks.Write")
    more = {
        "AZURE_TENANT_ID": emulator.tenant_id,
        "AZURE_CLIENT_ID": client.client_id,
        "AZURE_CLIENT_SECRET": emulator.add_secret(client).value,
        "AZURE_AUTHORITY_HOST": emulator.url,
        "API_SCOPE": f"api://{entra.api.client_id}/.default",
        "MCP_URL": f"{example.url}/mcp",
    }
    printed = run(LINE, EXAMPLES / "mcp_client.py", entra, **more)
    assert printed.splitlines() == ["['whoami', 'close_task']", "closed task 7"]


@pytest.mark.parametrize("line", LINES)
def test_the_sdk_s_client_signs_a_user_in_through_discovery(example, entra, line):
    desktop = entra.emulator.register_app(
        "Desktop", identifier_uris=(), public_client=True, public_redirect_uris=["http://localhost/callback"]
    )
    entra.emulator.grant_delegated(desktop, entra.api, "access_as_user")
    more = {"CLIENT_ID": desktop.client_id, "MCP_URL": f"{example.url}/mcp"}
    assert run(line, HERE / "mcp_sign_in.py", entra, **more).strip() == entra.object_id("alice")
