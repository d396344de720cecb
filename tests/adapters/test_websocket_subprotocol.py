"""The token of a WebSocket in its subprotocols, as a browser sends it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from browsing import chromium
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.sync.client import connect

from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard import Guard
    from entra_guard.testing import Entra

CONNECT = """([url, names]) => new Promise(done => {
    const socket = new WebSocket(url, names);
    socket.onmessage = event => done([socket.protocol, event.data]);
    socket.onclose = event => done(["closed", ""]);
})"""


async def orders(websocket: WebSocket) -> None:
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol="orders.v1" if "orders.v1" in offered else None)
    seen = [*offered, *(value for name, value in websocket.headers.items() if "protocol" in name)]
    await websocket.send_text(f"{websocket.user.object_id} {seen}")
    await websocket.close()


def app(guard: Guard, **settings: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/page", lambda _request: HTMLResponse("<title>A page</title>")),
            WebSocketRoute("/orders", orders),
        ],
        middleware=[Middleware(GuardMiddleware, guard=guard, public=["/page"], **settings)],
    )


def connect_and_receive(
    guard: Guard, names: list[str], headers: Any = None, **settings: Any
) -> tuple[str | None, str]:
    client = TestClient(app(guard, **{"subprotocol": True} | settings))
    with client.websocket_connect("/orders", subprotocols=names, headers=headers or {}) as connection:
        return connection.accepted_subprotocol, connection.receive_text()


def test_the_token_is_read_and_the_application_s_subprotocol_selected(guard: Guard, entra: Entra) -> None:
    token, object_id = entra.token(), entra.principal().object_id
    expected = ("orders.v1", f"{object_id} ['orders.v1', 'orders.v1']")
    assert connect_and_receive(guard, ["orders.v1", f"authorization.bearer.{token}"]) == expected
    assert connect_and_receive(guard, ["bearer", token, "orders.v1"]) == expected


def test_the_pair_selects_bearer_if_the_application_selects_nothing(guard: Guard, entra: Entra) -> None:
    assert connect_and_receive(guard, ["bearer", entra.token()])[0] == "bearer"


def test_the_token_itself_is_never_selected(guard: Guard, entra: Entra) -> None:
    assert connect_and_receive(guard, [f"authorization.bearer.{entra.token()}"])[0] is None


@pytest.mark.parametrize("kind", ["off", "expired", "two", "empty", "header too", "no name before it"])
def test_everything_else_is_refused(guard: Guard, entra: Entra, kind: str, caplog: Any) -> None:
    token = entra.token(preset="expired") if kind == "expired" else entra.token()
    name = f"authorization.bearer.{token}"
    names = {"two": [name, name], "empty": ["bearer"], "no name before it": [token]}.get(kind, [name])
    headers = {"Authorization": f"Bearer {token}"} if kind == "header too" else None
    with pytest.raises(WebSocketDisconnect):
        connect_and_receive(guard, names, headers, subprotocol=kind != "off")
    assert token not in caplog.text


async def first_offered(websocket: WebSocket) -> None:
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[0] if offered else None)
    await websocket.send_text(f"{offered} {websocket.scope}")
    await websocket.close()


@pytest.mark.parametrize("form", ["one name", "pair"])
def test_the_application_does_not_see_or_select_the_token_on_a_public_path(
    guard: Guard, entra: Entra, form: str
) -> None:
    token = entra.token()
    names = ["bearer", token] if form == "pair" else [f"authorization.bearer.{token}"]
    served = Starlette(routes=[WebSocketRoute("/news", first_offered)])
    client = TestClient(GuardMiddleware(served, guard=guard, public=["/news"], subprotocol=True))
    with client.websocket_connect("/news", subprotocols=[*names, "news.v1"]) as connection:
        assert connection.accepted_subprotocol == "news.v1"
        assert token not in connection.receive_text()
    with client.websocket_connect("/news", subprotocols=names) as connection:
        assert connection.accepted_subprotocol == ("bearer" if form == "pair" else None)


def test_a_guard_inside_of_a_public_path_reads_the_token(guard: Guard, entra: Entra) -> None:
    served = GuardMiddleware(app(guard, subprotocol=True), guard=guard, public=["/orders"], subprotocol=True)
    names = ["bearer", entra.token(), "orders.v1"]
    with TestClient(served).websocket_connect("/orders", subprotocols=names) as connection:
        assert entra.principal().object_id in connection.receive_text()


@contextmanager
def served_with_websockets(application: Any, **settings: Any) -> Iterator[str]:
    settings = {"log_level": "error", "ws": "websockets-sansio"} | settings
    config = uvicorn.Config(application, port=0, **settings)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def test_a_page_in_a_browser_connects(guard: Guard, entra: Entra) -> None:
    with served_with_websockets(app(guard, subprotocol=True)) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{url}/page")
        address = f"{url.replace('http', 'ws', 1)}/orders"
        object_id, token = entra.principal().object_id, entra.token()

        def connected(*names: str) -> Any:
            return page.evaluate(CONNECT, [address, names])

        name = f"authorization.bearer.{token}"
        assert connected("orders.v1", name) == ["orders.v1", f"{object_id} ['orders.v1', 'orders.v1']"]
        assert connected("bearer", token)[0] == "bearer"
        assert connected("orders.v1", f"{name}x") == ["closed", ""]
        assert connected("orders.v1") == ["closed", ""]


def test_uvicorn_logs_no_token_of_a_subprotocol(guard: Guard, entra: Entra, caplog: Any) -> None:
    for name in ("uvicorn.error", "uvicorn.asgi"):
        caplog.set_level(5, name)  # uvicorn's TRACE
    token = entra.token()
    guarded = app(guard, subprotocol=True)
    with served_with_websockets(guarded, log_level="trace", log_config=None) as url:
        address = f"{url.replace('http', 'ws', 1)}/orders"
        for names in (["orders.v1", f"authorization.bearer.{token}"], ["bearer", token, "orders.v1"]):
            with connect(address, subprotocols=names, proxy=None) as connection:
                assert connection.recv().endswith("['orders.v1', 'orders.v1']")
    logged = "\n".join(record.getMessage() for record in caplog.records if "uvicorn" in record.name)
    assert "< sec-websocket-protocol: bearer, [token], orders.v1" in logged.lower()
    assert "['bearer', '[token]', 'orders.v1']" in logged
    assert token not in logged
