"""A CORS preflight carries no token: only CORS handling responds to it, and nothing of the application runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from flask import Flask, request
from flask_cors import CORS
from raw_requests import request_asgi, request_wsgi
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from entra_guard._web import preflight
from entra_guard.asgi import GuardMiddleware
from entra_guard.flask import init_app
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard
    from entra_guard.testing import Entra

SPA = "https://spa.example"
PREFLIGHT: Any = [(b"origin", SPA.encode()), (b"access-control-request-method", b"GET")]
BROWSER = {"Origin": SPA, "Access-Control-Request-Method": "GET"}


def recording(ran: list[str]) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        ran.append("application")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    return app


def fields_of(app: Any, headers: Any = PREFLIGHT, path: str = "/") -> tuple[int, dict[bytes, bytes]]:
    """Send a preflight, and return the status and the headers of its response."""
    fields: dict[bytes, bytes] = {}

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            fields.update(message.get("headers", ()))
            await send(message)

        await app(scope, receive, watched)

    return request_asgi(watching, path, [], method="OPTIONS", headers=headers).status, fields


# --- Starlette's CORSMiddleware, directly inside of the guard -----------------------------------------


def test_starlettes_cors_middleware_responds_and_nothing_inside_of_it_runs(guard: Guard) -> None:
    ran: list[str] = []
    inner = CORSMiddleware(recording(ran), allow_origins=[SPA], allow_headers=["Authorization"])
    status, fields = fields_of(GuardMiddleware(inner, guard=guard))
    assert (status, fields[b"access-control-allow-origin"]) == (200, SPA.encode())
    assert b"GET" in fields[b"access-control-allow-methods"]
    assert ran == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"origin", b""), (b"access-control-request-method", b"GET")], 400),
        ([(b"origin", SPA.encode()), (b"access-control-request-method", b"")], 400),
        ([(b"origin", SPA.encode()), (b"access-control-request-method", b"NONSENSE")], 400),
        ([(b"origin", SPA.encode()), (b"origin", b"https://other.example"), PREFLIGHT[1]], 200),
        ([(b"origin", b"https://other.example"), *PREFLIGHT], 400),
        ([PREFLIGHT[0], (b"access_control_request_method", b"GET")], 401),
        ([PREFLIGHT[0], (b"Access-Control-Request-Method", b"GET")], 401),
        (PREFLIGHT[:1], 401),
        (PREFLIGHT[1:], 401),
    ],
)
def test_a_forged_preflight_never_passes_cors_middleware(guard: Guard, headers: Any, status: int) -> None:
    ran: list[str] = []
    app = GuardMiddleware(CORSMiddleware(recording(ran), allow_origins=[SPA]), guard=guard)
    assert fields_of(app, headers)[0] == status
    assert ran == []


class DelegatingCORSMiddleware(CORSMiddleware):
    """Leaves some paths to the application, as real subclasses do."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Wrapper:
    """Looks like CORSMiddleware to `isinstance`, and is another object."""

    __class__: Any = CORSMiddleware

    def __init__(self, app: Any, **_settings: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("kind", [DelegatingCORSMiddleware, Wrapper])
def test_other_cors_middleware_gets_no_preflight(guard: Guard, kind: Any) -> None:
    ran: list[str] = []
    app = GuardMiddleware(kind(recording(ran), allow_origins=[SPA]), guard=guard)
    assert fields_of(app)[0] == 401
    assert ran == []


def test_a_websocket_with_the_headers_of_a_preflight_is_refused(guard: Guard) -> None:
    ran: list[str] = []
    app = GuardMiddleware(CORSMiddleware(recording(ran), allow_origins=[SPA]), guard=guard)
    sent: list[Any] = []

    async def main() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/", "headers": PREFLIGHT, "method": "OPTIONS"}
        await app(scope, send, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert ran == []


def test_cors_handling_deeper_inside_gets_no_preflight(guard: Guard) -> None:
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("in"))])
    app.add_middleware(CORSMiddleware, allow_origins=[SPA])
    assert fields_of(GuardMiddleware(app, guard=guard))[0] == 401


def test_cors_handling_outside_responds_to_preflights_and_lets_pages_read_refusals(guard: Guard) -> None:
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("in"))])
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_middleware(CORSMiddleware, allow_origins=[SPA])
    assert fields_of(app)[0] == 200


# --- Flask responds itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config", ["plain", "TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS"]
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_guard_responds_for_flask_and_flask_cors_adds_its_headers(
    guard: Guard, config: str, order: int
) -> None:
    app = Flask(__name__)
    app.config[config] = True
    extend: list[Callable[[], object]] = [lambda: init_app(app, guard), lambda: CORS(app, origins=[SPA])]
    for extension in extend[::order]:
        extension()
    app.errorhandler(Exception)(lambda error: (str(error), 500))
    app.get("/orders")(lambda: "orders")
    response = app.test_client().options("/orders", headers=BROWSER)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, SPA)
    assert "GET" in response.headers["allow"]


def test_no_function_of_a_flask_application_runs_for_a_preflight(guard: Guard) -> None:
    app, ran = Flask(__name__), []
    app.url_value_preprocessor(lambda *_: ran.append("registered before"))
    init_app(app, guard)
    app.url_value_preprocessor(lambda *_: ran.append("registered after"))
    app.url_value_preprocessors[None].insert(0, lambda *_: ran.append("put first"))
    app.before_request(lambda: ran.append("before_request"))
    app.before_request_funcs[None].insert(0, lambda: ran.append("put first"))
    app.get("/orders")(lambda: ran.append("view") or "orders")
    client = app.test_client()
    assert client.options("/orders", headers=BROWSER).status_code == 200
    assert client.options("/orders").status_code == client.get("/orders").status_code == 401
    assert ran == []


@pytest.mark.parametrize("how", ["lists OPTIONS", "disables the automatic response"])
def test_a_flask_view_for_options_needs_a_token(guard: Guard, entra: Entra, how: str) -> None:
    app, ran = Flask(__name__), []
    init_app(app, guard)

    def view() -> str:
        ran.append(request.method)
        return "done"

    if how == "lists OPTIONS":
        app.add_url_rule("/", view_func=view, methods=["GET", "OPTIONS"])
    else:
        app.add_url_rule("/", view_func=view, methods=["OPTIONS"], provide_automatic_options=False)
    client = app.test_client()
    assert client.options("/", headers=BROWSER).status_code == 401
    assert ran == []
    authorized = BROWSER | {"Authorization": f"Bearer {entra.token()}"}
    assert client.options("/", headers=authorized).text == "done"


# --- Django ------------------------------------------------------------------------------------------

GUARD = "entra_guard.django.GuardMiddleware"
PRETENDED_CORS = "django_site.PretendedCorsMiddleware"


@pytest.mark.parametrize("path", ["/orders", "/async/orders", "/careless", "/rest/orders"])
@pytest.mark.parametrize(
    ("handler", "send_request"), [(WSGIHandler, request_wsgi), (ASGIHandler, request_asgi)]
)
@pytest.mark.parametrize(
    ("middleware", "status"),
    [([GUARD], 401), ([PRETENDED_CORS, GUARD], 200), ([GUARD, PRETENDED_CORS], 401)],
)
def test_in_django_only_cors_handling_before_the_guard_responds(
    guard: Guard, path: str, handler: Any, send_request: Any, middleware: list[str], status: int
) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=middleware):
        response = send_request(handler(), path, [], method="OPTIONS", headers=PREFLIGHT)
    assert response.status == status


# --- The log -----------------------------------------------------------------------------------------


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    monkeypatch.setattr(preflight, "_logged", set())
    caplog.set_level(logging.WARNING, "entra_guard")
    return lambda: [r.getMessage() for r in caplog.records if "preflight was refused" in r.getMessage()]


def starlette_with_the_guard_last(guard: Guard) -> Any:
    app = Starlette(routes=[Mount("/", PlainTextResponse("in"))])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


@pytest.mark.parametrize(
    ("make", "send_request", "lines"),
    [
        (
            starlette_with_the_guard_last,
            request_asgi,
            ("app.add_middleware(GuardMiddleware", "app.add_middleware(CORSMiddleware"),
        ),
        (
            lambda guard: GuardMiddleware(recording([]), guard=guard),
            request_asgi,
            ("app = GuardMiddleware(app", "app = CORSMiddleware(app"),
        ),
        (
            lambda guard: WsgiGuardMiddleware(lambda *_: [], guard=guard),
            request_wsgi,
            ("app = GuardMiddleware(app", "app = YourCORSMiddleware(app"),
        ),
    ],
)
def test_the_first_refused_preflight_is_logged_with_the_two_lines_that_fix_it(
    guard: Guard, warnings: Callable[[], list[str]], make: Any, send_request: Any, lines: tuple[str, str]
) -> None:
    app = make(guard)
    for _ in range(3):
        assert send_request(app, "/", [], method="OPTIONS", headers=PREFLIGHT).status == 401
    [warning] = warnings()
    _text, first, second = warning.splitlines()
    assert first.strip().startswith(lines[0])
    assert second.strip().startswith(lines[1])


def test_a_request_that_is_not_a_preflight_is_not_reported_as_one(
    guard: Guard, warnings: Callable[[], list[str]]
) -> None:
    app = GuardMiddleware(recording([]), guard=guard)
    assert request_asgi(app, "/", [], method="GET", headers=PREFLIGHT).status == 401
    assert warnings() == []
