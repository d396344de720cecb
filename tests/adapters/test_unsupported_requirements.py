"""What a guard's issuers do not support, such as `max_age` with Entra, is found before a caller meets it."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask
from flask.views import MethodView
from raw_requests import request_asgi, request_wsgi
from route_apps import handler
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from entra_guard import Authority, ConfigurationError, Guard, requires, wsgi
from entra_guard._web.route_table import route_table
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.flask import init_app

if TYPE_CHECKING:
    from collections.abc import Callable

recent = requires(max_age=300)
NOT_WITH_ENTRA = "max_age does not work with Entra"


def recent_route() -> Route:
    return Route("/pay", recent(handler()))


class Pay(HTTPEndpoint):
    @recent
    async def post(self, _request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")


class PayView(MethodView):
    @recent
    def post(self) -> str:
        return "done"


@pytest.fixture(scope="module")
def partner() -> Guard:
    return Guard(authority=Authority.openid("https://partner.example"), audience="orders")


def lifespan_messages(app: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError):
        asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    return sent


@pytest.mark.parametrize(
    "route", [recent_route, lambda: Route("/pay", Pay), lambda: Mount("/v1", routes=[recent_route()])]
)
def test_an_asgi_application_does_not_start(route: Callable[[], Any], guard: Guard) -> None:
    app = Starlette(routes=[route()])
    app.add_middleware(GuardMiddleware, guard=guard)
    with pytest.raises(ConfigurationError, match=NOT_WITH_ENTRA), TestClient(app):
        pass
    [failed] = lifespan_messages(GuardMiddleware(Starlette(routes=[route()]), guard=guard))
    assert failed["type"] == "lifespan.startup.failed"
    assert f"@requires of {'Pay.post' if 'Pay.' in failed['message'] else 'handler'}" in failed["message"]


def test_a_requires_that_checks_nothing_stops_the_start_too(guard: Guard) -> None:
    respond: Any = handler()
    app = Starlette(routes=[Route("/orders", respond)])
    requires(roles=["Orders.Read"])(respond)
    [failed] = lifespan_messages(GuardMiddleware(app, guard=guard))
    assert "above the route's own decorator" in failed["message"]


def test_without_a_lifespan_every_request_fails(guard: Guard) -> None:
    routes = [recent_route(), Route("/orders", handler())]
    app = GuardMiddleware(Starlette(routes=routes), guard=guard)
    with pytest.raises(ConfigurationError, match=NOT_WITH_ENTRA):
        request_asgi(app, "/orders", [], method="GET")


def mounted(partner: Guard) -> Any:
    return Mount("/in", GuardMiddleware(Starlette(routes=[recent_route()]), guard=partner))


def mounted_with_stack(partner: Guard) -> Any:
    inner = Starlette(routes=[recent_route()], middleware=[Middleware(GuardMiddleware, guard=partner)])
    return Mount("/in", inner)


def in_route(partner: Guard) -> Any:
    return Route("/pay", recent(handler()), middleware=[Middleware(GuardMiddleware, guard=partner)])


def by_dependency(partner: Guard) -> Any:
    inner = FastAPI(openapi_url=None)
    inner.get("/pay", dependencies=[Depends(EntraBearer(partner))])(recent(lambda: "done"))
    return Mount("/in", inner)


@pytest.mark.parametrize("route", [mounted, mounted_with_stack, in_route, by_dependency])
def test_a_route_with_a_guard_of_another_issuer_may_require_it(
    route: Callable[[Guard], Any], guard: Guard, partner: Guard
) -> None:
    app = Starlette(routes=[route(partner), Route("/healthz", handler())])
    guarded = GuardMiddleware(app, guard=guard, public=["/healthz"])
    with TestClient(guarded) as client:
        assert client.get("/healthz").status_code == 200
    assert [row.access for row in route_table(guarded) if row.path != "/healthz"] == ["token"]


def test_the_issuer_that_supports_it_starts(partner: Guard) -> None:
    with TestClient(GuardMiddleware(Starlette(routes=[recent_route()]), guard=partner)) as client:
        assert client.get("/pay").status_code == 401


@pytest.mark.parametrize("view", [recent(lambda: "done"), PayView.as_view("pay")])
def test_a_flask_application_is_refused_by_init_app(view: Any, guard: Guard, partner: Guard) -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/pay", view_func=view, endpoint="pay")
    with pytest.raises(ConfigurationError, match=NOT_WITH_ENTRA):
        init_app(app, guard)
    init_app(app, partner)


def test_a_wsgi_application_fails_at_its_first_request(guard: Guard) -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/pay", view_func=recent(lambda: "done"), endpoint="pay")
    with pytest.raises(ConfigurationError, match=NOT_WITH_ENTRA):
        request_wsgi(wsgi.GuardMiddleware(app, guard=guard), "/orders", [], method="GET")


def test_a_django_project_whose_views_are_loaded_does_not_start(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = ModuleType("unsupported_urls")
    urls.urlpatterns = [path("pay", recent(lambda _request: None))]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    names = ["entra_guard.django.GuardMiddleware"]
    with (
        override_settings(ENTRA_GUARD={"guard": guard}, ROOT_URLCONF=urls.__name__, MIDDLEWARE=names),
        pytest.raises(ConfigurationError, match=NOT_WITH_ENTRA),
    ):
        WSGIHandler()


def test_the_table_of_routes_calls_it_broken(guard: Guard) -> None:
    app = FastAPI(openapi_url=None, dependencies=[Depends(EntraBearer(guard))])
    app.get("/pay")(recent(lambda: "done"))
    [row] = route_table(app)
    assert (row.access, NOT_WITH_ENTRA in row.problem) == ("broken", True)
