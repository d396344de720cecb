"""Guarded MCP servers for the tests, of the SDK versions that this environment has: `uvicorn mcp_apps:app`.

Each application is mounted below its name: `/sdk-http/mcp`, `/sdk-stateless/mcp`, `/sdk-sse/sse`, and the
same of the fastmcp package below `/fastmcp-...`. Settings of the guard come from the environment.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import fastmcp
from fastmcp.server.event_store import EventStore
from mcp.types import Completion
from starlette.applications import Starlette
from starlette.routing import Mount

from entra_guard import Guard, current_principal, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.principal import NoPrincipalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IS_FIRST = version("mcp").startswith("1.")
if IS_FIRST:
    from mcp.server.fastmcp import Context as SdkContext
    from mcp.server.fastmcp import FastMCP as SdkServer
else:
    from mcp.server.mcpserver import Context as SdkContext
    from mcp.server.mcpserver import MCPServer as SdkServer

guard = Guard.from_env()


def whoami() -> str:
    """Return the object id of the caller."""
    return current_principal().object_id


async def whoami_async() -> str:
    """Return the object id of the caller, after a while."""
    await asyncio.sleep(0.01)
    return current_principal().object_id


@requires(roles=["Tasks.Write"])
def secret() -> str:
    """Return what needs a role."""
    return "the secret"


@requires(roles=["Tasks.Write"])
async def secret_async() -> str:
    """Return what needs a role, after a while."""
    await asyncio.sleep(0)
    return "the secret"


@requires(roles=["Tasks.Write"])
def notes() -> str:
    """Return a resource that needs a role."""
    return "the secret"


@requires(roles=["Tasks.Write"])
def plan() -> str:
    """Return a prompt that needs a role."""
    return "the secret"


@requires(roles=["Tasks.Write"])
def note(number: str) -> str:
    """Return a resource of a template that needs a role."""
    return f"the secret {number}"


async def complete(*_arguments: object) -> Completion:
    """Complete an argument of any prompt or template."""
    return Completion(values=["the secret"])


seen_by_notifications: list[str] = []


async def on_roots_changed(*_arguments: object) -> None:
    """Record who a notification's handler takes for its caller."""
    try:
        seen_by_notifications.append(current_principal().object_id)
    except NoPrincipalError:
        seen_by_notifications.append("nobody")


def notifications() -> list[str]:
    """Return what the handlers of notifications have recorded."""
    return seen_by_notifications


async def question(context: Any) -> str:
    """Ask the client of the caller, and return its answer."""
    schema = {"type": "object", "properties": {"value": {"type": "string"}}}
    answer = await context.session.elicit("Which value?", schema, context.request_id)
    return str((answer.content or {}).get("value"))


def asking(server: Any) -> Any:
    """Return `question` with the context of a server's kind."""

    async def ask(context: Any) -> str:
        return await question(context)

    kind = fastmcp.Context if isinstance(server, fastmcp.FastMCP) else SdkContext
    ask.__annotations__ = {"context": kind, "return": str}
    return ask


def filled(server: Any) -> Any:
    """Add the same tools, resource and prompt to a server of any kind."""
    server.tool()(asking(server))
    for tool in (whoami, whoami_async, secret, secret_async, notifications):
        server.tool()(tool)
    server.resource("tasks://notes")(notes)
    server.resource("tasks://notes/{number}")(note)
    server.prompt()(plan)
    (server if hasattr(server, "completion") else server._mcp_server).completion()(complete)
    if IS_FIRST:
        from mcp.types import RootsListChangedNotification

        server._mcp_server.notification_handlers[RootsListChangedNotification] = on_roots_changed
    return server


def sdk_app(kind: str) -> Any:
    server = SdkServer("tasks", log_level="CRITICAL")
    if kind == "sse":
        return filled(server).sse_app()
    if IS_FIRST:
        server.settings.stateless_http = kind == "stateless"
        server.settings.json_response = kind == "json"
        return filled(server).streamable_http_app()
    return filled(server).streamable_http_app(
        stateless_http=kind == "stateless", json_response=kind == "json"
    )


def fastmcp_app(kind: str) -> Any:
    server = filled(fastmcp.FastMCP("tasks"))
    if kind == "sse":
        return server.http_app(path="/sse", transport="sse")
    store = EventStore() if kind == "http" else None
    return server.http_app(
        path="/mcp", stateless_http=kind == "stateless", json_response=kind == "json", event_store=store
    )


KINDS = ("http", "json", "stateless", "sse")
bare = {f"sdk-{kind}": sdk_app(kind) for kind in KINDS} | {
    f"fastmcp-{kind}": fastmcp_app(kind) for kind in KINDS
}


def innermost(app: Any) -> Any:
    return app if hasattr(app, "router") else innermost(app.app)


def lifespan_of(apps: dict[str, Any]) -> Any:
    """Return the lifespan of an application that runs those of others."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for inner in map(innermost, apps.values()):
                await stack.enter_async_context(inner.router.lifespan_context(inner))
            yield

    return lifespan


def together(apps: dict[str, Any]) -> Starlette:
    """Return one application of several that are protected, each with its name in its paths."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        name = next((name for name in apps if f"/{name}/" in scope["path"]), next(iter(apps)))
        await apps[name](scope, receive, send)

    return Starlette(routes=[Mount("/", dispatch)], lifespan=lifespan_of(apps))


app = Starlette(
    routes=[Mount(f"/{name}", GuardMiddleware(inner, guard=guard)) for name, inner in bare.items()],
    lifespan=lifespan_of(bare),
)
