"""No error that reaches an application's error handlers or tracker holds a token in a frame of the guard."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

import pytest
from adapter_cases import django_handler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.test import override_settings
from fastapi import Depends, FastAPI, Security
from flask import Flask
from frame_checks import assert_nothing_secret, caught, reachable_frames, root
from raw_requests import request_asgi, request_wsgi
from rest_framework.views import exception_handler as rest_handler
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from entra_guard import AccessError, ConfigurationError, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import refusal
from entra_guard.fastapi import EntraBearer
from entra_guard.flask import init_app
from entra_guard.mcp import protect
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard import Guard
    from entra_guard.testing import Entra

SEEN: list[BaseException] = []


@pytest.fixture(autouse=True)
def seen() -> Iterator[list[BaseException]]:
    SEEN.clear()
    yield SEEN
    SEEN.clear()


def tokens(entra: Entra) -> list[str]:
    return [
        entra.token(preset="expired"),
        entra.token(preset="forged"),
        f'"{entra.token()}"',
        f"{entra.token()} {entra.token()}",
        entra.token(roles=["Orders.Read"]),  # lacks the role
    ]


def check(entra: Entra, send: Any) -> None:
    for token in tokens(entra):
        SEEN.clear()
        with suppress(AccessError):
            send(token)
        assert SEEN, "no error reached the application"
        for error in SEEN:
            assert isinstance(error, AccessError)
            assert_nothing_secret(error, [part for part in token.strip('"').split(".") if len(part) > 30])


@requires(roles=["Orders.Admin"])
async def admin(_request: Any = None) -> Any:
    return PlainTextResponse("the admin's")


async def record(_request: Any, error: Exception) -> Any:
    SEEN.append(error)
    return PlainTextResponse("own", 418)


@pytest.mark.parametrize("how", ["security", "dependency", "route"])
def test_errors_of_fastapis_dependency(entra: Entra, guard: Guard, how: str) -> None:
    app, bearer = FastAPI(exception_handlers={AccessError: record}), EntraBearer(guard)
    dependency = {
        "security": Security(bearer, scopes=["Orders.Admin"]),
        "dependency": Depends(bearer.requires(roles=["Orders.Admin"])),
        "route": Depends(bearer),
    }[how]

    @app.get("/", dependencies=[dependency])
    @requires(roles=["Orders.Admin"])
    def orders() -> str:
        return "the admin's"

    check(entra, lambda token: request_asgi(app, "/", [b"Bearer " + token.encode()]))


def test_errors_of_starlette(entra: Entra, guard: Guard) -> None:
    app = Starlette(routes=[Route("/", admin)], exception_handlers={AccessError: record})
    app.add_middleware(GuardMiddleware, guard=guard)
    token = entra.token(roles=["Orders.Read"])
    request_asgi(app, "/", [b"Bearer " + token.encode()])
    assert SEEN
    assert_nothing_secret(SEEN[0], token.split("."))


def test_errors_of_flask(entra: Entra, guard: Guard) -> None:
    app = Flask(__name__)
    init_app(app, guard)

    @app.get("/")
    @requires(roles=["Orders.Admin"])
    def orders() -> str:
        return "the admin's"

    @app.errorhandler(AccessError)
    def recorded(error: AccessError) -> Any:
        SEEN.append(error)
        return "own", 418

    check(entra, lambda token: request_wsgi(app, "/", [b"Bearer " + token.encode()]))


def recording_handler(exception: Exception, context: Any) -> Any:
    SEEN.append(exception)
    return rest_handler(exception, context)


def test_errors_of_rest_framework(entra: Entra, guard: Guard) -> None:
    app = django_handler(guard, WSGIHandler, middleware=False)
    rest = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["entra_guard.drf.EntraAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "EXCEPTION_HANDLER": "test_frames_adapters.recording_handler",
        "UNAUTHENTICATED_USER": None,
    }

    def send(token: str) -> Any:
        with override_settings(ENTRA_GUARD={"guard": guard}, REST_FRAMEWORK=rest):
            return request_wsgi(app, "/rest/admin", [b"Bearer " + token.encode()])

    check(entra, send)


async def begun(_request: Any) -> StreamingResponse:
    async def chunks() -> Any:
        yield b"begun"
        raise refusal("missing_role")

    return StreamingResponse(chunks())


async def broken(_request: Any) -> None:
    raise ZeroDivisionError


def asgi_app(guard: Guard) -> Any:
    return GuardMiddleware(Starlette(routes=[Route("/begun", begun), Route("/broken", broken)]), guard=guard)


def wsgi_app(guard: Guard) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/begun":
            start_response("200 OK", [])
            raise refusal("missing_role")
        raise ZeroDivisionError

    return WsgiGuardMiddleware(app, guard=guard)


def mcp_app(guard: Guard) -> Any:
    app = Starlette(routes=[Route("/broken", broken)])
    return protect(app, guard, url="https://tasks.example/broken")


def public_mcp_app(guard: Guard) -> Any:
    app = Starlette(routes=[Route("/broken", broken)])
    return protect(app, guard, url="https://tasks.example/mcp", public=["/broken"])


def public_asgi_app(guard: Guard) -> Any:
    return GuardMiddleware(Starlette(routes=[Route("/broken", broken)]), guard=guard, public=["/broken"])


def public_wsgi_app(guard: Guard) -> Any:
    def app(_environ: Any, _start_response: Any) -> Any:
        raise ZeroDivisionError

    return WsgiGuardMiddleware(app, guard=guard, public=["/broken"])


def misplaced_asgi_app(guard: Guard) -> Any:
    async def orders(_request: Any) -> None:
        """Registered before `requires` decorates it."""

    app = Starlette(routes=[Route("/broken", orders)])
    requires(roles=["Orders.Admin"])(orders)
    return GuardMiddleware(app, guard=guard)


def misplaced_wsgi_app(guard: Guard) -> Any:
    app = Flask(__name__)
    orders = app.get("/broken")(lambda: "orders")
    requires(roles=["Orders.Admin"])(orders)
    return WsgiGuardMiddleware(app, guard=guard)


def flask_app(guard: Guard) -> Any:
    app = Flask(__name__)
    app.testing = True  # errors leave the application
    init_app(app, guard)
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
    return app


@pytest.mark.parametrize(
    ("build", "send_request", "path", "kind"),
    [
        (asgi_app, request_asgi, "/begun", AccessError),
        (asgi_app, request_asgi, "/broken", ZeroDivisionError),
        (wsgi_app, request_wsgi, "/begun", AccessError),
        (wsgi_app, request_wsgi, "/broken", ZeroDivisionError),
        (flask_app, request_wsgi, "/broken", ZeroDivisionError),
        (public_asgi_app, request_asgi, "/broken", ZeroDivisionError),
        (public_wsgi_app, request_wsgi, "/broken", ZeroDivisionError),
        (mcp_app, request_asgi, "/broken", ZeroDivisionError),
        (public_mcp_app, request_asgi, "/broken", ZeroDivisionError),
        (misplaced_asgi_app, request_asgi, "/broken", ConfigurationError),
        (misplaced_wsgi_app, request_wsgi, "/broken", ConfigurationError),
    ],
)
def test_errors_that_reach_the_server(
    entra: Entra, guard: Guard, build: Any, send_request: Any, path: str, kind: type[Exception]
) -> None:
    token = entra.token()
    error = caught(lambda: send_request(build(guard), path, [b"Bearer " + token.encode()]))
    assert isinstance(error, kind)
    assert_nothing_secret(error, token.split("."))
    assert any(root(frame.f_globals["__name__"]) == "entra_guard" for frame in reachable_frames(error))


def test_errors_of_a_websocket_with_its_token_in_the_subprotocol(entra: Entra, guard: Guard) -> None:
    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ZeroDivisionError

    async def unused(*_message: Any) -> Any:
        """Neither receive nor send."""

    token = entra.token()
    app = GuardMiddleware(application, guard=guard, subprotocol=True)
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/",
        "headers": [],
        "subprotocols": ["bearer", token],
    }
    error = caught(lambda: asyncio.run(app(scope, unused, unused)))  # type: ignore[arg-type]
    assert isinstance(error, ZeroDivisionError)
    assert_nothing_secret(error, token.split("."))


def test_django_signals_no_error_for_a_refusal(entra: Entra, guard: Guard) -> None:
    app = django_handler(guard, WSGIHandler)
    got_request_exception.connect(lambda **_more: SEEN.append(KeyError()), weak=False, dispatch_uid="frames")
    try:
        for token in tokens(entra):
            assert request_wsgi(app, "/admin", [b"Bearer " + token.encode()]).status in {400, 401, 403}
    finally:
        got_request_exception.disconnect(dispatch_uid="frames")
    assert not SEEN


def test_a_copy_of_a_refusal_keeps_its_facts() -> None:
    error = refusal("missing_role", {"needs": ["Orders.Admin"]}, scope="Orders.Admin")
    again = copy(error)
    assert (again.report(), again.headers, str(again)) == (error.report(), error.headers, str(error))
