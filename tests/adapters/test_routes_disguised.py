"""`entra-guard routes` looks through partials, bound methods, objects, wrappers and modules."""

from __future__ import annotations

import sys
from functools import partial, wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import litestar
import pytest
from click.testing import CliRunner
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest  # noqa: TC002  # FastAPI reads annotations of this module
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI
from litestar.middleware import DefineMiddleware
from raw_requests import request_asgi, request_wsgi
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView
from route_apps import handler
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotation
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from entra_guard import requires
from entra_guard._web.route_table import inspect_app, route_table
from entra_guard.asgi import GuardMiddleware
from entra_guard.cli._group import group
from entra_guard.drf import EntraAuthentication
from entra_guard.fastapi import EntraBearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard

READ = "role Orders.Read"
needs_read = requires(roles=["Orders.Read"])


def orders() -> Starlette:
    return Starlette(routes=[Route("/orders", handler())])


# --- dependencies of FastAPI -------------------------------------------------------------------------------


class Holder:
    """A dependency that has a guard, and does not call it."""

    def __init__(self, bearer: EntraBearer) -> None:
        self.bearer = bearer

    async def __call__(self, connection: HTTPConnection) -> str:
        return connection.url.path


def naming(bearer: EntraBearer) -> Any:
    async def dependency() -> str:
        return bearer.scheme_name

    return dependency


def wrapping(bearer: EntraBearer) -> Any:
    @wraps(bearer)
    async def dependency(connection: HTTPConnection, required: Any = None) -> Any:
        return None

    return dependency


@pytest.mark.parametrize(
    ("disguise", "access"),
    [
        (partial, "token"),
        (lambda bearer: partial(partial(bearer)), "token"),
        (lambda bearer: bearer.__call__, "token"),
        (lambda bearer: partial(bearer.requires(roles=["Orders.Read"])), "token"),
        (Holder, "unclear"),
        (naming, "unclear"),
        (lambda bearer: partial(naming(bearer)), "unclear"),
    ],
)
def test_a_dependency_is_a_guard_only_if_calling_it_is_calling_the_guard(
    disguise: Callable[[EntraBearer], Any], access: str, guard: Guard
) -> None:
    app = FastAPI(openapi_url=None)
    app.get("/orders", dependencies=[Depends(disguise(EntraBearer(guard)))])(lambda: "done")
    [row] = route_table(app)
    assert row.access == access
    assert ("uses a guard, and decides by itself" in row.problem) == (access == "unclear")
    assert request_asgi(app, "/orders", [], method="GET").status == (401 if access == "token" else 200)


def test_a_function_that_wraps_a_guard_is_unclear(guard: Guard) -> None:
    app = FastAPI(openapi_url=None)
    app.get("/orders", dependencies=[Depends(wrapping(EntraBearer(guard)))])(lambda: "done")
    [row] = route_table(app)
    assert (row.access, "decides by itself" in row.problem) == ("unclear", True)


# --- what routes call --------------------------------------------------------------------------------------


class Endpoint:
    @needs_read
    async def __call__(self) -> str:
        return "done"


def test_requirements_of_objects_and_partials_are_found(guard: Guard) -> None:
    app = FastAPI(openapi_url=None, dependencies=[Depends(EntraBearer(guard, auto_error=False))])
    app.get("/object")(Endpoint())
    app.get("/partial")(partial(needs_read(lambda: "done")))
    assert [(row.access, row.requires) for row in route_table(app)] == [("token", (READ,))] * 2
    assert route_table(app)[0].endpoint == f"{__name__}.Endpoint"
    for name in ("/object", "/partial"):
        assert request_asgi(app, name, [], method="GET").status == 401
    routes = [Route("/partial", partial(needs_read(handler())))]
    [row] = route_table(GuardMiddleware(Starlette(routes=routes), guard=guard))
    assert (row.access, row.requires) == ("token", (READ,))


# --- layers of ASGI ----------------------------------------------------------------------------------------


class WithBypass(GuardMiddleware):
    async def bypass(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


OTHER, PACKAGE = ModuleType("routes_disguised_other"), ModuleType("routes_disguised_package")
PACKAGE.other = OTHER  # type: ignore[attr-defined]
OTHER.app = orders()  # type: ignore[attr-defined]
sys.modules[OTHER.__name__] = OTHER


async def by_module(scope: Any, receive: Any, send: Any) -> None:
    await OTHER.app(scope, receive, send)


async def by_package(scope: Any, receive: Any, send: Any) -> None:
    async def inner() -> None:
        await PACKAGE.other.app(scope, receive, send)

    await inner()


async def by_import(scope: Any, receive: Any, send: Any) -> None:
    import routes_disguised_other as renamed  # type: ignore[import-not-found]

    await renamed.app(scope, receive, send)


async def by_import_of_an_inner_function(scope: Any, receive: Any, send: Any) -> None:
    import routes_disguised_other as renamed  # type: ignore[import-not-found]

    async def inner() -> None:
        await renamed.app(scope, receive, send)

    await inner()


async def by_import_of_the_name(scope: Any, receive: Any, send: Any) -> None:
    from routes_disguised_other import app

    await app(scope, receive, send)


def with_way_around(guard: Guard) -> Any:
    guarded = GuardMiddleware(orders(), guard=guard)

    async def switch(scope: Any, receive: Any, send: Any) -> None:
        app = guarded if scope["path"] == "/guarded" else OTHER.app
        await app(scope, receive, send)

    return switch


@pytest.mark.parametrize(
    ("make", "accesses"),
    [
        (lambda guard: GuardMiddleware(orders(), guard=guard).__call__, ["token"]),
        (lambda guard: partial(GuardMiddleware(orders(), guard=guard)), ["token"]),
        (
            lambda guard: Starlette(routes=[Mount("/", partial(GuardMiddleware(orders(), guard=guard)))]),
            ["token"],
        ),
        (lambda guard: WithBypass(orders(), guard=guard).bypass, ["unclear"]),
        (lambda _guard: by_module, ["open"]),
        (lambda _guard: by_package, ["open"]),
        (lambda _guard: by_import, ["open"]),
        (lambda _guard: by_import_of_the_name, ["open"]),
        (lambda _guard: by_import_of_an_inner_function, ["open"]),
        (with_way_around, ["token", "open"]),
    ],
)
def test_applications_are_followed_through_partials_methods_and_modules(
    make: Callable[[Guard], Any], accesses: list[str], guard: Guard
) -> None:
    app = make(guard)
    assert [(row.path, row.access) for row in route_table(app)] == [("/orders", each) for each in accesses]
    refused = request_asgi(app, "/orders", [], method="GET").status == 401
    assert refused == (accesses == ["token"])


class Ping:
    """A middleware that responds itself, and whose attribute has the name of a global."""

    def __init__(self, OTHER: Any) -> None:  # noqa: N803
        self.OTHER = OTHER

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = PlainTextResponse("pong") if scope["path"] == "/ping" else self.OTHER
        await app(scope, receive, send)


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


async def log_each(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def test_an_attribute_is_not_taken_for_a_global_of_its_name(guard: Guard) -> None:
    app = Ping(GuardMiddleware(orders(), guard=guard))
    assert [row.access for row in route_table(app)] == ["token"]


def test_middleware_outside_of_the_guard_is_named(guard: Guard) -> None:
    inside = [Middleware(GuardMiddleware, guard=guard), Middleware(Ping)]
    outside = [Middleware(Ping), Middleware(Timing), Middleware(BaseHTTPMiddleware, dispatch=log_each)]
    app = Starlette(routes=[Route("/orders", handler())], middleware=[*outside, *inside])
    assert request_asgi(app, "/ping", [], method="GET").status == 200
    assert inspect_app(app).outside == [f"{__name__}.{name}" for name in ("Ping", "Timing", "log_each")]
    assert inspect_app(Starlette(routes=[Route("/", handler())], middleware=inside)).outside == []
    bearer = FastAPI(openapi_url=None, dependencies=[Depends(EntraBearer(guard))])
    bearer.get("/orders")(lambda: "done")
    bearer.add_middleware(Timing)
    assert inspect_app(bearer).outside == [f"{__name__}.Timing"]
    unguarded = Starlette(routes=[Route("/orders", handler())], middleware=outside)
    assert inspect_app(unguarded).outside == []


def test_the_command_names_middleware_outside_of_the_guard(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Ping(GuardMiddleware(orders(), guard=guard))
    monkeypatch.setattr("route_apps.pinging", app, raising=False)
    shown = CliRunner().invoke(group, ["routes", "route_apps:pinging"]).output
    assert "Outside of the guard" in shown
    assert f"{__name__}.Ping" in shown


# --- Litestar and REST framework ---------------------------------------------------------------------------


@litestar.get("/orders")
async def of_litestar() -> str:
    return "done"


@pytest.mark.parametrize(
    "make",
    [
        lambda guard: partial(GuardMiddleware, guard=guard),
        lambda guard: DefineMiddleware(partial(partial(GuardMiddleware), guard=guard)),
        lambda guard: lambda app: GuardMiddleware(app, guard=guard),
    ],
)
def test_a_guard_of_litestar_is_found_in_partials_and_functions(
    make: Callable[[Guard], Any], guard: Guard
) -> None:
    app: Any = litestar.Litestar(
        [of_litestar], middleware=[make(guard)], openapi_config=None, logging_config=None
    )
    assert [row.access for row in route_table(app)] == ["token"]
    assert request_asgi(app, "/orders", [], method="GET").status == 401


class Guarded(APIView):
    authentication_classes: ClassVar[Any] = [partial(EntraAuthentication)]
    permission_classes: ClassVar[Any] = [partial(IsAuthenticated)]

    def get(self, _request: HttpRequest) -> RestResponse:
        return RestResponse("done")


class Bound(Guarded):
    authentication_classes: ClassVar[Any] = [lambda: EntraAuthentication()]  # noqa: PLW0108


def test_classes_of_rest_framework_in_partials_are_found(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = ModuleType("routes_disguised_urls")
    urls.urlpatterns = [path("partial", Guarded.as_view()), path("function", Bound.as_view())]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    with override_settings(ENTRA_GUARD={"guard": guard}, ROOT_URLCONF=urls.__name__, MIDDLEWARE=[]):
        app = WSGIHandler()
        assert {row.path: row.access for row in route_table(app)} == {
            "/partial": "token",
            "/function": "open",
        }
        assert request_wsgi(app, "/partial", [], method="GET").status == 401
