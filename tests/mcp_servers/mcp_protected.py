"""The MCP servers of an environment behind `protect`: `/sdk/mcp` and `/fastmcp/mcp`, each with its metadata."""

from __future__ import annotations

import logging
import os
from typing import Any

import fastmcp
from fastmcp.server.middleware.caching import ResponseCachingMiddleware
from fastmcp.tools import Tool
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp_apps import IS_FIRST, SdkContext, SdkServer, filled, guard, secret, together
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.credentials import ClientSecretCredential
from entra_guard.mcp import GuardTokenVerifier, guard_auth_provider, on_behalf_of, protect
from entra_guard.mcp._servers import app_of

if IS_FIRST:
    import httpx
else:
    import httpx2 as httpx

# The SDK's servers set the level of the root logger.
logging.getLogger("entra_guard").setLevel(logging.WARNING)
logging.getLogger("entra_guard").addHandler(logging.StreamHandler())

credential = ClientSecretCredential(
    os.environ["ENTRA_GUARD_TENANT"],
    os.environ["ENTRA_GUARD_AUDIENCE"],
    os.environ["API_SECRET"],
    authority=os.environ["ENTRA_GUARD_AUTHORITY"],
)


@requires(scopes=["Tasks.Admin"])
def administer() -> str:
    """Return what needs another scope."""
    return "the secret"


async def next_api() -> str:
    """Return how the next API's token begins."""
    token = await on_behalf_of(credential).aget_token(os.environ["NEXT_SCOPE"])
    return token.token[:2]


def administer_indirectly() -> str:
    """Return what a function of this tool returns, which needs another scope."""
    return administer()


def showing_headers(server: Any) -> Any:
    """Return a tool that returns the headers of its request, with the context of a server's kind."""

    async def headers(context: Any) -> str:
        return " ".join(context.request_context.request.headers)

    kind = fastmcp.Context if isinstance(server, fastmcp.FastMCP) else SdkContext
    headers.__annotations__ = {"context": kind, "return": str}
    return headers


def client() -> str:
    """Return what the SDK knows of its caller."""
    token = get_access_token()
    assert token is not None
    return f"{token.client_id} {token.subject}"


def token_for_sdk() -> str:
    """Return what the SDK has in the place of the caller's token."""
    token = get_access_token()
    assert token is not None
    return token.token


def protected(name: str, server: Any) -> Any:
    tools = (administer, administer_indirectly, next_api, client, token_for_sdk, showing_headers(server))
    for tool in tools:
        server.tool()(tool)
    server.resource("next://api")(next_api)
    url = f"https://tasks.example/{name}/mcp"
    settings = {"scopes": ["access_as_user"], "hide": True, "name": "Tasks", "public": [f"/{name}/public"]}
    return protect(filled(server), guard, url=url, **settings)


def with_others(server: Any) -> Any:
    """Mount a server in one of fastmcp, and make a tool of another tool."""
    child = fastmcp.FastMCP("child")
    for add in (child.tool(), child.prompt(), child.resource("other://notes")):
        add(secret)
    server.mount(child, **({"prefix": "child"} if IS_FIRST else {"namespace": "child"}))
    server.add_tool(Tool.from_tool(Tool.from_function(secret), name="renamed"))
    return server


def with_cache() -> Any:
    """Return a server of fastmcp that caches its responses, and is mounted in another."""
    server = with_others(filled(fastmcp.FastMCP("tasks")))
    server.add_middleware(ResponseCachingMiddleware())
    return protect(server, guard, url="https://tasks.example/cached/mcp", hide=True)


apps = {
    "cached": with_cache(),
    "sdk": protected("sdk", SdkServer("tasks", log_level="CRITICAL")),
    "fastmcp": protected("fastmcp", with_others(fastmcp.FastMCP("tasks"))),
}


for path, one in {
    "sdk-stateless": SdkServer("tasks", log_level="CRITICAL"),
    "fastmcp-stateless": fastmcp.FastMCP("tasks"),
}.items():
    settings = {"url": f"https://tasks.example/{path}/mcp", "stateless_http": True, "json_response": True}
    apps[path] = protect(filled(one), guard, hide=True, **settings)


if not IS_FIRST:  # with steps, and with lists in pages of one
    from mcp.types import InputRequiredResult

    async def steps(context: Any) -> Any:
        """Return a state in the first step, and what it says in the second one."""
        if context.request_state is None:
            return InputRequiredResult(request_state="the secret")
        return context.request_state

    in_steps = {"sdk-steps": SdkServer("tasks", log_level="CRITICAL"), "steps": fastmcp.FastMCP("tasks")}
    for path, one in in_steps.items():
        kind = SdkContext if path.startswith("sdk") else fastmcp.Context
        steps.__annotations__ = {"context": kind, "return": str | InputRequiredResult}
        one.tool()(steps)
        apps[path] = protect(one, guard, url=f"https://tasks.example/{path}/mcp")
    in_pages = fastmcp.FastMCP("pages", list_page_size=1)
    apps["pages"] = protect(filled(in_pages), guard, url="https://tasks.example/pages/mcp", hide=True)

    from fastmcp.server.transforms import PromptsAsTools, ResourcesAsTools
    from fastmcp.server.transforms.search.bm25 import BM25SearchTransform

    as_tools, searched = filled(fastmcp.FastMCP("tools")), filled(fastmcp.FastMCP("search"))
    for transform in (PromptsAsTools(as_tools), ResourcesAsTools(as_tools)):
        as_tools.add_transform(transform)
    searched.add_transform(BM25SearchTransform())
    for path, one in {"as-tools": as_tools, "search": searched}.items():
        apps[path] = protect(one, guard, url=f"https://tasks.example/{path}/mcp", hide=True)


verified = SdkServer(
    "tasks",
    log_level="CRITICAL",
    token_verifier=GuardTokenVerifier(guard),
    auth=AuthSettings(
        issuer_url="https://login.example",
        resource_server_url="https://tasks.example/verified/mcp",
        required_scopes=["access_as_user"],
    ),
)
for tool in (client, next_api):
    verified.tool()(tool)
apps["verified"] = app_of(verified, "https://tasks.example/verified/mcp", origins=(), settings={})


class AsCaller(httpx.Auth):
    """As in docs/mcp.md: exchanges the caller's token for one of the next API."""

    async def async_auth_flow(self, request: Any) -> Any:
        token = await on_behalf_of(credential).aget_token(os.environ["NEXT_SCOPE"])
        request.headers["Authorization"] = f"Bearer {token.token}"
        yield request


def me(request: Any) -> JSONResponse:
    """Return who calls the next API, and by which application."""
    return JSONResponse(f"{request.user.object_id} {request.user.app_id}")


def forwarding() -> Any:
    """Return a server of fastmcp that forwards calls to the next API."""
    audience = os.environ["NEXT_SCOPE"].split("/")[2]
    next_guard = Guard.from_env(audience=audience)
    next_app = GuardMiddleware(Starlette(routes=[Route("/me", me)]), guard=next_guard)
    transport = httpx.ASGITransport(next_app)
    client = httpx.AsyncClient(transport=transport, base_url="https://next.example", auth=AsCaller())
    operation = {"operationId": "me", "responses": {"200": {"description": "Who calls"}}}
    info = {"title": "Next", "version": "1"}
    spec = {"openapi": "3.1.0", "info": info, "paths": {"/me": {"get": operation}}}
    return fastmcp.FastMCP.from_openapi(spec, client=client)


apps["forwarding"] = protect(forwarding(), guard, url="https://tasks.example/forwarding/mcp")


provided = fastmcp.FastMCP(
    "tasks", auth=guard_auth_provider(guard, url="https://tasks.example", scopes=["access_as_user"])
)
for tool in (client, next_api):
    provided.tool()(tool)
apps["provided"] = app_of(provided, "https://tasks.example/provided/mcp", origins=(), settings={})


app = together(apps)
