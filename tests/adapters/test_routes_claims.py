"""`entra-guard routes` never says that a route needs a token if a request without one reaches it."""

from __future__ import annotations

from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import litestar
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from flask import Flask
from litestar.middleware import DefineMiddleware
from raw_requests import request_asgi, request_wsgi
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.permissions import IsAuthenticated as HasUser
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView
from route_apps import bare_asgi, handler
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request  # noqa: TC002  # FastAPI reads the annotation
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Mount, Route
from werkzeug.routing import BaseConverter

from entra_guard._web.route_table import route_table
from entra_guard.asgi import GuardMiddleware
from entra_guard.drf import EntraAuthentication, needs
from entra_guard.fastapi import EntraBearer
from entra_guard.flask import init_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard


class PassingMiddleware(GuardMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class PassingBearer(EntraBearer):
    async def __call__(self, _request: Request) -> Any:  # type: ignore[override]
        return None


class Either:
    """A middleware that has a second application beside the next layer."""

    def __init__(self, app: Any, other: Any) -> None:
        self.app, self.other = app, other

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.other(scope, receive, send)


class Logging:
    """A middleware as many applications have one outside of the guard: it always calls the next layer."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.handle = self._handle
        self.log = print

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.handle(scope, receive, send)

    async def _handle(self, scope: Any, receive: Any, send: Any) -> None:
        async def logged(message: Any) -> None:
            await send(message)

        await self.app(scope, receive, logged)


def orders() -> Starlette:
    return Starlette(routes=[Route("/orders", handler())])


OTHER = orders()


class ByProperty(Logging):
    @property
    def other(self) -> Any:
        return OTHER

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.other(scope, receive, send)


class ByClass(ByProperty):
    other = orders()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class OwnStarlette(Starlette):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await OTHER(scope, receive, send)


class OwnFlask(Flask):
    def full_dispatch_request(self) -> Any:
        return self.make_response("done")


class OwnRoute(APIRoute):
    def get_route_handler(self) -> Callable[..., Any]:
        async def respond(_request: Any) -> Any:
            return PlainTextResponse("done")

        return respond


class Deep(Convertor[str]):
    regex = "[a-z/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("deep", Deep())


class FlaskDeep(BaseConverter):
    part_isolating = False
    regex = "[a-z/]+"


def subclass(guard: Guard) -> Any:
    return PassingMiddleware(orders(), guard=guard)


def wrapped(guard: Guard) -> Any:
    inner = orders()

    @wraps(GuardMiddleware(inner, guard=guard))  # copies the attributes of the guard
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    return app


def second_application(guard: Guard) -> Any:
    return Either(GuardMiddleware(orders(), guard=guard), orders())


def second_bare_application(guard: Guard) -> Any:
    return Either(GuardMiddleware(orders(), guard=guard), bare_asgi)


def by_property(guard: Guard) -> Any:
    return ByProperty(GuardMiddleware(orders(), guard=guard))


def by_class(guard: Guard) -> Any:
    return ByClass(GuardMiddleware(orders(), guard=guard))


def own_starlette(guard: Guard) -> Any:
    inside = [Middleware(GuardMiddleware, guard=guard)]
    return OwnStarlette(routes=[Route("/orders", handler())], middleware=inside)


def own_flask(guard: Guard) -> Any:
    app = OwnFlask(__name__, static_folder=None)
    app.add_url_rule("/orders", view_func=flask_view, endpoint="one")
    init_app(app, guard)
    return app


def bearer_subclass(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None)
    app.get("/orders", dependencies=[Depends(PassingBearer(guard))])(lambda: "done")
    return app


def route_class(guard: Guard) -> Any:
    app, router = FastAPI(openapi_url=None), APIRouter(route_class=OwnRoute)
    router.get("/orders", dependencies=[Depends(EntraBearer(guard))])(lambda: "done")
    app.include_router(router)
    return app


class OwnBaseRoute(BaseRoute):
    def matches(self, scope: Any) -> tuple[Match, dict[str, Any]]:  # noqa: ARG002
        return Match.FULL, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await bare_asgi(scope, receive, send)


def route_of_own_class(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None, dependencies=[Depends(EntraBearer(guard))])
    app.get("/items")(lambda: "done")
    app.router.routes.append(OwnBaseRoute())
    return app


def default_of_router(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None, dependencies=[Depends(EntraBearer(guard))])
    app.get("/items")(lambda: "done")
    app.router.default = bare_asgi
    return app


def root_path(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None)
    app.root_path = "/api"  # its parameter is deprecated
    app.get("/orders")(lambda: "done")
    return GuardMiddleware(app, guard=guard, public=["/api/*"])


def route_below_mount(guard: Guard) -> Any:
    inside = [Middleware(GuardMiddleware, guard=guard, public=["/orders"])]
    return Starlette(routes=[Mount("/api", routes=[Route("/orders", handler(), middleware=inside)])])


def converter(guard: Guard) -> Any:
    app = Starlette(routes=[Route("/files/{name:deep}", handler())])
    return GuardMiddleware(app, guard=guard, public=["/files/a/b"])


@litestar.get(["/orders", "/files/{name:path}"])
async def of_litestar() -> str:
    return "done"


def of_litestar_app(guard: Guard, *public: str) -> Any:
    kind: Any = GuardMiddleware
    guarding = DefineMiddleware(kind, guard=guard, public=public)
    return litestar.Litestar([of_litestar], middleware=[guarding], openapi_config=None, logging_config=None)


def litestar_slash(guard: Guard) -> Any:
    app: Any = litestar.Litestar([of_litestar], openapi_config=None, logging_config=None)
    return GuardMiddleware(app, guard=guard, public=["/orders/"])


def litestar_deep(guard: Guard) -> Any:
    return of_litestar_app(guard, "/files/a/b")


def litestar_below_mount(guard: Guard) -> Any:
    return Starlette(routes=[Mount("/api", of_litestar_app(guard, "/orders"))])


def flask_view(**_values: str) -> str:
    return "done"


def flask_app(guard: Guard, rule: str, public: str, **options: Any) -> Any:
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["deep"] = FlaskDeep
    app.add_url_rule(rule, view_func=flask_view, endpoint="one", **options)
    init_app(app, guard, public=[public])
    return app


def flask_converter(guard: Guard) -> Any:
    return flask_app(guard, "/files/<deep:name>", "/files/a/b")


def flask_slash(guard: Guard) -> Any:
    return flask_app(guard, "/orders", "/orders/", strict_slashes=False)


@pytest.mark.parametrize(
    ("make", "request_path"),
    [
        (subclass, "/orders"),
        (wrapped, "/orders"),
        (second_application, "/orders"),
        (second_bare_application, "/orders"),
        (by_property, "/orders"),
        (by_class, "/orders"),
        (own_starlette, "/orders"),
        (own_flask, "/orders"),
        (bearer_subclass, "/orders"),
        (route_class, "/orders"),
        (route_of_own_class, "/orders"),
        (default_of_router, "/orders"),
        (root_path, "/api/orders"),
        (route_below_mount, "/api/orders"),
        (converter, "/files/a/b"),
        (litestar_slash, "/orders/"),
        (litestar_deep, "/files/a/b"),
        (litestar_below_mount, "/api/orders"),
        (flask_converter, "/files/a/b"),
        (flask_slash, "/orders/"),
    ],
)
def test_a_route_that_runs_without_a_token_is_not_called_guarded(
    make: Callable[[Guard], Any], request_path: str, guard: Guard
) -> None:
    app = make(guard)
    send = request_wsgi if isinstance(app, Flask) else request_asgi
    assert send(app, request_path, [], method="GET").status == 200
    beginning = request_path[:5]
    rows = [row for row in route_table(app) if row.path.startswith((beginning, "/orders", "/*"))]
    assert any(not row.needs_token for row in rows), rows


def test_a_middleware_outside_that_calls_the_next_layer_is_no_way_around_the_guard(guard: Guard) -> None:
    app = Logging(Logging(GuardMiddleware(orders(), guard=guard)))
    assert [(row.path, row.access) for row in route_table(app)] == [("/orders", "token")]
    inside = [Middleware(Logging), Middleware(GuardMiddleware, guard=guard), Middleware(Logging)]
    app_with_stack = Starlette(routes=[Route("/orders", handler())], middleware=inside)
    assert [(row.path, row.access) for row in route_table(app_with_stack)] == [("/orders", "token")]


class SignedIn(AnonymousUser):
    is_authenticated = True  # type: ignore[assignment]


class Anybody(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:  # noqa: ARG002
        return SignedIn(), None


class OwnEntra(EntraAuthentication):
    def authenticate(self, request: Any) -> Any:
        return Anybody().authenticate(request)


class IsAuthenticated(BasePermission):
    """A permission of the application with the name of REST framework's."""

    required = False

    def has_permission(self, request: Any, view: Any) -> bool:  # noqa: ARG002
        return True


class Guarded(APIView):
    authentication_classes: ClassVar[Any] = [EntraAuthentication]
    permission_classes: ClassVar[Any] = [HasUser]

    def get(self, _request: Any) -> RestResponse:
        return RestResponse("done")


class OwnPermissions(Guarded):
    def get_permissions(self) -> list[Any]:
        return []


class OwnInitial(Guarded):
    def initial(self, *_arguments: Any, **_named: Any) -> None:
        """Check nothing."""


class Mixed(Guarded):
    authentication_classes: ClassVar[Any] = [EntraAuthentication, Anybody]


class MixedButNeeds(Mixed):
    permission_classes: ClassVar[Any] = [needs(roles=["Orders.Read"])]


def view(_request: Any, **_values: Any) -> HttpResponse:
    return HttpResponse("done")


URLS = ModuleType("routes_claims_urls")
URLS.urlpatterns = [  # type: ignore[attr-defined]
    path("rest/initkwargs", Guarded.as_view(permission_classes=[])),
    path("rest/permissions", OwnPermissions.as_view()),
    path("rest/initial", OwnInitial.as_view()),
    path("rest/named", Guarded.as_view(permission_classes=[IsAuthenticated])),
    path("rest/mixed", Mixed.as_view()),
    path("rest/own-entra", Guarded.as_view(authentication_classes=[OwnEntra])),
    path("rest/guarded", Guarded.as_view()),
    path("rest/needs", MixedButNeeds.as_view()),
]
EXPRESSIONS = ModuleType("routes_claims_expressions")
EXPRESSIONS.urlpatterns = [  # type: ignore[attr-defined]
    re_path("^orders", view),
    re_path("report", view),
    re_path("^a/[a-z/]+$", view),
    re_path("^v1/", include([re_path("rows", view), re_path("^exact/?$", view)])),
    re_path("^whole$", view),
]


@pytest.fixture
def _urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, URLS.__name__, URLS)
    monkeypatch.setitem(__import__("sys").modules, EXPRESSIONS.__name__, EXPRESSIONS)


@pytest.mark.usefixtures("_urls")
def test_a_rest_view_that_runs_without_a_token_is_not_called_guarded(guard: Guard) -> None:
    settings: dict[str, Any] = {"ROOT_URLCONF": URLS.__name__, "MIDDLEWARE": []}
    with override_settings(ENTRA_GUARD={"guard": guard}, **settings):
        app = WSGIHandler()
        table = route_table(app)
        assert table
        for row in table:
            status = request_wsgi(app, row.path, [], method="GET").status
            assert (status in {401, 403}) == row.needs_token, (row, status)


@pytest.mark.usefixtures("_urls")
@pytest.mark.parametrize(
    ("public", "shown"),
    [
        ("/orders/public", "/orders.*"),
        ("/static/report", "/.*report.*"),
        ("/a/b/c", "/a/[a-z/]+"),
        ("/v1/deep/rows", "/v1/.*rows.*"),
        ("/v1/exact/", "/v1/exact/?"),
    ],
)
def test_an_expression_that_matches_a_public_path_is_public_in_part(
    public: str, shown: str, guard: Guard
) -> None:
    middleware = ["entra_guard.django.GuardMiddleware"]
    entries = {"guard": guard, "public": [public]}
    with override_settings(ENTRA_GUARD=entries, ROOT_URLCONF=EXPRESSIONS.__name__, MIDDLEWARE=middleware):
        app = WSGIHandler()
        assert request_wsgi(app, public, [], method="GET").status == 200
        rows = {row.path: row for row in route_table(app)}
        assert rows[shown].open_paths == (public,)
        assert rows["/whole"].needs_token
