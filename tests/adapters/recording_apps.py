"""Guarded applications of every framework that record each of their functions that runs.

All of them respond to OPTIONS at PATHS themselves, as careless applications do, with hooks and middleware
before their handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bottle
import falcon
import falcon.asgi
from adapter_cases import AdapterCase
from fastapi import APIRouter, Depends, FastAPI
from flask import Blueprint, Flask
from flask.views import MethodView
from litestar import Litestar, asgi, route
from litestar.enums import HttpMethod
from quart import Quart
from raw_requests import request_asgi, request_wsgi
from recording_django import (
    OVERRIDE,
    django_asgi,
    django_with_cors_inside,
    django_wsgi,
    rest_framework,
    rest_framework_alone,
)
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.flask import init_app
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    Record = Callable[[str], None]

PATHS = ["/function", "/class", "/mounted/deep", "/nowhere"]


def raw_asgi(record: Record, name: str = "raw ASGI application") -> Any:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            record(name)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})

    return app


def raw_wsgi(record: Record) -> Any:
    def app(_environ: Any, start_response: Any) -> Any:
        record("WSGI application")
        start_response("200 OK", [])
        return [b"done"]

    return app


class RecordingAsgi:
    """Middleware inside of the guard."""

    def __init__(self, app: Any, record: Record) -> None:
        self.app = app
        self.record = record

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.record("inner middleware")
        await self.app(scope, receive, send)


class MethodOverride(RecordingAsgi):
    """Lets a header name another method, as some gateways and frameworks do."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
        await self.app(scope | {"method": headers.get(OVERRIDE.lower(), "GET")}, receive, send)


def method_override_wsgi(app: Any) -> Any:
    def overriding(environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return app(environ, start_response)

    return overriding


# --- ASGI --------------------------------------------------------------------------------------------


def starlette_routes(record: Record) -> list[Any]:
    def function(_request: Any) -> PlainTextResponse:
        record("function")
        return PlainTextResponse("done")

    class Endpoint(HTTPEndpoint):
        async def options(self, _request: Any) -> PlainTextResponse:
            record("class")
            return PlainTextResponse("done")

        delete = options

    return [
        Route("/function", function, methods=["GET", "OPTIONS", "DELETE"]),
        Route("/class", Endpoint),
        Mount("/mounted", raw_asgi(record)),
        Host("mounted.example", raw_asgi(record)),
    ]


def starlette(guard: Any, record: Record) -> AdapterCase:
    app = Starlette(routes=starlette_routes(record))
    app.add_middleware(RecordingAsgi, record=record)
    app.add_middleware(GuardMiddleware, guard=guard)
    return AdapterCase(app, request_asgi)


def starlette_wrapped(guard: Any, record: Record) -> AdapterCase:
    app = Starlette(routes=starlette_routes(record))
    app.add_middleware(RecordingAsgi, record=record)
    return AdapterCase(GuardMiddleware(app, guard=guard), request_asgi)


def starlette_with_cors_deeper_inside(guard: Any, record: Record) -> AdapterCase:
    app = Starlette(routes=starlette_routes(record))
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.add_middleware(RecordingAsgi, record=record)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(GuardMiddleware, guard=guard)
    return AdapterCase(app, request_asgi)


def method_override(guard: Any, record: Record) -> AdapterCase:
    app = Starlette(routes=starlette_routes(record))
    return AdapterCase(GuardMiddleware(MethodOverride(app, record), guard=guard), request_asgi)


def bare_asgi(guard: Any, record: Record) -> AdapterCase:
    return AdapterCase(GuardMiddleware(raw_asgi(record), guard=guard), request_asgi)


def fastapi_routes(app: FastAPI | APIRouter, record: Record) -> None:
    def dependency() -> None:
        record("dependency")

    @app.api_route("/function", methods=["GET", "OPTIONS", "DELETE"], dependencies=[Depends(dependency)])
    def function() -> str:
        record("function")
        return "done"

    @app.options("/class")
    async def options() -> str:
        record("asynchronous function")
        return "done"


def fastapi(guard: Any, record: Record) -> AdapterCase:
    app, router = FastAPI(), APIRouter()
    fastapi_routes(router, record)
    app.include_router(router)
    app.mount("/mounted", raw_asgi(record))
    app.add_middleware(RecordingAsgi, record=record)
    app.add_middleware(GuardMiddleware, guard=guard)
    return AdapterCase(app, request_asgi)


def fastapi_dependency(guard: Any, record: Record) -> AdapterCase:
    app = FastAPI(dependencies=[Depends(EntraBearer(guard))])
    fastapi_routes(app, record)
    return AdapterCase(app, request_asgi)


def litestar(guard: Any, record: Record) -> AdapterCase:
    @route("/function", http_method=[HttpMethod.GET, HttpMethod.OPTIONS, HttpMethod.DELETE], status_code=200)
    async def function() -> str:
        record("function")
        return "done"

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await raw_asgi(record)(scope, receive, send)

    app = Litestar(
        [function, mounted],
        before_request=lambda _request: record("before_request"),
        openapi_config=None,
        logging_config=None,
    )
    return AdapterCase(GuardMiddleware(app, guard=guard), request_asgi)


def quart(guard: Any, record: Record) -> AdapterCase:
    app = Quart(__name__)
    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)

    @app.before_request
    async def before() -> None:
        record("before_request")

    @app.route("/function", methods=["GET", "OPTIONS", "DELETE"])
    async def function() -> str:
        record("function")
        return "done"

    return AdapterCase(app, request_asgi)


class AsyncFalcon:
    """A sink, a resource and a middleware of Falcon."""

    def __init__(self, record: Record) -> None:
        self.record = record

    async def process_request(self, _request: Any, _response: Any) -> None:
        self.record("process_request")

    async def on_options(self, _request: Any, _response: Any) -> None:
        self.record("on_options")

    async def sink(self, _request: Any, _response: Any, **_names: Any) -> None:
        self.record("sink")


def falcon_asgi(guard: Any, record: Record) -> AdapterCase:
    resource = AsyncFalcon(record)
    app = falcon.asgi.App(middleware=[resource])
    app.add_route("/class", resource)
    app.add_sink(resource.sink, "/")
    return AdapterCase(GuardMiddleware(app, guard=guard), request_asgi)


# --- WSGI --------------------------------------------------------------------------------------------


class Falcon:
    """A sink, a resource and a middleware of Falcon."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def process_request(self, _request: Any, _response: Any) -> None:
        self.record("process_request")

    def on_options(self, _request: Any, _response: Any) -> None:
        self.record("on_options")

    def sink(self, _request: Any, _response: Any, **_names: Any) -> None:
        self.record("sink")


def falcon_wsgi(guard: Any, record: Record) -> AdapterCase:
    resource = Falcon(record)
    app = falcon.App(middleware=[resource])
    app.add_route("/class", resource)
    app.add_sink(resource.sink, "/")
    return AdapterCase(WsgiGuardMiddleware(app, guard=guard), request_wsgi)


def bare_wsgi(guard: Any, record: Record) -> AdapterCase:
    return AdapterCase(WsgiGuardMiddleware(raw_wsgi(record), guard=guard), request_wsgi)


def bottle_app(guard: Any, record: Record) -> AdapterCase:
    app = bottle.Bottle()
    app.add_hook("before_request", lambda: record("before_request"))
    app.route("/function", ["GET", "OPTIONS", "DELETE"], lambda: record("function") or "done")
    app.mount("/mounted/", raw_wsgi(record))
    return AdapterCase(WsgiGuardMiddleware(app, guard=guard), request_wsgi)


def method_override_in_wsgi(guard: Any, record: Record) -> AdapterCase:
    app = flask_application(record)
    return AdapterCase(WsgiGuardMiddleware(method_override_wsgi(app), guard=guard), request_wsgi)


def flask_in_wsgi_guard(guard: Any, record: Record) -> AdapterCase:
    return AdapterCase(WsgiGuardMiddleware(flask_application(record), guard=guard), request_wsgi)


# --- Flask -------------------------------------------------------------------------------------------


def flask_application(record: Record, app: Flask | None = None) -> Flask:
    app = app or Flask(__name__)
    mounted = Blueprint("mounted", __name__, url_prefix="/mounted")
    for hooks in (app, mounted):
        hooks.url_value_preprocessor(lambda *_: record("url_value_preprocessor"))
        hooks.before_request(lambda: record("before_request"))

    class Methods(MethodView):
        def options(self) -> str:
            record("class")
            return "done"

        delete = options

    def function(**_values: Any) -> str:
        record("function")
        return "done"

    methods = ["GET", "OPTIONS", "DELETE"]
    app.add_url_rule("/function", view_func=function, methods=methods)
    app.add_url_rule("/class", view_func=Methods.as_view("class"))
    app.add_url_rule("/automatic", "automatic", function, methods=["GET", "DELETE"])
    mounted.add_url_rule("/deep", "deep", function, methods=methods)
    mounted.add_url_rule("/automatic", "automatic", function, methods=["GET", "DELETE"])
    app.register_blueprint(mounted)
    return app


def flask(guard: Any, record: Record) -> AdapterCase:
    app = Flask(__name__)
    init_app(app, guard)
    return AdapterCase(flask_application(record, app), request_wsgi)


def flask_guarded_last(guard: Any, record: Record) -> AdapterCase:
    app = flask_application(record)
    init_app(app, guard)
    return AdapterCase(app, request_wsgi)


def flask_with_method_override(guard: Any, record: Record) -> AdapterCase:
    app = flask_application(record)
    app.wsgi_app = method_override_wsgi(app.wsgi_app)  # type: ignore[method-assign]
    init_app(app, guard)
    return AdapterCase(app, request_wsgi)


APPS = {
    "raw ASGI": bare_asgi,
    "Starlette": starlette,
    "Starlette, wrapped": starlette_wrapped,
    "Starlette, CORS deeper inside": starlette_with_cors_deeper_inside,
    "Starlette, method override": method_override,
    "FastAPI": fastapi,
    "FastAPI, dependency": fastapi_dependency,
    "Litestar": litestar,
    "Quart": quart,
    "Falcon ASGI": falcon_asgi,
    "plain WSGI": bare_wsgi,
    "Falcon WSGI": falcon_wsgi,
    "Bottle": bottle_app,
    "WSGI, method override": method_override_in_wsgi,
    "Flask in the WSGI guard": flask_in_wsgi_guard,
    "Flask": flask,
    "Flask, guarded last": flask_guarded_last,
    "Flask, method override": flask_with_method_override,
    "Django WSGI": django_wsgi,
    "Django ASGI": django_asgi,
    "Django, CORS inside": django_with_cors_inside,
    "REST framework": rest_framework,
    "REST framework without the middleware": rest_framework_alone,
}
