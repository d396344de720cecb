"""Requests of several clients on one connection, as proxies send them: none is given the caller of another.

uvicorn runs all later requests of a connection in the context of one whose body it made wait.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, cast

import litestar
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Request
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from entra_guard import Guard, current_principal, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.principal import NoPrincipalError
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = b"x" * 4_000_000  # more than a server reads before the application does


async def caller(request: Request) -> PlainTextResponse:
    await request.body()
    try:
        return PlainTextResponse(current_principal().app_id)
    except NoPrincipalError:
        return PlainTextResponse("nobody")


def with_middleware(guard: Guard) -> Any:
    app = Starlette(routes=[Route(path, caller, methods=["GET", "POST"]) for path in ("/guarded", "/public")])
    return GuardMiddleware(app, guard=guard, public=["/public"])


def with_dependency(guard: Guard) -> Any:
    app = FastAPI()
    app.add_api_route("/guarded", caller, methods=["POST"], dependencies=[Depends(EntraBearer(guard))])
    optional = EntraBearer(guard, auto_error=False)
    app.add_api_route("/public", caller, dependencies=[Depends(optional)])
    return app


@contextmanager
def connected(application: Any) -> Iterator[HTTPConnection]:
    """Serve an application, and yield one connection to it."""
    server = uvicorn.Server(uvicorn.Config(application, loop="asyncio", http="h11", log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        connection = HTTPConnection(*listening.getsockname(), timeout=30)
        try:
            yield connection
        finally:
            connection.close()
            server.should_exit = True
            thread.join()


def body_of(connection: HTTPConnection, method: str, path: str, **more: Any) -> str:
    connection.request(method, path, **more)
    return connection.getresponse().read().decode()


@pytest.mark.parametrize("app_of", [with_middleware, with_dependency])
def test_a_request_without_a_token_has_no_caller_after_one_with_a_large_body(app_of: Any) -> None:
    with Entra() as entra, connected(app_of(entra.guard())) as connection:
        headers = {"Authorization": f"Bearer {entra.token()}"}
        posted = body_of(connection, "POST", "/guarded", body=LARGE, headers=headers)
        assert posted == entra.caller.client_id
        assert body_of(connection, "GET", "/public") == "nobody"


def test_pipelined_requests_have_their_own_callers() -> None:
    with Entra() as entra, connected(with_middleware(entra.guard())) as connection:
        first = f"GET /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {entra.token()}\r\n\r\n"
        connection.connect()
        connection.sock.sendall(
            f"{first}GET /public HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        with connection.sock.makefile("rb") as responses:
            text = responses.read().decode()
        assert text.index(entra.caller.client_id) < text.index("nobody")


@requires(roles=["access_as_application"])
async def restricted(request: Request) -> PlainTextResponse:
    return await caller(request)


def beside_mount(guard: Guard) -> Any:
    inner = GuardMiddleware(Starlette(routes=[Route("/{path:path}", caller, methods=["POST"])]), guard=guard)
    guarded = Mount("/guarded", inner)
    return Starlette(routes=[guarded, Route("/open", caller), Route("/restricted", restricted)])


def beside_dependency(guard: Guard) -> Any:
    app = FastAPI()
    inner = FastAPI()
    inner.add_api_route("/", caller, methods=["POST"], dependencies=[Depends(EntraBearer(guard))])
    app.mount("/guarded", inner)
    app.add_api_route("/open", caller)
    app.add_api_route("/restricted", restricted)
    return app


def beside_litestar(guard: Guard) -> Any:
    async def respond(request: litestar.Request[Any, Any, Any]) -> str:
        body = PlainTextResponse((await caller(cast("Request", request))).body).body
        return bytes(body).decode()

    guarding = DefineMiddleware(GuardMiddleware, guard=guard)
    need = requires(roles=["access_as_application"])
    routes = [
        litestar.post("/guarded/", middleware=[guarding], status_code=200)(respond),
        litestar.get("/open")(respond),
        litestar.get("/restricted")(need(respond)),
    ]
    return litestar.Litestar(routes, openapi_config=None, logging_config=None, request_max_body_size=None)


@pytest.mark.parametrize("app_of", [beside_mount, beside_dependency, beside_litestar])
@pytest.mark.parametrize("size", [0, len(LARGE)])
def test_a_route_beside_a_guard_has_no_caller_of_an_earlier_request(app_of: Any, size: int) -> None:
    with Entra() as entra, connected(app_of(entra.guard())) as connection:
        token = f"Authorization: Bearer {entra.token()}\r\nContent-Length: {size}\r\n\r\n"
        requests = f"POST /guarded/ HTTP/1.1\r\nHost: x\r\n{token}{'x' * size}"
        requests += "GET /open HTTP/1.1\r\nHost: x\r\n\r\n"
        requests += "GET /restricted HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.connect()
        connection.sock.sendall(requests.encode())
        with connection.sock.makefile("rb") as responses:
            text = responses.read().decode()
        assert re.findall("HTTP/1.1 ([0-9]+)", text) == ["200", "200", "500"]
        assert text.count(entra.caller.client_id) == 1
        assert text.index(entra.caller.client_id) < text.index("nobody")


def test_a_path_that_an_inner_guard_has_as_public_keeps_the_caller_of_the_outer_guard() -> None:
    with Entra() as entra:
        inner = with_middleware(entra.guard())
        app = GuardMiddleware(Starlette(routes=[Mount("/inner", inner)]), guard=entra.guard())
        headers = {"Authorization": f"Bearer {entra.token()}"}
        assert TestClient(app).get("/inner/public", headers=headers).text == entra.caller.client_id
