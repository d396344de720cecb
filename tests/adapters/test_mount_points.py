"""Public paths below a mount point: frameworks do not agree where it is, so what is unclear is not public."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import falcon.asgi
import litestar
import pytest
from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from quart import Quart
from raw_requests import request_asgi
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from entra_guard import Guard

PUBLIC = ["/static/*", "/healthz", "/api-docs", "/apiorders"]
SECRET = b"what only callers may know"
PIECES = ["", "/", "/api", "/api/", "//", "/static", "/static/x", "/healthz"]
PATHS = sorted(
    {
        f"{before}{middle}{end}"
        for before, middle, end in product(PIECES, PIECES, ["/orders", "/api/orders", "orders"])
    }
)
ROOTS = ["", "/", "/api", "/api/", "/static", "/v1/api"]


def starlette_app() -> Any:
    def orders(_request: Any) -> PlainTextResponse:
        return PlainTextResponse(SECRET)

    def open_(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("open")

    secret = [Route("/orders", orders), Route("/api/orders", orders)]
    return Starlette(routes=[*secret, Route("/healthz", open_), Route("/api-docs", open_)])


def litestar_app() -> Any:
    @get(["/orders", "/api/orders"], sync_to_thread=False)
    def orders() -> bytes:
        return SECRET

    @get(["/healthz", "/api-docs"], sync_to_thread=False)
    def open_() -> str:
        return "open"

    return Litestar([orders, open_], openapi_config=None, logging_config=None)


def quart_app() -> Any:
    app = Quart(__name__, static_folder=None)

    @app.route("/orders")
    @app.route("/api/orders")
    async def orders() -> bytes:
        return SECRET

    @app.route("/healthz")
    @app.route("/api-docs")
    async def open_() -> str:
        return "open"

    return app


@pytest.fixture(scope="module", params=[starlette_app, litestar_app, quart_app])
def app(request: pytest.FixtureRequest, guard: Guard) -> Any:
    return GuardMiddleware(request.param(), guard=guard, public=PUBLIC)


@pytest.mark.parametrize("root_path", ROOTS)
def test_no_form_of_a_path_reaches_what_is_not_public(app: Any, root_path: str) -> None:
    for path in PATHS:
        if path.startswith("/"):
            assert SECRET not in request_asgi(app, path, [], root_path=root_path).body, path


@pytest.mark.parametrize("root_path", ["", "/api", "/v1/api"])
def test_public_paths_work_below_a_mount_point(app: Any, root_path: str) -> None:
    for path in ("/healthz", "/api-docs"):
        assert b"open" in request_asgi(app, root_path + path, [], root_path=root_path).body


class Static:
    async def on_get(self, _request: Any, response: Any) -> None:
        response.data = SECRET


def test_falcon_routes_the_whole_path_so_the_whole_path_is_compared(guard: Guard) -> None:
    falcon_app = falcon.asgi.App()
    falcon_app.add_route("/api/static/orders", Static())

    def status(public: list[str], root_path: str, path: str = "/api/static/orders") -> int:
        app = GuardMiddleware(falcon_app, guard=guard, public=public)
        return request_asgi(app, path, [], root_path=root_path).status

    assert status(["/static/*"], "/api") == 401
    assert status(["/api/static/*"], "/api") == status(["/api/static/*"], "") == 200
    mounted = Starlette(
        routes=[Mount("/api", GuardMiddleware(falcon_app, guard=guard, public=["/static/*"]))]
    )
    assert request_asgi(mounted, "/api/static/orders", []).status == 401


@pytest.mark.parametrize("path", ["/healthz", "/static/x", "/api", "/"])
def test_a_path_that_is_not_below_the_mount_point_is_not_public_in_quart(guard: Guard, path: str) -> None:
    """Quart routes ' ' in its place, which a route for every path matches. A client of Daphne names root_path."""
    app = Quart(__name__, static_folder=None)

    @app.route("/<path:path>")
    async def every_path(path: str) -> str:
        return f"every path: {path!r}"

    guarded = GuardMiddleware(app, guard=guard, public=["/healthz", "/static/*", "/"])
    assert request_asgi(guarded, path, [], root_path="/api").status == 401
    assert request_asgi(guarded, "/api/healthz", [], root_path="/api").body == b"every path: 'healthz'"
    assert request_asgi(guarded, "/", [], root_path="/").status == 401


def test_public_paths_work_behind_a_proxy_that_removes_a_prefix(guard: Guard) -> None:
    """As with FastAPI(root_path="/v1") behind a proxy that strips '/v1'."""
    app = GuardMiddleware(starlette_app(), guard=guard, public=PUBLIC)
    assert request_asgi(app, "/healthz", [], root_path="/v1").status == 200
    assert request_asgi(app, "/orders", [], root_path="/v1").status == 401


class Passing:
    """Middleware of the application's own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@litestar.asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(SECRET)(scope, receive, send)


@pytest.mark.parametrize("inner", [[], [Passing]])
def test_litestars_own_middleware_compares_the_path_with_its_mount_point(guard: Guard, inner: Any) -> None:
    def app(*public: str) -> Any:
        guarding = DefineMiddleware(GuardMiddleware, guard=guard, public=public)
        return Litestar([mounted], middleware=[guarding, *inner], openapi_config=None, logging_config=None)

    for path in ("/mounted/static/x", "/mounted/healthz", "/mounted", "/mounted/mounted/x"):
        assert request_asgi(app("/static/*", "/healthz", "/healthz/", "/"), path, []).status == 401
    assert request_asgi(app("/mounted/static/*"), "/mounted/static/x", []).body == SECRET
    assert request_asgi(app("/mounted/static/*"), "/mounted/orders", []).status == 401


def test_litestars_own_middleware_does_not_remove_the_root_path_again(guard: Guard) -> None:
    @get(["/healthz", "/api/orders"], sync_to_thread=False)
    def open_or_not() -> str:
        return "done"

    guarding = DefineMiddleware(GuardMiddleware, guard=guard, public=["/healthz", "/orders"])
    app = Litestar([open_or_not], middleware=[guarding], openapi_config=None, logging_config=None)
    assert request_asgi(app, "/api/healthz", [], root_path="/api").status == 200
    assert request_asgi(app, "/api/api/orders", [], root_path="/api").status == 401


def test_an_application_that_litestar_mounts_compares_the_path_below_its_mount_point(guard: Guard) -> None:
    guarded = GuardMiddleware(mounted.fn, guard=guard, public=["/static/*"])

    @litestar.asgi("/inner", is_mount=True, copy_scope=True)
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await guarded(scope, receive, send)

    app = Litestar([inner], openapi_config=None, logging_config=None)
    assert request_asgi(app, "/inner/static/x", []).status == 200
    assert request_asgi(app, "/inner/orders", []).status == 401
