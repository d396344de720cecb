"""One call of an MCP tool: with `protect`, and with the SDK's middleware and PyJWT. Needs `mcp` 2.x."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from benchmarks import _results
from benchmarks._fixture import Fixture
from benchmarks._measure import table
from entra_guard import current_principal, requires
from entra_guard.mcp import protect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

URL = "http://127.0.0.1:8000/mcp"
VERSION = "2026-07-28"
ROUNDS = 41
CALLS = 40


async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


@requires(roles=["Orders.Read"])
async def add_protected(first: int, second: int) -> int:
    """Add two numbers, for callers with a role."""
    current_principal()
    return first + second


def server(tool: Callable[..., Any], **settings: Any) -> MCPServer:
    made = MCPServer("benchmark", log_level="CRITICAL", **settings)
    made.tool(name="add")(tool)
    return made


class PyJwtVerifier:
    """A verifier for the SDK's middleware: PyJWT, with the keys in memory."""

    def __init__(self, fixture: Fixture) -> None:
        self.audience = fixture.api.client_id
        self.issuer = f"{fixture.entra.authority}/v2.0"
        self.keys = {key.kid: key.private_key.public_key() for key in fixture.entra.keys}

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = self.keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token, key, algorithms=["RS256"], audience=self.audience, issuer=self.issuer, leeway=60
            )
        except (jwt.PyJWTError, KeyError):
            return None
        return AccessToken(
            token=token,
            client_id=claims["azp"],
            scopes=claims.get("scp", "").split(),
            expires_at=claims["exp"],
            subject=claims["oid"],
            claims=claims,
        )


def applications(fixture: Fixture) -> dict[str, Any]:
    auth = AuthSettings(issuer_url=f"{fixture.entra.authority}/v2.0", resource_server_url=URL)  # type: ignore[arg-type]
    by_sdk = server(add, auth=auth, token_verifier=PyJwtVerifier(fixture))
    return {
        "no authentication": server(add).streamable_http_app(stateless_http=True, json_response=True),
        "the SDK's middleware with PyJWT": by_sdk.streamable_http_app(
            stateless_http=True, json_response=True
        ),
        "protect": _protected(server(add), fixture),
        "protect, and a role that the tool requires": _protected(server(add_protected), fixture),
    }


def _protected(made: MCPServer, fixture: Fixture) -> Any:
    inner = made.streamable_http_app(stateless_http=True, json_response=True)
    # As `protect` does it, of an application that answers as the others here: without streams.
    made.streamable_http_app = lambda **_settings: inner  # type: ignore[method-assign]
    return protect(made, fixture.guard(), url=URL)


def request(token: str) -> tuple[dict[str, Any], bytes]:
    """Return the scope and body of a call without a session."""
    prefix = "io.modelcontextprotocol/"
    meta: dict[str, Any] = {f"{prefix}protocolVersion": VERSION, f"{prefix}clientCapabilities": {}}
    params: dict[str, Any] = {"name": "add", "arguments": {"first": 2, "second": 3}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = {
        "host": "127.0.0.1:8000",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": str(len(body)),
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": "add",
        "authorization": f"Bearer {token}",
    }
    scope = {
        "type": "http", "method": "POST", "path": "/mcp", "raw_path": b"/mcp", "root_path": "",
        "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    return scope, body


async def call(app: Any, scope: dict[str, Any], body: bytes) -> None:
    """Send one call, and check that the tool ran."""
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if received:
            return received.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({**scope, "headers": list(scope["headers"])}, receive, send)
    assert b'"result":5' in b"".join(message.get("body", b"") for message in sent), sent


async def microseconds(app: Any, scope: dict[str, Any], body: bytes) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        await call(app, scope, body)
    return (time.thread_time() - began) / CALLS * 1e6


@asynccontextmanager
async def started(apps: dict[str, Any]) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for app in apps.values():
            while not hasattr(app, "router"):
                app = app.app  # noqa: PLW2901  # the layers of `protect`
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield


async def measure(fixture: Fixture) -> list[tuple[object, ...]]:
    """Return for each application the time of a call, and what it adds to one without authentication."""
    apps = applications(fixture)
    (bare, *others), (scope, body) = apps, request(fixture.token())
    added: dict[str, list[float]] = {name: [] for name in others}
    whole: list[float] = []
    async with started(apps):
        for app in apps.values():
            await microseconds(app, scope, body)
        gc.disable()
        for _ in range(ROUNDS):
            base = await microseconds(apps[bare], scope, body)
            whole.append(base)
            for name in others:
                added[name].append(await microseconds(apps[name], scope, body) - base)
            gc.collect()
        gc.enable()
    base = statistics.median(whole)
    for name in others[1:]:
        _results.record(f"mcp: {name}", [each / base for each in added[name]])
    rows: list[tuple[object, ...]] = [(bare, f"{base:.0f}", "", "")]
    for name in others:
        more = statistics.median(added[name])
        rows.append((name, f"{base + more:.0f}", f"{more:.0f}", f"{more / base:.0%}"))
    return rows


def main() -> None:
    table(
        "A call of an MCP tool",
        ("", "µs", "added, µs", "of the call itself"),
        asyncio.run(measure(Fixture())),
        name="mcp",
    )


if __name__ == "__main__":
    main()
