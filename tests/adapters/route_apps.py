"""Applications with every kind of route: mounts, hosts, sockets, classes, blueprints, dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import litestar
import quart
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.security import HTTPBearer
from flask import Blueprint, Flask
from flask.views import MethodView
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from entra_guard import Principal, Requirement, requires
from entra_guard.asgi import GuardMiddleware, health_app
from entra_guard.fastapi import EntraBearer
from entra_guard.flask import init_app

if TYPE_CHECKING:
    from entra_guard import Guard

needs_read = requires(roles=["Orders.Read"])
either = requires(Requirement(scopes=["Orders.Read"]), Requirement(roles=["Orders.Read.All"], app_only=True))


def handler() -> Any:
    """Return a new function, because `requires` on one would be missing where the function itself serves."""

    async def respond(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")

    return respond


async def listen(socket: Any) -> None:
    await socket.accept()
    await socket.close()


async def bare_asgi(scope: Any, receive: Any, send: Any) -> None:  # Litestar wants the names
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


def bare_wsgi(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"done"]


class Orders(HTTPEndpoint):
    async def get(self, _request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")

    @needs_read
    async def post(self, _request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")


def starlette_app(guard: Guard) -> Any:
    closed = [Route("/orders", needs_read(handler())), Route("/healthz", handler())]
    public = ["/healthz", "/static/*"]
    inside = GuardMiddleware(
        Router(routes=[Route("/readyz", handler()), *closed]), guard=guard, public=public
    )
    return Starlette(
        routes=[
            Route("/open", handler()),
            Route("/one", handler(), middleware=[Middleware(GuardMiddleware, guard=guard)]),
            Mount("/api", app=inside),
            Mount(
                "/guarded",
                routes=[Mount("/v1", routes=closed), Route("/class", Orders), WebSocketRoute("/ws", listen)],
                middleware=[Middleware(GuardMiddleware, guard=guard, public=public, scopes=["Orders.Read"])],
            ),
            Host("admin.example", app=Router(routes=[Route("/", handler())])),
            Mount("/files", app=bare_asgi),
            Route("/live", health_app(guard)),
            WebSocketRoute("/ws", listen),
        ],
        middleware=[Middleware(GZipMiddleware)],
    )


def fastapi_app(guard: Guard) -> Any:
    bearer = EntraBearer(guard)
    optional = EntraBearer(guard, auto_error=False)
    app = FastAPI(docs_url=None, redoc_url=None)
    router = APIRouter(dependencies=[Depends(bearer)])

    @router.get("/orders/{number}")
    async def order(number: str) -> str:
        return number

    @router.post("/orders")
    @either
    async def create() -> str:
        return "done"

    @router.websocket("/ws")
    async def socket(socket: WebSocket) -> None:
        await listen(socket)

    @app.get("/mine")
    async def mine(caller: Principal = Security(bearer, scopes=["Orders.Read"])) -> str:  # noqa: B008, FAST002
        return caller.app_id

    @app.get("/roles", dependencies=[Depends(bearer.requires(roles=["Orders.Read"]))])
    async def roles() -> str:
        return "done"

    @app.get("/perhaps", dependencies=[Depends(optional)])
    async def perhaps() -> str:
        return "done"

    @app.get("/perhaps-not", dependencies=[Depends(optional)])
    @needs_read
    async def perhaps_not() -> str:
        return "done"

    @app.get("/scheme", dependencies=[Depends(HTTPBearer(auto_error=False))])
    async def scheme() -> str:
        return "done"

    app.include_router(router, prefix="/v1")
    outer = APIRouter(prefix="/outer")
    outer.include_router(router, prefix="/inner")
    app.include_router(outer)
    app.mount("/sub", starlette_app(guard))
    return app


class Views(MethodView):
    def get(self) -> str:
        return "done"

    @needs_read
    def post(self) -> str:
        return "done"


def flask_app(guard: Guard) -> Any:
    app = Flask(__name__, static_folder=None)
    pages = Blueprint("pages", __name__, url_prefix="/pages")
    pages.add_url_rule("/<int:number>", view_func=str, endpoint="one")
    pages.add_url_rule("/first", view_func=needs_read(lambda: "done"), endpoint="first", methods=["PUT"])
    app.register_blueprint(pages)
    app.add_url_rule("/views", view_func=Views.as_view("views"))
    app.add_url_rule("/healthz", view_func=lambda: "done", endpoint="healthz")
    init_app(app, guard, public=["/healthz"], mounts=["/metrics"])
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": bare_wsgi})  # type: ignore[method-assign]
    return app


def quart_app(guard: Guard) -> Any:
    app: Any = quart.Quart(__name__, static_folder=None)
    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard, public=["/healthz"])

    @app.get("/orders")
    @needs_read
    async def orders() -> str:
        return "done"

    @app.get("/healthz")
    async def healthz() -> str:
        return "done"

    @app.websocket("/ws")
    async def socket() -> None:
        await quart.websocket.accept()

    return app


class Controller(litestar.Controller):
    path = "/items"

    @litestar.get("/{number:int}")
    @needs_read
    async def one(self) -> str:
        return "done"

    @litestar.get("/")
    async def all_items(self) -> str:
        return "done"


def litestar_app(guard: Guard) -> Any:
    @litestar.get("/open")
    async def open_() -> str:
        return "done"

    @litestar.websocket("/ws")
    async def socket(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await listen(socket)

    mounted = litestar.asgi("/files", is_mount=True, copy_scope=True)(bare_asgi)
    return litestar.Litestar(
        [open_, litestar.Router("/v1", route_handlers=[Controller, socket]), mounted],
        middleware=[DefineMiddleware(GuardMiddleware, guard=guard, public=["/open", "/files/*"])],
        openapi_config=None,
        logging_config=None,
    )
