"""A CORS preflight carries no token and must pass; but no stranger learns or changes anything with one."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from bare_requests import ask_asgi, ask_wsgi, environ_of
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from flask import Flask, g, request
from litestar import Litestar, get
from litestar.config.cors import CORSConfig
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from entra_guard import current_principal
from entra_guard.asgi import GuardMiddleware
from entra_guard.flask import init_app
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard import Guard
    from entra_guard.testing import Entra

    Bearer = Callable[..., dict[str, str]]

SPA = "https://spa.example"
PREFLIGHT: Any = [(b"origin", SPA.encode()), (b"access-control-request-method", b"GET")]
SECRET = b"what only callers may know"
FIELDS = [
    ("Set-Cookie", "session=1"),
    ("Location", "/secret"),
    ("Access-Control-Allow-Origin", SPA),
    ("Vary", "Origin"),
]


class Careless:
    """An application that does not look at the method, in both worlds."""

    def __init__(self) -> None:
        self.read = b""

    async def asgi(self, _scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            self.read += message["body"]
        self.read += message["body"]
        fields = [(name.encode(), value.encode()) for name, value in FIELDS]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": SECRET, "more_body": True})
        await send({"type": "http.response.body", "body": SECRET})

    def wsgi(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        self.read = environ["wsgi.input"].read()
        write = start_response("200 OK", FIELDS)
        write(SECRET)
        yield SECRET
        yield SECRET


def test_of_an_answer_nothing_but_status_and_cors_headers_comes_out_of_asgi(guard: Guard) -> None:
    careless, sent = Careless(), []
    body = [{"type": "http.request", "body": b"delete everything", "more_body": False}]

    async def main() -> None:
        async def receive() -> Any:
            return body.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "OPTIONS", "path": "/", "headers": PREFLIGHT}
        await GuardMiddleware(careless.asgi, guard=guard)(scope, receive, send)

    asyncio.run(main())
    start, end = sent
    assert (start["status"], end["body"], end.get("more_body", False)) == (200, b"", False)
    assert {name for name, _ in start["headers"]} == {b"Access-Control-Allow-Origin", b"Vary"}
    assert careless.read == b""


def test_of_an_answer_nothing_but_status_and_cors_headers_comes_out_of_wsgi(guard: Guard) -> None:
    careless, started, written = Careless(), [], []

    def start(status: str, headers: Any, _exc_info: Any = None) -> Any:
        started.append((status, headers))
        return written.append

    environ = environ_of("/", [], method="OPTIONS", headers=PREFLIGHT)
    environ |= {"wsgi.input": io.BytesIO(b"delete everything"), "CONTENT_LENGTH": "17"}
    body: Any = WsgiGuardMiddleware(careless.wsgi, guard=guard)(environ, start)
    assert (b"".join(body), written, careless.read) == (b"", [], b"")
    [(status, headers)] = started
    assert status == "200 OK"
    assert headers == FIELDS[2:]


def test_a_body_is_closed_that_nobody_reads(guard: Guard) -> None:
    closed: list[bool] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            start_response("200 OK", [])
            yield b"first"
            raise AssertionError
        finally:
            closed.append(True)

    ask_wsgi(WsgiGuardMiddleware(app, guard=guard), "/", [], method="OPTIONS", headers=PREFLIGHT)
    assert closed == [True]


def test_an_application_that_waits_for_the_client_to_leave_sees_it_leave(guard: Guard) -> None:
    seen: list[str] = []
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"delete"}]

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    async def main() -> None:
        async def receive() -> Any:
            return messages.pop()

        scope = {"type": "http", "method": "OPTIONS", "path": "/", "headers": PREFLIGHT}
        await GuardMiddleware(app, guard=guard)(scope, receive, receive)

    asyncio.run(main())
    assert seen == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("missing", [0, 1])
def test_what_is_no_preflight_needs_a_token(guard: Guard, missing: int) -> None:
    headers = [PREFLIGHT[missing]]
    for app, ask in (
        (GuardMiddleware(Careless().asgi, guard=guard), ask_asgi),
        (WsgiGuardMiddleware(Careless().wsgi, guard=guard), ask_wsgi),
    ):
        assert ask(app, "/", [], method="OPTIONS", headers=headers).status == 401
        assert ask(app, "/", [], method="GET", headers=PREFLIGHT).status == 401


def test_cors_handling_that_nobody_can_see_from_outside_still_answers(guard: Guard) -> None:
    @get("/orders", sync_to_thread=False)
    def orders() -> str:
        return "orders"

    app = Litestar(
        [orders], openapi_config=None, logging_config=None, cors_config=CORSConfig(allow_origins=[SPA])
    )
    answer = ask_asgi(GuardMiddleware(app, guard=guard), "/orders", [], method="OPTIONS", headers=PREFLIGHT)
    assert answer.status == 204


def test_an_ordinary_answer_of_starlettes_cors_middleware_gets_out(guard: Guard) -> None:
    app = Starlette(routes=[Route("/orders", lambda _request: None)])
    app.add_middleware(CORSMiddleware, allow_origins=[SPA])
    guarded, fields = GuardMiddleware(app, guard=guard), {}

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            fields.update(message.get("headers", ()))
            await send(message)

        await guarded(scope, receive, watched)

    assert ask_asgi(watching, "/orders", [], method="OPTIONS", headers=PREFLIGHT).status == 200
    assert fields[b"access-control-allow-origin"] == SPA.encode()
    assert b"GET" in fields[b"access-control-allow-methods"]


# --- Flask -------------------------------------------------------------------------------------------


BROWSER = {"Origin": SPA, "Access-Control-Request-Method": "GET"}


def flask_application(guard: Guard) -> Flask:
    app = Flask(__name__)
    init_app(app, guard)
    app.get("/orders", endpoint="orders")(lambda: SECRET)
    app.route("/all", methods=["GET", "OPTIONS"])(lambda: (SECRET + request.data, {"X-Secret": "1"}))
    return app


def test_flasks_own_answer_stays(guard: Guard) -> None:
    answer = flask_application(guard).test_client().options("/orders", headers=BROWSER)
    assert answer.status_code == 200
    assert "GET" in answer.headers["allow"]


def test_code_that_runs_before_requests_is_not_asked_about_nobody(guard: Guard) -> None:
    app = flask_application(guard)

    @app.before_request
    def remember() -> None:
        g.app_id = current_principal().app_id

    @app.after_request
    def allow(response: Any) -> Any:
        response.headers["Access-Control-Allow-Origin"] = SPA
        return response

    answer = app.test_client().options("/orders", headers=BROWSER)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SPA)


def test_a_view_that_answers_options_itself_tells_nothing_else(guard: Guard) -> None:
    answer = flask_application(guard).test_client().options("/all", headers=BROWSER, data=b"delete")
    assert (answer.status_code, answer.data) == (200, b"")
    assert "x-secret" not in answer.headers


def test_without_our_layer_a_preflight_needs_a_token(guard: Guard) -> None:
    app = flask_application(guard)
    app.wsgi_app = Flask.wsgi_app.__get__(app)  # type: ignore[method-assign]  # somebody put the old one back
    assert app.test_client().options("/all", headers=BROWSER).status_code == 401


# --- Django ------------------------------------------------------------------------------------------

GUARD = "entra_guard.django.GuardMiddleware"
CORS = "django_site.PretendedCorsMiddleware"
BLIND_CORS = "django_site.BlindCorsMiddleware"


@pytest.fixture(params=["/orders", "/async/orders", "/careless"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("handler", "ask"), [(WSGIHandler, ask_wsgi), (ASGIHandler, ask_asgi)])
@pytest.mark.parametrize(
    ("middleware", "status"),
    [([GUARD], 401), ([CORS, GUARD], 200), ([GUARD, CORS], 200), ([GUARD, BLIND_CORS], 401)],
)
def test_in_django_cors_handling_answers_or_nobody_does(
    guard: Guard, path: str, handler: Any, ask: Any, middleware: list[str], status: int
) -> None:
    """Most views of Django do not look at the method, so none is ever run for a preflight."""
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=middleware):
        answer = ask(handler(), path, [], method="OPTIONS", headers=PREFLIGHT)
    assert answer.status == status
    assert SECRET not in answer.body
    if status == 401:
        assert json.loads(answer.body)["reason"] == "missing_token"


@pytest.mark.parametrize(("handler", "ask"), [(WSGIHandler, ask_wsgi), (ASGIHandler, ask_asgi)])
def test_with_cors_handling_inside_callers_and_public_paths_reach_their_views(
    guard: Guard, office: Entra, handler: Any, ask: Any
) -> None:
    with override_settings(
        ENTRA_GUARD={"guard": guard, "public": ["/healthz"]}, MIDDLEWARE=[GUARD, BLIND_CORS]
    ):
        app = handler()
        assert ask(app, "/careless", [b"Bearer " + office.token().encode()]).body == SECRET
        assert ask(app, "/healthz", [], method="OPTIONS", headers=PREFLIGHT).status == 200
