"""@requires above a route's own decorator checks nothing, so every adapter refuses to serve such a route."""

# No annotations from the future: FastAPI could not resolve those that name what a test has made.
import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any

import bottle
import pytest
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from flask import Blueprint, Flask
from flask.views import MethodView
from litestar import get as litestar_get
from quart import Quart
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as WsgiClient

from entra_guard import ConfigurationError, Guard, flask, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

Bearer = Callable[..., dict[str, str]]
needs_admin = requires(roles=["Orders.Admin"])


def another(function: Any) -> Any:
    """Decorate a function in some other way."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

    else:

        @wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    return decorated


def assert_refused(app: Any, headers: dict[str, str], at: str = "/orders") -> None:
    """The request ends in 500, and the error names the function and the fix."""
    with pytest.raises(ConfigurationError, match=r"orders .*above the route's own decorator.*directly above"):
        TestClient(app).get(at, headers=headers)
    assert TestClient(app, raise_server_exceptions=False).get(at, headers=headers).status_code == 500


def starlette_route(orders: Any, **options: Any) -> Route:
    """A route of a function, and `requires` on the function afterwards."""
    route = Route("/orders", orders, **options)
    needs_admin(orders)
    return route


def a_function() -> Any:
    async def orders(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("orders")

    return orders


named_by_a_function: Any = None


async def passes_on_to_a_global(scope: Any, receive: Any, send: Any) -> None:
    await named_by_a_function(scope, receive, send)


class Slots:
    __slots__ = ("app",)

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Holding:
    """Holds applications in a table or list."""

    def __init__(self, apps: Any) -> None:
        self.apps = apps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


class TestMiddlewareOnStarlette:
    @pytest.mark.parametrize(
        "routes",
        [
            lambda: [starlette_route(a_function())],
            lambda: [starlette_route(partial(a_function()))],
            lambda: [Mount("/", routes=[starlette_route(a_function())])],
            lambda: [Mount("/", Starlette(routes=[Mount("/", Router([starlette_route(a_function())]))]))],
            lambda: [Host("{any}", Router([starlette_route(a_function())]))],
            lambda: [Mount("/", another_middleware(Starlette(routes=[starlette_route(a_function())])))],
            lambda: [Mount("/", FastAPI(routes=[starlette_route(a_function())]))],
        ],
        ids=["route", "partial", "mount", "nested mounts", "host", "middleware on a mount", "fastapi mount"],
    )
    @pytest.mark.parametrize("way", ["added", "around", "around a layer"])
    def test_routes_and_what_they_lead_to(self, guard: Guard, bearer: Bearer, routes: Any, way: str) -> None:
        app: Any = Starlette(routes=routes())
        if way == "added":
            app.add_middleware(GuardMiddleware, guard=guard)
        else:
            inner = another_middleware(app) if way == "around a layer" else app
            app = GuardMiddleware(inner, guard=guard)
        assert_refused(app, bearer())

    @pytest.mark.parametrize("way", ["a function", "slots", "a table", "a list", "two tables"])
    def test_a_mount_of_other_middleware(
        self, guard: Guard, bearer: Bearer, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = Starlette(routes=[starlette_route(a_function())])
        monkeypatch.setitem(globals(), "named_by_a_function", inner)
        mounted = {
            "a function": passes_on_to_a_global,
            "slots": Slots(inner),
            "a table": Holding({"a": inner}),
            "a list": Holding([inner]),
            "two tables": Holding({"a": [("/", inner)]}),
        }[way]
        app = Starlette(routes=[Mount("/", app=mounted)])
        app.add_middleware(GuardMiddleware, guard=guard)
        assert_refused(app, bearer())

    @pytest.mark.parametrize("place", ["in the list", "the list"])
    def test_a_route_that_is_replaced(self, guard: Guard, bearer: Bearer, place: str) -> None:
        app = Starlette(routes=[Route("/first", a_function())])
        app.add_middleware(GuardMiddleware, guard=guard)
        assert TestClient(app).get("/first", headers=bearer()).status_code == 200
        late = starlette_route(a_function())
        assert TestClient(app).get("/first", headers=bearer()).status_code == 200
        if place == "the list":
            app.router.routes = [late]
        else:
            app.router.routes[0] = late
        assert_refused(app, bearer())

    def test_websocket_routes(self, guard: Guard, bearer: Bearer) -> None:
        async def orders(websocket: Any) -> None:
            await websocket.accept()

        app = Starlette(routes=[WebSocketRoute("/ws", orders)])
        needs_admin(orders)
        app.add_middleware(GuardMiddleware, guard=guard)
        client = TestClient(app)
        with (
            pytest.raises(ConfigurationError, match="orders"),
            client.websocket_connect("/ws", headers=bearer()),
        ):
            pass

    def test_a_public_path_is_refused_too(self, guard: Guard) -> None:
        app = Starlette(routes=[starlette_route(a_function())])
        app.add_middleware(GuardMiddleware, guard=guard, public=["/orders"])
        assert_refused(app, {})

    def test_another_decorator_between(self, guard: Guard, bearer: Bearer) -> None:
        orders = a_function()
        app = Starlette(routes=[Route("/orders", orders)])
        needs_admin(another(orders))
        app.add_middleware(GuardMiddleware, guard=guard)
        assert_refused(app, bearer())

    def test_a_second_requirement_above_the_route_is_noticed(self, guard: Guard, bearer: Bearer) -> None:
        orders = needs_admin(a_function())
        app = Starlette(routes=[Route("/orders", orders)])
        requires(users_only=True)(orders)
        app.add_middleware(GuardMiddleware, guard=guard)
        assert_refused(app, bearer(roles=["Orders.Admin"]))

    @pytest.mark.parametrize("place", ["app", "mount", "new mount"])
    def test_routes_added_after_the_first_request(self, guard: Guard, bearer: Bearer, place: str) -> None:
        inner = Router([Route("/first", a_function())])
        app = Starlette(routes=[Route("/first", a_function()), Mount("/mount", inner)])
        app.add_middleware(GuardMiddleware, guard=guard)
        assert TestClient(app).get("/first", headers=bearer()).status_code == 200
        late = starlette_route(a_function())
        assert TestClient(app).get("/mount/first", headers=bearer()).status_code == 200
        if place == "new mount":
            app.routes.append(Mount("/new", Router([late])))
        else:
            (app.router if place == "app" else inner).routes.append(late)
        assert_refused(app, bearer(), at="/first")

    def test_a_function_decorated_after_the_first_request(self, guard: Guard, bearer: Bearer) -> None:
        orders = a_function()
        app = Starlette(routes=[Route("/orders", orders)])
        app.add_middleware(GuardMiddleware, guard=guard)
        assert TestClient(app).get("/orders", headers=bearer()).status_code == 200
        needs_admin(orders)
        assert_refused(app, bearer())

    def test_right_orders_are_served(self, guard: Guard, bearer: Bearer) -> None:
        class Orders(HTTPEndpoint):
            @needs_admin
            async def get(self, _request: Any) -> PlainTextResponse:
                return PlainTextResponse("orders")

        routes = [
            Route("/function", needs_admin(a_function())),
            Route("/twice", needs_admin(requires(app_only=True)(a_function()))),
            Route("/above", another(needs_admin(a_function()))),
            Route("/below", needs_admin(another(a_function()))),
            Route("/partial", partial(needs_admin(a_function()))),
            Route("/class", Orders),
        ]
        app = Starlette(routes=routes)
        app.add_middleware(GuardMiddleware, guard=guard)
        client = TestClient(app)
        for route in routes:
            assert client.get(route.path, headers=bearer()).status_code == 403
            assert client.get(route.path, headers=bearer(roles=["Orders.Admin"])).status_code == 200

    def test_a_function_that_is_also_open_on_purpose_is_reported_once(
        self, guard: Guard, bearer: Bearer, caplog: pytest.LogCaptureFixture
    ) -> None:
        orders = a_function()
        app = Starlette(routes=[Route("/open", orders), Route("/orders", needs_admin(orders))])
        app.add_middleware(GuardMiddleware, guard=guard)
        with caplog.at_level(logging.WARNING, "entra_guard"):
            for _request in range(3):
                assert TestClient(app).get("/open", headers=bearer()).status_code == 200
        assert TestClient(app).get("/orders", headers=bearer()).status_code == 403
        [said] = [r.getMessage() for r in caplog.records if "registered for a route" in r.getMessage()]
        assert "orders" in said
        assert "a function of its own that calls orders" in said


def another_middleware(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


class TestFastAPI:
    def app_with(self, register: Callable[[Any], None], guard: Guard, way: str) -> FastAPI:
        if way == "dependency":
            app = FastAPI(dependencies=[Security(EntraBearer(guard))])
        else:
            app = FastAPI()
            app.add_middleware(GuardMiddleware, guard=guard)
        register(app)
        return app

    @pytest.mark.parametrize("way", ["middleware", "dependency"])
    @pytest.mark.parametrize("nested", [0, 1, 2])
    def test_routers(self, guard: Guard, bearer: Bearer, way: str, nested: int) -> None:
        def register(app: Any) -> None:
            router = app
            for _level in range(nested):
                router = APIRouter()

            @needs_admin
            @router.get("/orders")
            async def orders() -> str:
                return "orders"

            for _level in range(nested - 1):
                outer = APIRouter()
                outer.include_router(router)
                router = outer
            if nested:
                app.include_router(router)

        assert_refused(self.app_with(register, guard, way), bearer())

    @pytest.mark.parametrize("way", ["middleware", "dependency"])
    def test_another_decorator_between(self, guard: Guard, bearer: Bearer, way: str) -> None:
        def register(app: Any) -> None:
            @needs_admin
            @another
            @app.get("/orders")
            async def orders() -> str:
                return "orders"

        assert_refused(self.app_with(register, guard, way), bearer())

    def test_a_router_that_is_filled_after_the_first_request(self, guard: Guard, bearer: Bearer) -> None:
        app, router = FastAPI(), APIRouter()
        app.add_middleware(GuardMiddleware, guard=guard)
        app.include_router(router)
        assert TestClient(app).get("/orders", headers=bearer()).status_code == 404
        late = starlette_route(a_function())
        assert TestClient(app).get("/orders", headers=bearer()).status_code == 404
        router.routes.append(late)
        assert_refused(app, bearer())

    def test_websocket_routes(self, guard: Guard, bearer: Bearer) -> None:
        app = FastAPI(dependencies=[Security(EntraBearer(guard))])

        @needs_admin
        @app.websocket("/ws")
        async def orders(websocket: WebSocket) -> None:
            await websocket.accept()

        client = TestClient(app)
        with (
            pytest.raises(ConfigurationError, match="orders"),
            client.websocket_connect("/ws", headers=bearer()),
        ):
            pass

    def test_other_routes_with_the_dependency_are_served(self, guard: Guard, bearer: Bearer) -> None:
        app = FastAPI(dependencies=[Depends(EntraBearer(guard))])

        @needs_admin
        @app.get("/orders")
        async def orders() -> str:
            return "orders"

        app.get("/other")(lambda: "other")
        app.get("/admin")(needs_admin(lambda: "admin"))
        client = TestClient(app)
        assert client.get("/other", headers=bearer()).status_code == 200
        assert client.get("/admin", headers=bearer()).status_code == 403
        assert_refused(app, bearer())


class TestFlask:
    @pytest.mark.parametrize("way", ["init_app", "around"])
    @pytest.mark.parametrize("place", ["app", "blueprint", "between"])
    def test_views(self, guard: Guard, bearer: Bearer, way: str, place: str) -> None:
        app, blueprint = Flask(__name__), Blueprint("orders", __name__)
        target: Any = app if place == "app" else blueprint
        decorate = another if place == "between" else lambda function: function

        @needs_admin
        @decorate
        @target.get("/orders")
        def orders() -> str:
            return "orders"

        app.register_blueprint(blueprint)
        app.get("/right")(needs_admin(lambda: "right"))
        served: Any = app
        if way == "init_app":
            flask.init_app(app, guard, public=["/public"])
        else:
            served = WsgiGuardMiddleware(app, guard=guard)
        app.testing = True
        client = WsgiClient(served)
        with pytest.raises(ConfigurationError, match=r"orders .*directly above"):
            client.get("/orders", headers=bearer())
        if way == "init_app":
            app.testing = False
            assert client.get("/orders", headers=bearer()).status_code == 500
            assert client.get("/right", headers=bearer()).status_code == 403

    def test_views_that_are_added_after_the_first_request(self, guard: Guard, bearer: Bearer) -> None:
        app = Flask(__name__)
        wrapped = WsgiGuardMiddleware(app.wsgi_app, guard=guard)
        client = WsgiClient(wrapped)
        assert client.get("/orders", headers=bearer()).status_code == 404
        route = a_function()
        needs_admin(route)
        assert client.get("/orders", headers=bearer()).status_code == 404
        app.view_functions["orders"] = route
        with pytest.raises(ConfigurationError, match="orders"):
            client.get("/orders", headers=bearer())

    def test_a_view_on_a_public_path_is_refused_too(self, guard: Guard) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard, public=["/orders"])

        @needs_admin
        @app.get("/orders")
        def orders() -> str:
            return "orders"

        assert app.test_client().get("/orders").status_code == 500

    def test_class_based_views_are_served(self, guard: Guard, bearer: Bearer) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard)

        class Orders(MethodView):
            decorators = [needs_admin]  # noqa: RUF012

            def get(self) -> str:
                return "orders"

        app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
        app.add_url_rule("/wrapped", view_func=needs_admin(Orders.as_view("wrapped")))
        for at in ("/orders", "/wrapped"):
            assert app.test_client().get(at, headers=bearer()).status_code == 403

    def test_a_view_that_is_also_open_on_purpose_is_reported_once(
        self, guard: Guard, bearer: Bearer, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard)

        def orders() -> str:
            return "orders"

        app.add_url_rule("/open", "open", orders)
        app.add_url_rule("/orders", "orders", needs_admin(orders))
        with caplog.at_level(logging.WARNING, "entra_guard"):
            for _request in range(3):
                assert app.test_client().get("/open", headers=bearer()).status_code == 200
        assert app.test_client().get("/orders", headers=bearer()).status_code == 403
        assert len([r for r in caplog.records if "registered for a route" in r.getMessage()]) == 1


def test_quart_views(guard: Guard, bearer: Bearer) -> None:
    app = Quart(__name__)

    @needs_admin
    @app.route("/orders")
    async def orders() -> str:
        return "orders"

    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)  # type: ignore[method-assign]
    assert_refused(app, bearer())


def test_bottle_routes(guard: Guard, bearer: Bearer) -> None:
    app = bottle.Bottle()

    @needs_admin
    @app.route("/orders")
    def orders() -> str:
        return "orders"

    with pytest.raises(ConfigurationError, match="orders"):
        WsgiClient(WsgiGuardMiddleware(app, guard=guard)).get("/orders", headers=bearer())


@pytest.mark.parametrize("way", ["dispatcher", "bottle", "bottle wsgi"])
def test_wsgi_mounts(guard: Guard, bearer: Bearer, way: str) -> None:
    def orders() -> str:
        return "orders"

    needs_admin(orders)
    if way == "dispatcher":
        inner = Flask(__name__)
        inner.get("/orders")(orders)
        app: Any = DispatcherMiddleware(Flask(__name__), {"/mount": inner})
    else:
        app, mounted = bottle.Bottle(), bottle.Bottle()
        mounted.get("/orders")(orders)
        app.mount("/mount/", mounted if way == "bottle" else ProxyFix(mounted))
    with pytest.raises(ConfigurationError, match="orders"):
        WsgiClient(WsgiGuardMiddleware(app, guard=guard)).get("/mount/orders", headers=bearer())


def test_a_wsgi_mount_that_comes_after_the_first_request(guard: Guard, bearer: Bearer) -> None:
    inner, dispatcher = Flask(__name__), DispatcherMiddleware(Flask(__name__))
    dispatcher.mounts = {}
    client = WsgiClient(WsgiGuardMiddleware(dispatcher, guard=guard))

    def orders() -> str:
        return "orders"

    needs_admin(orders)
    inner.get("/orders")(orders)
    assert client.get("/mount/orders", headers=bearer()).status_code == 404
    dispatcher.mounts["/mount"] = inner
    with pytest.raises(ConfigurationError, match="orders"):
        client.get("/mount/orders", headers=bearer())


def test_litestar_handlers_fail_when_they_are_declared() -> None:
    with pytest.raises(ConfigurationError, match="below the route's own decorator"):

        @needs_admin
        @litestar_get("/orders")
        async def orders() -> str:
            return "orders"


# --- Django ------------------------------------------------------------------------------------------


def orders_view(_request: Any) -> HttpResponse:
    return HttpResponse("orders")


def open_view(_request: Any) -> HttpResponse:
    return HttpResponse("open")


@needs_admin
def admin_view(_request: Any) -> HttpResponse:
    return HttpResponse("admin")


class Base(View):
    """A base class of the application, with a decorator on the shared `dispatch`."""

    @method_decorator(never_cache)
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("base")


@method_decorator(never_cache, name="dispatch")
class Orders(View):
    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("orders")


@method_decorator(never_cache, name="dispatch")
class Internals(View):
    """Not routed here, as in a process without these routes."""


@method_decorator(needs_admin, name="dispatch")
class AdminOrders(Orders):
    pass


class OtherRest(APIView):
    pass


needs_admin(Internals.as_view())
needs_admin(Base.as_view())
needs_admin(OtherRest.as_view())
late_class_view = Base.as_view()
needs_admin(late_class_view)

urlpatterns = [
    path("class/base", type("Child", (Base,), {}).as_view()),
    path("orders", orders_view),
    path("open", open_view),
    path("class/orders", Orders.as_view()),
    path("class/csrf", csrf_exempt(Orders.as_view())),
    path("class/admin", AdminOrders.as_view()),
    path("class/late", late_class_view),
    path("nested/", include([path("admin", admin_view), path("guarded", needs_admin(open_view))])),
]
needs_admin(orders_view)


@pytest.fixture
def django_settings(guard: Guard) -> Iterator[None]:
    middleware = ["entra_guard.django.GuardMiddleware"]
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=middleware, ROOT_URLCONF=__name__):
        yield


@pytest.mark.usefixtures("django_settings")
def test_django_views(bearer: Bearer, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(raise_request_exception=False, headers=bearer())
    with caplog.at_level(logging.WARNING, "entra_guard"):
        assert client.get("/orders").status_code == 500
        assert client.get("/open").status_code == client.get("/open").status_code == 200
        assert client.get("/nested/admin").status_code == 403
    assert len([r for r in caplog.records if "open_view" in r.getMessage()]) == 1
    with pytest.raises(ConfigurationError, match=r"orders_view .*directly above"):
        Client(headers=bearer()).get("/orders")


@pytest.mark.usefixtures("django_settings")
def test_django_class_views_with_a_shared_dispatch_are_independent(bearer: Bearer) -> None:
    client = Client(raise_request_exception=False, headers=bearer())
    for at, status in {"orders": 200, "csrf": 200, "base": 200, "admin": 403, "late": 500}.items():
        assert client.get(f"/class/{at}").status_code == status, at
    admin = Client(headers=bearer(roles=["Orders.Admin"]))
    assert admin.get("/class/admin").status_code == 200


def test_handlers_that_share_a_function_are_independent(guard: Guard, bearer: Bearer) -> None:
    class Table:
        async def serve(self, _request: Any) -> PlainTextResponse:
            return PlainTextResponse("table")

    async def shared(_table: Any, _request: Any) -> PlainTextResponse:
        return PlainTextResponse("shared")

    public, internal, inner = Table(), Table(), a_function()
    needs_admin(internal.serve)
    needs_admin(another(internal.serve))
    needs_admin(partial(shared, "internal"))
    needs_admin(another(inner))
    routes = [
        Route("/method", public.serve),
        Route("/partial", partial(shared, "public")),
        Route("/wraps", another(another(inner))),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(GuardMiddleware, guard=guard)
    for route in routes:
        assert TestClient(app).get(route.path, headers=bearer()).status_code == 200


def test_the_method_of_the_same_object_is_refused(guard: Guard, bearer: Bearer) -> None:
    class Table:
        async def orders(self, _request: Any) -> PlainTextResponse:
            return PlainTextResponse("orders")

    table = Table()
    needs_admin(table.orders)
    app = Starlette(routes=[Route("/orders", table.orders)])
    app.add_middleware(GuardMiddleware, guard=guard)
    assert_refused(app, bearer())


@pytest.mark.usefixtures("django_settings")
def test_django_views_in_asgi(bearer: Bearer) -> None:
    async def statuses() -> list[int]:
        client = AsyncClient(raise_request_exception=False)
        return [
            (await client.get(at, headers=bearer())).status_code
            for at in ("/orders", "/open", "/nested/admin")
        ]

    assert asyncio.run(statuses()) == [500, 200, 403]


def test_the_registry_keeps_no_function_alive() -> None:
    function = a_function()
    decorated = needs_admin(function)
    gone = [weakref.ref(function), weakref.ref(decorated)]
    del function, decorated
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
