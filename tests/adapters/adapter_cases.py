"""One small API in every framework: /orders for any caller, /admin for a role, /healthz for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import falcon
import falcon.asgi
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import Depends, FastAPI, Security
from flask import Flask
from litestar import Litestar, Response, get
from quart import Quart
from raw_requests import request_asgi, request_wsgi
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from entra_guard import AccessError, Guard, Principal, current_principal, flask, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from raw_requests import RawResponse

PUBLIC = ["/healthz", "/async/healthz"]
needs_admin = requires(roles=["Orders.Admin"])


@dataclass(frozen=True)
class AdapterCase:
    """An application, a function that sends requests to it, and the prefix of its routes."""

    app: Any
    send_request: Callable[..., RawResponse]
    prefix: str = ""

    def __call__(self, path: str, authorization: list[bytes], **more: Any) -> RawResponse:
        return self.send_request(self.app, self.prefix + path, authorization, **more)


async def bare_asgi(scope: Any, _receive: Any, send: Any) -> None:
    app_id = scope["user"].app_id if "user" in scope else ""
    if scope["path"] == "/admin":
        await needs_admin(_nothing)()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": app_id.encode()})


async def _nothing() -> None:
    """What an administrator may do."""


def bare_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    principal = environ.get("entra_guard.principal")
    if environ["PATH_INFO"] == "/admin":
        needs_admin(lambda: None)()
    start_response("200 OK", [])
    return [principal.app_id.encode() if principal else b""]


def starlette_app(guard: Guard) -> AdapterCase:
    def orders(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.user.app_id)

    @needs_admin
    async def admin(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("the admin's")

    def healthz(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("healthy")

    app = Starlette(routes=[Route("/orders", orders), Route("/admin", admin), Route("/healthz", healthz)])
    app.add_middleware(GuardMiddleware, guard=guard, public=PUBLIC)
    return AdapterCase(app, request_asgi)


def fastapi_middleware(guard: Guard) -> AdapterCase:
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard, public=PUBLIC)

    @app.get("/orders")
    def orders() -> str:
        return current_principal().app_id

    @app.get("/admin")
    @needs_admin
    async def admin() -> str:
        return "the admin's"

    @app.get("/healthz")
    def healthz() -> str:
        return "healthy"

    return AdapterCase(app, request_asgi)


def fastapi_dependency(guard: Guard) -> AdapterCase:
    app, bearer = FastAPI(), EntraBearer(guard)

    @app.get("/orders")
    def orders(caller: Principal = Security(bearer)) -> str:  # noqa: B008, FAST002
        return caller.app_id

    @app.get("/admin", dependencies=[Depends(bearer.requires(roles=["Orders.Admin"]))])
    def admin() -> str:
        return "the admin's"

    @app.get("/healthz")
    def healthz() -> str:
        return "healthy"

    return AdapterCase(app, request_asgi)


def litestar_app(guard: Guard) -> AdapterCase:
    @get("/orders", sync_to_thread=False)
    def orders() -> str:
        return current_principal().app_id

    @get("/admin")
    @needs_admin
    async def admin() -> str:
        return "the admin's"

    @get("/healthz", sync_to_thread=False)
    def healthz() -> str:
        return "healthy"

    def refused(_request: Any, error: AccessError) -> Response[bytes]:
        return Response(error.body, status_code=error.status, headers=error.headers)

    app = Litestar(
        [orders, admin, healthz],
        exception_handlers={AccessError: refused},
        openapi_config=None,
        logging_config=None,
    )
    return AdapterCase(GuardMiddleware(app, guard=guard, public=PUBLIC), request_asgi)


def quart_app(guard: Guard) -> AdapterCase:
    app = Quart(__name__)
    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard, public=PUBLIC)

    @app.route("/orders")
    async def orders() -> str:
        return current_principal().app_id

    @app.route("/admin")
    @needs_admin
    async def admin() -> str:
        return "the admin's"

    @app.route("/healthz")
    async def healthz() -> str:
        return "healthy"

    @app.errorhandler(AccessError)
    async def refused(error: AccessError) -> Any:
        return error.body, error.status, error.headers

    return AdapterCase(app, request_asgi)


class FalconOrders:
    def on_get(self, _request: Any, response: Any) -> None:
        response.text = current_principal().app_id


class FalconAdmin:
    @needs_admin
    def on_get(self, _request: Any, response: Any) -> None:
        response.text = "the admin's"


class FalconHealth:
    def on_get(self, _request: Any, response: Any) -> None:
        response.text = "healthy"


def falcon_wsgi(guard: Guard) -> AdapterCase:
    def refused(_request: Any, response: Any, error: AccessError, _params: Any) -> None:
        response.status = error.status
        response.set_headers(error.headers)
        response.data = error.body

    app = falcon.App()
    app.add_route("/orders", FalconOrders())
    app.add_route("/admin", FalconAdmin())
    app.add_route("/healthz", FalconHealth())
    app.add_error_handler(AccessError, refused)
    return AdapterCase(WsgiGuardMiddleware(app, guard=guard, public=PUBLIC), request_wsgi)


class AsyncFalconOrders:
    async def on_get(self, _request: Any, response: Any) -> None:
        response.text = current_principal().app_id


class AsyncFalconAdmin:
    @needs_admin
    async def on_get(self, _request: Any, response: Any) -> None:
        response.text = "the admin's"


class AsyncFalconHealth:
    async def on_get(self, _request: Any, response: Any) -> None:
        response.text = "healthy"


def falcon_asgi(guard: Guard) -> AdapterCase:
    async def refused(_request: Any, response: Any, error: AccessError, _params: Any) -> None:
        response.status = error.status
        response.set_headers(error.headers)
        response.data = error.body

    app = falcon.asgi.App()
    app.add_route("/orders", AsyncFalconOrders())
    app.add_route("/admin", AsyncFalconAdmin())
    app.add_route("/healthz", AsyncFalconHealth())
    app.add_error_handler(AccessError, refused)
    return AdapterCase(GuardMiddleware(app, guard=guard, public=PUBLIC), request_asgi)


def flask_app(guard: Guard) -> AdapterCase:
    app = Flask(__name__)
    flask.init_app(app, guard, public=PUBLIC)

    @app.get("/orders")
    def orders() -> str:
        return flask.current_principal.app_id

    @app.get("/admin")
    @needs_admin
    def admin() -> str:
        return "the admin's"

    @app.get("/healthz")
    def healthz() -> str:
        return "healthy"

    return AdapterCase(app, request_wsgi)


def django_handler(guard: Guard, handler: Any, *, middleware: bool = True) -> Any:
    """Django reads its settings while the handler is made, and the guard's with them."""
    names = ["entra_guard.django.GuardMiddleware"] if middleware else []
    with override_settings(ENTRA_GUARD={"guard": guard, "public": PUBLIC}, MIDDLEWARE=names):
        return handler()


def django_wsgi(guard: Guard) -> AdapterCase:
    return AdapterCase(django_handler(guard, WSGIHandler), request_wsgi)


def django_asgi(guard: Guard) -> AdapterCase:
    return AdapterCase(django_handler(guard, ASGIHandler), request_asgi)


def django_asgi_async_views(guard: Guard) -> AdapterCase:
    return AdapterCase(django_handler(guard, ASGIHandler), request_asgi, "/async")


def rest_framework(guard: Guard) -> AdapterCase:
    app = django_handler(guard, WSGIHandler, middleware=False)

    def send_request(app: Any, path: str, authorization: list[bytes], **more: Any) -> RawResponse:
        with override_settings(ENTRA_GUARD={"guard": guard}):
            return request_wsgi(app, path, authorization, **more)

    return AdapterCase(app, send_request, "/rest")


ADAPTERS = {
    "asgi": lambda guard: AdapterCase(GuardMiddleware(bare_asgi, guard=guard, public=PUBLIC), request_asgi),
    "starlette": starlette_app,
    "fastapi with the middleware": fastapi_middleware,
    "fastapi with the dependency": fastapi_dependency,
    "litestar": litestar_app,
    "quart": quart_app,
    "falcon asgi": falcon_asgi,
    "django asgi": django_asgi,
    "django asgi, async views": django_asgi_async_views,
    "wsgi": lambda guard: AdapterCase(
        WsgiGuardMiddleware(bare_wsgi, guard=guard, public=PUBLIC), request_wsgi
    ),
    "flask": flask_app,
    "falcon wsgi": falcon_wsgi,
    "django wsgi": django_wsgi,
    "django rest framework": rest_framework,
}
