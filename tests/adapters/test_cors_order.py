"""A guard outside of CORS handling is logged at start-up, once; inside of it, nothing is logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from entra_guard import current_principal
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard

    Notices = Callable[[], list[str]]

SPA = {"Origin": "https://spa.example"}
CORS = Middleware(CORSMiddleware, allow_origins=["https://spa.example"], expose_headers=["WWW-Authenticate"])


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "entra_guard")
    return lambda: [record.getMessage() for record in caplog.records if "CORS handling" in record.msg]


def test_the_right_order_logs_nothing_and_a_page_may_read_the_refusal(guard: Guard, notices: Notices) -> None:
    app = Starlette(middleware=[CORS, Middleware(GuardMiddleware, guard=guard)])
    response = TestClient(app).get("/", headers=SPA)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://spa.example"
    assert response.headers["access-control-expose-headers"] == "WWW-Authenticate"
    assert notices() == []


def test_the_wrong_order_is_logged_once(guard: Guard, notices: Notices) -> None:
    layers = [Middleware(GuardMiddleware, guard=guard), Middleware(GZipMiddleware), CORS]
    client = TestClient(Starlette(middleware=layers))
    for _ in range(3):
        assert "access-control-allow-origin" not in client.get("/", headers=SPA).headers
    assert len(notices()) == 1
    assert "Let CORSMiddleware run first" in notices()[0]


def test_a_guard_around_the_whole_application_is_logged_too(guard: Guard, notices: Notices) -> None:
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    GuardMiddleware(app, guard=guard)
    assert len(notices()) == 1


def test_add_middleware_runs_the_last_added_first(guard: Guard, notices: Notices) -> None:
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])  # added last, passed first
    assert TestClient(app).get("/", headers=SPA).headers["access-control-allow-origin"] == "*"
    assert notices() == []


def litestar_with_the_guard_among_its_middleware(guard: Guard) -> Any:
    @get("/", sync_to_thread=False)
    def home() -> str:
        return current_principal().app_id

    return Litestar(
        [home],
        middleware=[DefineMiddleware(GuardMiddleware, guard=guard)],
        cors_config=CORSConfig(allow_origins=[SPA["Origin"]]),
        openapi_config=None,
        logging_config=None,
    )


def quart_with_both_around_it(guard: Guard) -> Any:
    app = Quart(__name__)
    app.asgi_app = CORSMiddleware(GuardMiddleware(app.asgi_app, guard=guard), allow_origins=[SPA["Origin"]])
    return app


@pytest.mark.parametrize("make", [litestar_with_the_guard_among_its_middleware, quart_with_both_around_it])
def test_other_frameworks_have_a_right_order_too(guard: Guard, notices: Notices, make: Any) -> None:
    client = TestClient(make(guard))
    refused = client.get("/", headers=SPA)
    assert refused.headers["access-control-allow-origin"] == SPA["Origin"]
    assert refused.status_code == 401
    preflight = client.options("/", headers=SPA | {"Access-Control-Request-Method": "GET"})
    assert preflight.headers["access-control-allow-origin"] == SPA["Origin"]
    assert notices() == []
