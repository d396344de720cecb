"""Servers with background tasks behind `protect`, of the SDK versions that this environment has."""

from __future__ import annotations

from typing import Any

import fastmcp
from mcp_apps import IS_FIRST, guard, together

from entra_guard import requires
from entra_guard.credentials import ClientSecretCredential
from entra_guard.mcp import on_behalf_of, protect

SECRET = "the secret"


async def background() -> str:
    """Return what only the caller that has started the task may read."""
    return SECRET


@requires(roles=["Tasks.Write"])
async def background_secret() -> str:
    """Return what needs a role, in a background task."""
    return SECRET


async def next_api() -> str:
    """Return the next API's token, which no task can get: it has no caller."""
    credential = ClientSecretCredential("contoso.com", "11112222-bbbb-3333-cccc-4444dddd5555", "secret")
    return (await on_behalf_of(credential).aget_token("api://next/Read")).token


def of_fastmcp() -> Any:
    server = fastmcp.FastMCP("tasks")
    if not IS_FIRST:
        from fastmcp_tasks import TasksExtension

        server.add_extension(TasksExtension())
    for tool in (background, background_secret, next_api):
        server.tool(task=True)(tool)
    return server


def of_sdk() -> Any:
    """Return a server of SDK 1.x with its experimental tasks: each call of its tool starts one."""
    from mcp.server.fastmcp import FastMCP
    from mcp.types import CallToolResult, TextContent

    server = FastMCP("tasks", log_level="CRITICAL")
    low = server._mcp_server
    low.experimental.enable_tasks()
    server.tool()(background)

    async def work(_task: Any) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=SECRET)])

    @low.call_tool()
    async def start(_name: str, _arguments: dict[str, Any]) -> Any:
        return await low.request_context.experimental.run_task(work)

    return server


servers = {"fastmcp": of_fastmcp()}
if IS_FIRST:
    servers["sdk"] = of_sdk()

app = together(
    {name: protect(one, guard, url=f"https://tasks.example/{name}/mcp") for name, one in servers.items()}
)
