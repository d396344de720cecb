"""The demo's protected API, and uvicorn to serve it on a loopback port."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import current_principal, requires
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from entra_guard import Guard

_LOOPBACK: Final = "127.0.0.1"
_TIMEOUT: Final = 10.0


@requires(roles=["Orders.Read"])
async def list_orders(_request: Request) -> JSONResponse:
    return JSONResponse({"orders": ["A-1001", "A-1002"], "called_by": current_principal().app_id})


@requires(roles=["Orders.Write"])
async def place_order(_request: Request) -> JSONResponse:
    return JSONResponse({"order": "A-1003"}, 201)


def orders_api(guard: Guard) -> ASGIApp:
    """Return the API; the middleware protects it."""
    app = Starlette(
        routes=[
            Route("/orders", list_orders, methods=["GET"]),
            Route("/orders", place_order, methods=["POST"]),
        ]
    )
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


@contextmanager
def served(
    app: ASGIApp, listener: socket.socket | None = None, *, lifespan: Literal["on", "off"] = "off"
) -> Generator[str]:
    """Serve an app with uvicorn on a free loopback port, in a thread; yield its URL.

    Args:
        app: The application.
        listener: A socket of `new_listener`, for an app that must know its URL.
        lifespan: Whether the app has a start and an end.

    Raises:
        RuntimeError: uvicorn did not start.
    """
    listener = listener or new_listener()
    server = uvicorn.Server(uvicorn.Config(app, lifespan=lifespan, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],), name="demo-api", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(_TIMEOUT)
        listener.close()


def new_listener() -> socket.socket:
    """Return a socket on a free loopback port."""
    return socket.create_server((_LOOPBACK, 0))


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a socket on loopback."""
    return f"http://{_LOOPBACK}:{listener.getsockname()[1]}"


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _TIMEOUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("The demo's API did not start within 10 s.")
        time.sleep(0.005)
