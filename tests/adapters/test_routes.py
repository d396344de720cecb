"""`entra-guard routes` and `assert_no_public_routes` list what each route of an application requires."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from adapter_cases import ADAPTERS
from asgiref.wsgi import WsgiToAsgi
from click.testing import CliRunner
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import Depends, FastAPI, Security
from flask import Flask
from raw_requests import request_asgi, request_wsgi
from route_apps import fastapi_app, flask_app, handler, litestar_app, quart_app, starlette_app
from starlette.applications import Starlette
from starlette.routing import Host, Route, Router
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.middleware.shared_data import SharedDataMiddleware

from entra_guard import ConfigurationError, Guard, requires
from entra_guard._web.route_allowance import not_allowed, unused
from entra_guard._web.route_table import GuardedRoute, route_table
from entra_guard.asgi import GuardMiddleware
from entra_guard.cli._group import group
from entra_guard.fastapi import EntraBearer, acting_as
from entra_guard.flask import init_app
from entra_guard.mcp import protect
from entra_guard.principal import NoPrincipalError
from entra_guard.testing import assert_no_public_routes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entra_guard.testing import Entra

BIG = {make.__name__: make for make in (starlette_app, fastapi_app, flask_app, quart_app, litestar_app)}
READ = "role Orders.Read"
EITHER = "scope Orders.Read, or role Orders.Read.All and applications only"


def rows_of(app: Any) -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    return {(" ".join(row.methods), row.path): (row.access, row.requires) for row in route_table(app)}


def without_token(app: Any, route: GuardedRoute) -> int:
    """Return the status of the response to a request without a token; of a socket 101 or 403."""
    path = re.sub(r"\{[^}]*\}|<[^>]*>|(?<=/)\*$", "1", route.path)
    method = route.methods[0].replace("*", "GET")
    if method == "WEBSOCKET":
        return asyncio.run(_socket(app, path))
    request = request_wsgi if isinstance(app, Flask) or "wsgi" in type(app).__module__ else request_asgi
    return request(app, path, [], method=method).status


async def _socket(app: Any, path: str) -> int:
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.disconnect" if sent else "websocket.connect", "code": 1000}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "headers": [(b"host", b"testserver")],
    }
    more = {"asgi": {"version": "3.0"}, "scheme": "ws", "query_string": b"", "subprotocols": [], "state": {}}
    ends = {
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "http_version": "1.1",
        "root_path": "",
    }
    await app(scope | more | ends, receive, send)
    return 101 if sent[0] == "websocket.accept" else 403


@pytest.mark.parametrize("name", [*BIG, *ADAPTERS])
def test_what_the_table_says_is_what_a_request_without_a_token_gets(name: str, guard: Guard) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard, "public": ["/healthz", "/async/healthz"]}):
        app = BIG[name](guard) if name in BIG else ADAPTERS[name](guard).app
        table = [route for route in route_table(app) if not route.path.startswith("//")]
        assert table
        for route in table:
            if route.access in {"broken", "partly public"}:
                continue
            try:
                status = without_token(app, route)
            except (NoPrincipalError, TypeError, Warning):  # the view runs, and fails without a caller
                assert not route.needs_token
                continue
            assert (status in {401, 403}) == route.needs_token, (route, status)


def test_starlette_with_mounts_hosts_classes_and_sockets(guard: Guard) -> None:
    rows = rows_of(starlette_app(guard))
    assert rows["GET", "/api/orders"] == ("token", (READ,))
    assert rows["GET", "/api/healthz"] == ("public", ())
    assert rows["GET", "/guarded/v1/healthz"] == ("token", ("scope Orders.Read",))
    assert rows["GET", "/guarded/class"] == ("token", ("scope Orders.Read",))
    assert rows["POST", "/guarded/class"] == ("token", ("scope Orders.Read", READ))
    assert rows["WEBSOCKET", "/guarded/ws"][0] == "token"
    assert rows["WEBSOCKET", "/ws"] == ("open", ())
    assert rows["GET", "//admin.example/"] == ("open", ())
    assert rows["*", "/files/*"] == ("open", ())


def test_fastapi_with_included_routers_dependencies_and_a_sub_application(guard: Guard) -> None:
    rows = rows_of(fastapi_app(guard))
    assert rows["GET", "/v1/orders/{number}"] == ("token", ())
    assert rows["POST", "/outer/inner/orders"] == ("token", (EITHER,))
    assert rows["WEBSOCKET", "/outer/inner/ws"] == ("token", ())
    assert rows["GET", "/mine"] == ("token", ("scope Orders.Read",))
    assert rows["GET", "/roles"] == ("token", (READ,))
    assert rows["GET", "/perhaps"] == ("optional", ())
    assert rows["GET", "/perhaps-not"] == ("token", (READ,))
    assert rows["GET", "/scheme"] == ("unclear", ())
    assert rows["GET", "/sub/open"] == ("open", ())


def test_flask_with_a_blueprint_a_class_and_middleware_that_mounts(guard: Guard) -> None:
    assert rows_of(flask_app(guard)) == {
        ("GET", "/pages/<int:number>"): ("token", ()),
        ("PUT", "/pages/first"): ("token", (READ,)),
        ("GET", "/views"): ("token", ()),
        ("POST", "/views"): ("token", (READ,)),
        ("GET", "/healthz"): ("public", ()),
        ("*", "/metrics/*"): ("open", ()),
    }


def test_quart_and_litestar(guard: Guard) -> None:
    assert rows_of(quart_app(guard))["WEBSOCKET", "/ws"] == ("token", ())
    assert rows_of(litestar_app(guard)) == {
        ("GET", "/open"): ("public", ()),
        ("GET", "/v1/items/{number}"): ("token", (READ,)),
        ("GET", "/v1/items"): ("token", ()),
        ("WEBSOCKET", "/v1/ws"): ("token", ()),
        ("*", "/files/*"): ("partly public", ()),  # its guard sees the path below the mount point
    }


def test_rest_framework_permissions_without_the_middleware(guard: Guard) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard}):
        rows = rows_of(ADAPTERS["django rest framework"](guard).app)
    assert rows["GET", "/rest/orders"] == ("token", ())
    assert rows["GET", "/rest/admin"] == ("token", ("role Orders.Admin",))
    assert rows["GET POST", "/rest/combined"][0] == "unclear"
    assert rows["GET", "/rest/healthz"] == ("open", ())
    assert rows["*", "/admin"][0] == "broken"


def wrong_order() -> Any:
    app = FastAPI(openapi_url=None)

    @requires(roles=["Orders.Read"])
    @app.get("/orders")
    async def orders() -> str:
        return "done"

    return app


def test_a_requires_that_checks_nothing_is_found_and_no_allowance_hides_it_behind_a_guard(
    guard: Guard,
) -> None:
    app = wrong_order()
    [row] = route_table(app)
    assert row.access == "open"
    assert "above the route's decorator" in row.problem
    app.add_middleware(GuardMiddleware, guard=guard)
    [row] = table = route_table(app)
    assert row.access == "broken"
    assert not_allowed(table, ["/orders"]) == table


def test_a_guard_that_dependency_overrides_replace_is_not_counted(entra: Entra, guard: Guard) -> None:
    app, bearer = FastAPI(openapi_url=None), EntraBearer(guard)
    app.get("/orders", dependencies=[Depends(bearer)])(lambda: "")
    assert [row.access for row in route_table(app)] == ["token"]
    app.dependency_overrides[bearer] = acting_as(entra.principal(roles=["Orders.Read"]))
    [row] = route_table(app)
    assert row.access == "unclear"
    assert "replaces EntraBearer by dependency_overrides" in row.problem


def test_a_requires_above_the_decorator_of_flask_is_found(guard: Guard) -> None:
    app = Flask(__name__, static_folder=None)
    init_app(app, guard)
    requires(roles=["Orders.Read"])(app.get("/orders")(lambda: ""))
    [row] = route_table(app)
    assert (row.access, "above the route's decorator" in row.problem) == ("broken", True)


def test_the_assertion_takes_none_for_the_django_project(guard: Guard) -> None:
    names = ["entra_guard.django.GuardMiddleware"]
    entries = {"guard": guard, "public": ["/healthz"]}
    with override_settings(ENTRA_GUARD=entries, MIDDLEWARE=names):
        assert_no_public_routes(None, allow=["/healthz"])
        with pytest.raises(AssertionError, match="/healthz is public"):
            assert_no_public_routes(None)


def test_scopes_that_no_token_can_have_break_their_route_only(guard: Guard) -> None:
    entra, app = EntraBearer(guard), FastAPI(openapi_url=None)
    app.get("/wrong", dependencies=[Security(entra, scopes=["api://orders/Orders.Read"])])(handler())
    app.get("/right", dependencies=[Security(entra, scopes=["Orders.Read"])])(handler())
    rows = {row.path: row for row in route_table(app)}
    assert (rows["/wrong"].access, rows["/right"].access) == ("broken", "token")
    assert "scopes are named as the token has them: 'Orders.Read'" in rows["/wrong"].problem


@pytest.mark.parametrize("public", [[], ["/orders"]])
def test_a_requires_without_a_guard_in_front_is_found(public: list[str], guard: Guard) -> None:
    app: Any = Starlette(routes=[Route("/orders", requires(roles=["Orders.Read"])(handler()))])
    if public:
        app.add_middleware(GuardMiddleware, guard=guard, public=public)
    [row] = route_table(app)
    assert row.access == "broken"
    assert "no caller to check" in row.problem


@pytest.mark.parametrize(
    ("template", "public", "access"),
    [
        ("/items/{id}", [], "token"),
        ("/items/{id}", ["/items"], "token"),
        ("/items/{id}", ["/items/first"], "partly public"),
        ("/items/{id}", ["/items/*"], "public"),
        ("/items/{id}/rows", ["/items/first"], "token"),
        ("/items/{id}/rows", ["/items/first/*"], "partly public"),
        ("/{rest:path}", ["/healthz"], "partly public"),
        ("/static/{rest:path}", ["/static/*"], "public"),
        ("/static/{rest:path}", ["/static/css/*"], "partly public"),
        ("/v{number}/items", ["/v1/items"], "partly public"),
    ],
)
def test_a_route_with_a_parameter_may_be_public_in_part(
    template: str, public: list[str], access: str, guard: Guard
) -> None:
    app = GuardMiddleware(Starlette(routes=[Route(template, handler())]), guard=guard, public=public)
    [row] = route_table(app)
    assert row.access == access
    assert list(row.open_paths) == (public if access == "partly public" else [row.path] * (access != "token"))


def test_paths_of_hosts_are_compared_with_public_paths_without_the_host(guard: Guard) -> None:
    inner = Router(routes=[Route("/healthz", handler()), Route("/orders", handler())])
    app = GuardMiddleware(Starlette(routes=[Host("a.example", inner)]), guard=guard, public=["/healthz"])
    assert rows_of(app) == {
        ("GET", "//a.example/healthz"): ("public", ()),
        ("GET", "//a.example/orders"): ("token", ()),
    }


def test_the_metadata_of_a_protected_mcp_server_is_public(guard: Guard) -> None:
    server = Starlette(routes=[Route("/mcp", handler())])
    app = protect(server, guard, url="https://api.example/mcp", scopes=["Tasks.Use"])
    well_known = "/.well-known/oauth-protected-resource"
    assert rows_of(app) == {
        ("GET", well_known): ("public", ()),
        ("GET", f"{well_known}/mcp"): ("public", ()),
        ("GET", "/mcp"): ("token", ("applications only, or scope Tasks.Use",)),
    }


def test_rest_framework_routers_actions_and_functions(guard: Guard) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard}, ROOT_URLCONF="rest_site", MIDDLEWARE=[]):
        rows = rows_of(WSGIHandler())
    assert rows == {
        ("GET", "/api/orders/"): ("optional", ()),
        ("POST", "/api/orders/"): ("token", ()),
        ("POST", "/api/orders/(?P<pk>[^/.]+)/pay/"): ("token", (READ,)),
        ("GET", "/open"): ("optional", ()),
        ("GET", "/custom/<int:number>/"): ("unclear", ()),
        ("*", r"/items/(?P<number>\d+)/"): ("open", ()),
    }


class Switch:
    """A middleware that does not say how it selects among applications."""

    def __init__(self, *apps: Any) -> None:
        self.choices = apps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.choices[0](scope, receive, send)


def test_a_way_around_the_guard_is_found(guard: Guard) -> None:
    inner = Starlette(routes=[Route("/orders", handler())])
    table = route_table(Switch(GuardMiddleware(inner, guard=guard), inner))
    assert sorted(row.access for row in table) == ["open", "token"]
    assert not_allowed(table, [])


def test_middleware_that_serves_files_or_wraps_another_kind_of_application_is_followed(guard: Guard) -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/orders", view_func=lambda: "", endpoint="orders")
    init_app(app, guard, mounts=["/files"])
    app.wsgi_app = ProxyFix(SharedDataMiddleware(app.wsgi_app, {"/files": "/srv"}))  # type: ignore[method-assign]
    outer = FastAPI(openapi_url=None)
    outer.mount("/flask", WsgiToAsgi(app))
    assert rows_of(outer) == {("*", "/flask/files/*"): ("open", ()), ("GET", "/flask/orders"): ("token", ())}


def small_flask(guard: Guard) -> Flask:
    app = Flask(__name__, static_folder=None)
    init_app(app, guard, public=["/healthz"])
    app.add_url_rule("/healthz", view_func=lambda: "", endpoint="healthz")
    app.add_url_rule("/orders", view_func=lambda: "", endpoint="orders")
    return app


def test_the_assertion_names_the_routes_that_are_open(guard: Guard) -> None:
    app = small_flask(guard)
    assert_no_public_routes(app, allow=["/healthz"])
    with pytest.raises(AssertionError, match="GET /healthz is public"):
        assert_no_public_routes(app)
    with pytest.raises(AssertionError, match="no routes"):
        assert_no_public_routes(Flask(__name__, static_folder=None))


@pytest.mark.parametrize("allow", ["/healthz", ["healthz"], ["/*"], [None], None])
def test_an_allowance_that_is_not_a_list_of_paths_is_refused(allow: Any, guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="allow"):
        assert_no_public_routes(small_flask(guard), allow=allow)


def test_an_allowance_for_no_open_route_is_reported(guard: Guard) -> None:
    table = route_table(small_flask(guard))
    assert unused(table, ["/healthz", "/orders", "/gone/*"]) == ["/orders", "/gone/*"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> Callable[..., Any]:
    monkeypatch.setattr("route_apps.small", lambda: small_flask(guard), raising=False)
    monkeypatch.setattr("route_apps.empty", Starlette, raising=False)
    monkeypatch.setattr("route_apps.READ", "a text", raising=False)
    monkeypatch.setattr("route_apps.wrong", lambda: Guard(tenant="common", audience="x"), raising=False)
    monkeypatch.setattr("route_apps.leave", lambda: sys.exit(1), raising=False)
    return lambda *options: CliRunner().invoke(group, ["routes", *options])


def test_the_command_lists_routes_and_fails_on_public_ones_that_are_not_allowed(
    run: Callable[..., Any],
) -> None:
    shown = run("route_apps:small()")
    assert shown.exit_code == 0
    assert re.search(r"ok +GET +/orders +any valid token\n", shown.output)
    assert "2 routes: 1 needs a token, 1 does not." in shown.output
    assert run("route_apps:small()", "--fail-on-public").exit_code == 1
    assert run("route_apps:empty()", "--fail-on-public").exit_code == 1
    allowed = run("route_apps:small()", "--fail-on-public", "--allow", "/healthz", "--allow", "/gone")
    assert allowed.exit_code == 0
    assert "--allow /gone: no open route has this path" in allowed.output
    rows = json.loads(run("route_apps:small()", "--json").output)
    assert [(row["path"], row["access"], row["allowed"]) for row in rows] == [
        ("/healthz", "public", False),
        ("/orders", "token", True),
    ]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("route_apps", "must be module:object"),
        ("no_such_module:app", "'no_such_module' is not installed"),
        ("route_apps:nothing", "has no 'nothing'"),
        ("factory_of_routes:app", "Do you mean factory_of_routes:create_app()?"),
        ("needs_variable:app", "raised KeyError: 'ORDERS_URL'. Is the environment variable set?"),
        ("needs_key:app", "raised KeyError. To see more"),
        ("route_apps:flask_app()", "raised TypeError"),
        ("route_apps:wrong()", "ConfigurationError: tenant='common' accepts tokens from any tenant"),
        ("route_apps:leave()", "it must not call sys.exit()"),
        ("route_apps:small", "write 'route_apps:small()'"),
        ("route_apps:GuardMiddleware", "is a class"),
        ("route_apps:READ", "app must be an application, got str"),
    ],
)
def test_an_application_that_cannot_be_imported_is_reported(
    name: str, complaint: str, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "factory_of_routes.py").write_text("def create_app(): ...\n")
    (tmp_path / "needs_variable.py").write_text("app = {}['ORDERS_URL']\n")
    (tmp_path / "needs_key.py").write_text("app = {}['a password']\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = run(name)
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.split())
