"""The demo's MCP server, and what an administrator registers for it. Needs `mcp` 2.x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import MCPServer

from entra_guard import Requirement, current_principal, requires

if TYPE_CHECKING:
    from entra_guard.emulator import AppRegistration, Emulator, Secret

REDIRECT: Final = "http://localhost/callback"


@dataclass(frozen=True, slots=True)
class McpFixture:
    """What the demo registered.

    Attributes:
        entra: The running emulator.
        url: The URL of the MCP server.
        api: The MCP server's registration.
        other: Another API of the same tenant.
        desktop: A client without a secret, where users sign in.
        daemon: A client with a secret, without a user.
        secret: The daemon's.
    """

    entra: Emulator
    url: str
    api: AppRegistration
    other: AppRegistration
    desktop: AppRegistration
    daemon: AppRegistration
    secret: Secret


def register(entra: Emulator, url: str) -> McpFixture:
    """Register the server and its clients, as an administrator does in the Entra admin center."""
    api = entra.register_app("Tasks", app_roles=["Tasks.Write"], scopes=["access_as_user", "Tasks.Write"])
    # Entra compares the `resource` that MCP clients send with the App ID URIs.
    api = entra.update_app(api, identifier_uris=(f"api://{api.client_id}", url))
    other = entra.register_app("Invoices API", scopes=["Invoices.Read"])
    desktop = entra.register_app(
        "Desktop", identifier_uris=(), public_client=True, public_redirect_uris=[REDIRECT]
    )
    entra.grant_delegated(desktop, api, "access_as_user")
    entra.grant_delegated(desktop, other, "Invoices.Read")
    daemon = entra.register_app("Nightly cleanup", identifier_uris=())
    entra.grant(daemon, api, "Tasks.Write")
    return McpFixture(entra, url, api, other, desktop, daemon, entra.add_secret(daemon))


def tasks_server() -> Any:
    """Return the MCP server: one tool for all callers, one that needs a scope or a role."""
    server = MCPServer("Tasks", log_level="CRITICAL")
    server.tool()(whoami)
    server.tool()(close_task)
    return server


def whoami() -> str:
    """Return the name of the caller."""
    caller = current_principal()
    return f"the application {caller.app_id}" if caller.is_app else caller.display_name


@requires(Requirement(roles=["Tasks.Write"]), Requirement(scopes=["Tasks.Write"]))
def close_task(number: int) -> str:
    """Close a task."""
    return f"closed task {number}"
