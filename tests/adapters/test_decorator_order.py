"""@requires above a route's own decorator checks nothing, so every adapter refuses to serve such a route."""

# No annotations from the future: FastAPI could not resolve those that name what a test has made.
import gc
import logging
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from decorator_orders import Bearer, a_function, another, assert_refused, needs_admin, starlette_route
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from litestar import get as litestar_get
from quart import Quart
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient

from entra_guard import ConfigurationError, Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer

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


def another_middleware(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


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


def test_quart_views(guard: Guard, bearer: Bearer) -> None:
    app = Quart(__name__)

    @needs_admin
    @app.route("/orders")
    async def orders() -> str:
        return "orders"

    app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)  # type: ignore[method-assign]
    assert_refused(app, bearer())


def test_litestar_handlers_fail_when_they_are_declared() -> None:
    with pytest.raises(ConfigurationError, match="below the route's own decorator"):

        @needs_admin
        @litestar_get("/orders")
        async def orders() -> str:
            return "orders"


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


def test_the_registry_keeps_no_function_alive() -> None:
    function = a_function()
    decorated = needs_admin(function)
    gone = [weakref.ref(function), weakref.ref(decorated)]
    del function, decorated
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
