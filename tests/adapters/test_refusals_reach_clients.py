"""A refusal by @requires reaches the client with its status and challenge, whatever handles errors in between."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bottle
import falcon
import falcon.asgi
import litestar
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import FastAPI, Security
from fastapi.exceptions import HTTPException as FastAPIHTTPException
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from flask import Blueprint, Flask
from litestar import Litestar, get
from litestar.exceptions import HTTPException as LitestarHTTPException
from quart import Quart
from raw_requests import environ_of, request_asgi, request_wsgi
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from entra_guard import AccessError, flask, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import InsufficientPermissionError
from entra_guard.fastapi import EntraBearer
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from raw_requests import RawResponse

    from entra_guard import Guard
    from entra_guard.testing import Entra

needs_admin = requires(roles=["Orders.Admin"])


@dataclass(frozen=True)
class Case:
    """An application with /admin, how it is requested, and whether the body is the guard's own."""

    app: Any
    send_request: Callable[..., RawResponse]
    exact: bool = True


@needs_admin
async def admin(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("admin")


class CatchAll:
    """A middleware that responds to every exception with 500."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:  # noqa: BLE001
            await PlainTextResponse("broken", 500)(scope, receive, send)


class WsgiCatchAll:
    """A WSGI layer that responds to every exception with 500, lazily or at once."""

    def __init__(self, app: Any, *, lazily: bool) -> None:
        self.app, self.lazily = app, lazily

    def __call__(self, environ: Any, start_response: Any) -> Any:
        chunks = self.respond(environ, start_response)
        return chunks if self.lazily else list(chunks)

    def respond(self, environ: Any, start_response: Any) -> Any:
        try:
            yield from self.app(environ, start_response)
        except Exception:  # noqa: BLE001
            start_response("500 Internal Server Error", [("content-length", "6"), ("x-served-by", "7")])
            yield b"broken"


def starlette_app(**options: Any) -> Starlette:
    return Starlette(routes=[Route("/admin", admin)], **options)


def starlette_added(guard: Guard) -> Case:
    app = starlette_app()
    app.add_middleware(GuardMiddleware, guard=guard)
    return Case(app, request_asgi)


def starlette_catch_all_inside(guard: Guard) -> Case:
    app = starlette_app(middleware=[Middleware(GuardMiddleware, guard=guard), Middleware(CatchAll)])
    return Case(app, request_asgi)


def starlette_catch_all_on_a_mount(guard: Guard) -> Case:
    routes = [Mount("/", routes=[Route("/admin", admin)], middleware=[Middleware(CatchAll)])]
    app = Starlette(routes=routes)
    app.add_middleware(GuardMiddleware, guard=guard)
    return Case(app, request_asgi)


def starlette_http_middleware(guard: Guard) -> Case:
    app = FastAPI()

    @app.middleware("http")
    async def nothing_escapes(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception as error:  # noqa: BLE001
            return JSONResponse({"error": type(error).__name__}, 500)

    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_api_route("/admin", needs_admin(lambda: "admin"))
    return Case(app, request_asgi)


def fastapi_app(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/admin")
    @needs_admin
    async def fastapi_admin() -> str:
        return "admin"

    return app


def fastapi_route_class(guard: Guard) -> Case:
    class CatchAllRoute(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def catching(request: Any) -> Any:
                try:
                    return await handler(request)
                except Exception:  # noqa: BLE001
                    return JSONResponse("broken", 500)

            return catching

    app = FastAPI()
    app.router.route_class = CatchAllRoute
    app.add_api_route("/admin", needs_admin(lambda: "admin"))
    return Case(GuardMiddleware(app, guard=guard), request_asgi)


def fastapi_dependency(guard: Guard) -> Case:
    app = FastAPI()

    @app.middleware("http")
    async def nothing_escapes(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception:  # noqa: BLE001
            return JSONResponse("broken", 500)

    app.get("/admin", dependencies=[Security(EntraBearer(guard))])(needs_admin(lambda: "admin"))
    return Case(app, request_asgi)


def litestar_app(guard: Guard, **options: Any) -> Case:
    @get("/admin")
    @needs_admin
    async def litestar_admin() -> str:
        return "admin"

    app = Litestar([litestar_admin], openapi_config=None, logging_config=None, **options)
    return Case(GuardMiddleware(app, guard=guard), request_asgi, exact=False)


def litestar_catch_all(guard: Guard) -> Case:
    def broken(_request: Any, _error: Exception) -> litestar.Response[str]:
        return litestar.Response("broken", status_code=500)

    return Case(litestar_app(guard, exception_handlers={Exception: broken}).app, request_asgi)


def quart_app(guard: Guard) -> Quart:
    app = Quart(__name__)
    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)  # type: ignore[method-assign]

    @app.route("/admin")
    @needs_admin
    async def quart_admin() -> str:
        return "admin"

    return app


def quart_catch_all(guard: Guard) -> Case:
    app = quart_app(guard)
    app.register_error_handler(Exception, lambda _error: ("broken", 500))
    return Case(app, request_asgi)


class FalconAdmin:
    @needs_admin
    def on_get(self, _request: Any, response: Any) -> None:
        response.text = "admin"


class AsyncFalconAdmin:
    @needs_admin
    async def on_get(self, _request: Any, response: Any) -> None:
        response.text = "admin"


def falcon_wsgi(guard: Guard, *, catch_all: bool) -> Case:
    def broken(_request: Any, response: Any, _error: Exception, _params: Any) -> None:
        response.status = 500

    app = falcon.App()
    app.add_route("/admin", FalconAdmin())
    if catch_all:
        app.add_error_handler(Exception, broken)
    return Case(WsgiGuardMiddleware(app, guard=guard), request_wsgi, exact=False)


def falcon_asgi(guard: Guard, *, catch_all: bool) -> Case:
    async def broken(_request: Any, response: Any, _error: Exception, _params: Any) -> None:
        response.status = 500

    app = falcon.asgi.App()
    app.add_route("/admin", AsyncFalconAdmin())
    if catch_all:
        app.add_error_handler(Exception, broken)
    return Case(GuardMiddleware(app, guard=guard), request_asgi, exact=False)


def flask_app(guard: Guard | None, register: Callable[[Any], None] = lambda _target: None) -> Flask:
    """A blueprint with /admin, on which `register` registers error handlers."""
    app, blueprint = Flask(__name__), Blueprint("orders", __name__)
    if guard is not None:
        flask.init_app(app, guard)

    @blueprint.get("/admin")
    @needs_admin
    def flask_admin() -> str:
        return "admin"

    register(blueprint)
    app.register_blueprint(blueprint)
    return app


def catch_all(target: Any) -> None:
    @target.errorhandler(Exception)
    def broken(_error: Exception) -> tuple[str, int]:
        return "broken", 500


def flask_catch_all_on_the_app(guard: Guard) -> Case:
    app = flask_app(guard)
    catch_all(app)
    return Case(app, request_wsgi)


def bottle_app(guard: Guard) -> Case:
    app = bottle.Bottle()
    app.route("/admin")(needs_admin(lambda: "admin"))
    return Case(WsgiGuardMiddleware(app, guard=guard), request_wsgi)


def plain_wsgi(guard: Guard, *, lazily: bool) -> Case:
    @needs_admin
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"admin"]

    return Case(WsgiGuardMiddleware(WsgiCatchAll(application, lazily=lazily), guard=guard), request_wsgi)


class DjangoCatchAll:
    """A Django middleware that responds to every exception of a view with 500."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self._get_response(request)

    def process_exception(self, _request: Any, _exception: Exception) -> Any:
        from django.http import HttpResponse

        return HttpResponse("broken", status=500)


def django_app(guard: Guard, handler: Any, *, is_caught: bool) -> Any:
    names = ["entra_guard.django.GuardMiddleware"]
    names += [f"{__name__}.DjangoCatchAll"] if is_caught else []
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=names):
        return handler()


CASES: dict[str, Callable[[Guard], Case]] = {
    "starlette": starlette_added,
    "around starlette": lambda guard: Case(GuardMiddleware(starlette_app(), guard=guard), request_asgi),
    "around starlette in debug mode": lambda guard: Case(
        GuardMiddleware(starlette_app(debug=True), guard=guard), request_asgi
    ),
    "around a middleware around starlette": lambda guard: Case(
        GuardMiddleware(CatchAll(starlette_app()), guard=guard), request_asgi
    ),
    "inside of cors": lambda guard: Case(
        CORSMiddleware(GuardMiddleware(starlette_app(), guard=guard), allow_origins=["*"]), request_asgi
    ),
    "around fastapi": lambda guard: Case(GuardMiddleware(fastapi_app(), guard=guard), request_asgi),
    "around a mounted fastapi": lambda guard: Case(
        GuardMiddleware(Starlette(routes=[Mount("/", fastapi_app())]), guard=guard), request_asgi
    ),
    "starlette, catch-all middleware": starlette_catch_all_inside,
    "starlette, catch-all on a mount": starlette_catch_all_on_a_mount,
    "fastapi, catch-all http middleware": starlette_http_middleware,
    "fastapi, catch-all route class": fastapi_route_class,
    "fastapi dependency, catch-all http middleware": fastapi_dependency,
    "litestar": litestar_app,
    "litestar, catch-all": litestar_catch_all,
    "quart": lambda guard: Case(quart_app(guard), request_asgi),
    "quart, catch-all": quart_catch_all,
    "falcon": lambda guard: falcon_wsgi(guard, catch_all=False),
    "falcon, catch-all": lambda guard: falcon_wsgi(guard, catch_all=True),
    "falcon asgi": lambda guard: falcon_asgi(guard, catch_all=False),
    "falcon asgi, catch-all": lambda guard: falcon_asgi(guard, catch_all=True),
    "flask": lambda guard: Case(flask_app(guard), request_wsgi),
    "flask, catch-all on the blueprint": lambda guard: Case(flask_app(guard, catch_all), request_wsgi),
    "flask, catch-all on the app": flask_catch_all_on_the_app,
    "around flask": lambda guard: Case(WsgiGuardMiddleware(flask_app(None), guard=guard), request_wsgi),
    "around flask, catch-all on the blueprint": lambda guard: Case(
        WsgiGuardMiddleware(flask_app(None, catch_all), guard=guard), request_wsgi
    ),
    "bottle": bottle_app,
    "wsgi, catch-all": lambda guard: plain_wsgi(guard, lazily=False),
    "wsgi, catch-all generator": lambda guard: plain_wsgi(guard, lazily=True),
    "django": lambda guard: Case(django_app(guard, WSGIHandler, is_caught=False), request_wsgi),
    "django, catch-all": lambda guard: Case(django_app(guard, WSGIHandler, is_caught=True), request_wsgi),
    "django asgi, catch-all": lambda guard: Case(
        django_app(guard, ASGIHandler, is_caught=True), request_asgi
    ),
}


@pytest.fixture(scope="module")
def token(entra: Entra) -> list[bytes]:
    return [b"Bearer " + entra.token().encode()]


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_keeps_its_status_and_challenge(guard: Guard, token: list[bytes], name: str) -> None:
    case = CASES[name](guard)
    response = case.send_request(case.app, "/admin", token)
    expected = InsufficientPermissionError("missing_role", scope="Orders.Admin")
    assert (response.status, response.challenge) == (403, expected.challenge)
    if case.exact:
        assert response.body == expected.body
        assert (response.content_type, response.cache_control) == ("application/problem+json", "no-store")


@pytest.mark.parametrize("name", ["around starlette", "starlette, catch-all middleware", "django, catch-all"])
def test_a_refusal_of_a_head_request_has_no_body(guard: Guard, token: list[bytes], name: str) -> None:
    case = CASES[name](guard)
    response = case.send_request(case.app, "/admin", token, method="HEAD")
    assert (response.status, response.body) == (403, b"")


@pytest.mark.parametrize("name", CASES)
def test_a_caller_with_the_role_gets_through(guard: Guard, entra: Entra, name: str) -> None:
    case = CASES[name](guard)
    token = entra.token(roles=["Orders.Admin"]).encode()
    assert case.send_request(case.app, "/admin", [b"Bearer " + token]).status == 200


def test_headers_of_inner_middleware_are_kept(guard: Guard, token: list[bytes]) -> None:
    started: list[Any] = []
    app = plain_wsgi(guard, lazily=True).app
    body = b"".join(app(environ_of("/admin", token), lambda *response: started.append(response)))
    [(_status, headers)] = started
    assert ("x-served-by", "7") in headers
    assert [value for name, value in headers if name == "content-length"] == [str(len(body))]


@pytest.mark.parametrize(("status", "sent"), [(500, 403), (503, 503)])
def test_a_status_other_than_500_after_a_caught_refusal_is_kept(
    guard: Guard, entra: Entra, status: int, sent: int
) -> None:
    async def broken(request: Any) -> PlainTextResponse:
        with suppress(AccessError):
            await admin(request)
        return PlainTextResponse("no database", status)

    app = GuardMiddleware(Starlette(routes=[Route("/admin", broken)]), guard=guard)
    assert request_asgi(app, "/admin", [b"Bearer " + entra.token().encode()]).status == sent


def test_a_500_without_a_refusal_stays_a_500(guard: Guard, entra: Entra) -> None:
    async def broken(_request: Any) -> PlainTextResponse:
        raise ZeroDivisionError

    app = GuardMiddleware(CatchAll(Starlette(routes=[Route("/admin", broken)])), guard=guard)
    assert request_asgi(app, "/admin", [b"Bearer " + entra.token().encode()]).status == 500


class TestHandlersOfTheApplication:
    """Handlers for the framework's own HTTP error, or for `AccessError`, respond with unchanged status."""

    @pytest.mark.parametrize("kind", [HTTPException, FastAPIHTTPException, AccessError, 403])
    def test_starlette_and_fastapi(self, guard: Guard, token: list[bytes], kind: Any) -> None:
        async def own(_request: Any, error: Any) -> JSONResponse:
            return JSONResponse({"own": error.detail}, error.status_code, error.headers)

        app = fastapi_app(exception_handlers={kind: own})
        response = request_asgi(GuardMiddleware(app, guard=guard), "/admin", token)
        assert (response.status, json.loads(response.body)) == (
            403,
            {"own": "The caller lacks a role that this operation requires."},
        )
        assert response.challenge

    @pytest.mark.parametrize("adapter", ["init_app", "wsgi"])
    @pytest.mark.parametrize("kind", [WerkzeugHTTPException, Forbidden, 403, AccessError])
    @pytest.mark.parametrize("place", ["app", "blueprint"])
    def test_flask(self, guard: Guard, token: list[bytes], adapter: str, kind: Any, place: str) -> None:
        def own(error: Any) -> Any:  # from Flask's documentation, "Generic Exception Handlers"
            response = error.get_response()
            response.data = json.dumps(
                {"code": error.code, "name": error.name, "description": error.description}
            )
            response.content_type = "application/json"
            return response

        def register(blueprint: Any) -> None:
            if place == "blueprint":
                blueprint.register_error_handler(kind, own)

        flask_guard = guard if adapter == "init_app" else None
        app = flask_app(flask_guard, register)
        if place == "app":
            app.register_error_handler(kind, own)
        wrapped: Any = app if adapter == "init_app" else WsgiGuardMiddleware(app, guard=guard)
        response = request_wsgi(wrapped, "/admin", token)
        assert (response.status, response.content_type) == (403, "application/json")
        assert json.loads(response.body) == {
            "code": 403,
            "name": "Forbidden",
            "description": "The caller lacks a role that this operation requires.",
        }
        assert response.challenge

    def test_flask_for_a_request_without_a_token(self, guard: Guard) -> None:
        app = flask_app(guard)
        app.register_error_handler(WerkzeugHTTPException, lambda error: ({"code": error.code}, error.code))
        response = request_wsgi(app, "/admin", [])
        assert (response.status, json.loads(response.body)) == (401, {"code": 401})

    def test_flask_handlers_that_pass_http_errors_on(self, guard: Guard, token: list[bytes]) -> None:
        def pass_on(error: Exception) -> Any:
            return error if isinstance(error, WerkzeugHTTPException) else ("broken", 500)

        app = flask_app(guard, lambda blueprint: blueprint.register_error_handler(Exception, pass_on))
        assert request_wsgi(app, "/admin", token).status == 403

    def test_quart(self, guard: Guard, token: list[bytes]) -> None:
        app = quart_app(guard)
        app.register_error_handler(
            WerkzeugHTTPException, lambda error: ({"code": error.code, "reason": error.reason}, error.code)
        )
        response = request_asgi(app, "/admin", token)
        assert (response.status, json.loads(response.body)) == (403, {"code": 403, "reason": "missing_role"})

    def test_litestar(self, guard: Guard, token: list[bytes]) -> None:
        def own(_request: Any, error: LitestarHTTPException) -> litestar.Response[dict[str, Any]]:
            return litestar.Response({"own": error.extra["reason"]}, status_code=error.status_code)

        case = litestar_app(guard, exception_handlers={LitestarHTTPException: own})
        response = case.send_request(case.app, "/admin", token)
        assert (response.status, json.loads(response.body)) == (403, {"own": "missing_role"})

    def test_litestar_without_a_handler(self, guard: Guard, token: list[bytes]) -> None:
        case = litestar_app(guard)
        body = json.loads(case.send_request(case.app, "/admin", token).body)
        assert (body["status_code"], body["extra"]["reason"]) == (403, "missing_role")

    def test_falcon_without_a_handler(self, guard: Guard, token: list[bytes]) -> None:
        case = falcon_wsgi(guard, catch_all=False)
        assert json.loads(case.send_request(case.app, "/admin", token).body)["reason"] == "missing_role"

    def test_rest_framework(self, guard: Guard, token: list[bytes]) -> None:
        for handler in ("rest_framework.views.exception_handler", f"{__name__}.own_drf_handler"):
            app = django_app(guard, WSGIHandler, is_caught=False)
            settings = {
                "DEFAULT_AUTHENTICATION_CLASSES": ["entra_guard.drf.EntraAuthentication"],
                "EXCEPTION_HANDLER": handler,
                "UNAUTHENTICATED_USER": None,
            }
            with override_settings(ENTRA_GUARD={"guard": guard}, REST_FRAMEWORK=settings):
                for path in ("/rest/admin", "/rest/decorated"):
                    response = request_wsgi(app, path, token)
                    assert (response.status, json.loads(response.body)["reason"]) == (403, "missing_role")
                    assert response.challenge


def own_drf_handler(error: Exception, context: Any) -> Any:
    """Respond with 500 to what REST framework's own handler does not know."""
    from rest_framework.response import Response
    from rest_framework.views import exception_handler

    return exception_handler(error, context) or Response("broken", status=500)


def test_a_handler_can_catch_the_refusal_itself(guard: Guard, token: list[bytes]) -> None:
    @needs_admin
    async def only_admins() -> None:
        """Do what only an administrator may do."""

    async def orders(_request: Any) -> PlainTextResponse:
        try:
            await only_admins()
        except AccessError as error:
            return PlainTextResponse(f"{error.reason} {error.code} {isinstance(error, HTTPException)}")
        raise AssertionError

    app = GuardMiddleware(Starlette(routes=[Route("/admin", orders)]), guard=guard)
    assert request_asgi(app, "/admin", token).body == b"missing_role missing_role True"


def test_a_converted_refusal_is_pickled_as_the_plain_one(guard: Guard, token: list[bytes]) -> None:
    caught: list[bytes] = []

    def own(error: AccessError) -> tuple[str, int]:
        caught.append(pickle.dumps(error))
        return "", 403

    app = flask_app(guard)
    app.register_error_handler(AccessError, own)
    request_wsgi(app, "/admin", token)
    again = pickle.loads(caught[0])
    assert type(again) is InsufficientPermissionError
    assert (again.reason, again.code, again.scope) == ("missing_role", "missing_role", "Orders.Admin")
