"""The readiness endpoint of ASGI applications."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from raw_requests import request_asgi
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from entra_guard import AccessError, Guard
from entra_guard.asgi import GuardMiddleware, health_app

if TYPE_CHECKING:
    from entra_guard.testing import Entra


def test_health_app_follows_the_keys(entra: Entra) -> None:
    with entra.failing("configuration", "500"):
        response = request_asgi(health_app(entra.guard()), "/", [])
        assert (response.status, response.content_type) == (503, "application/json")
    guard = entra.guard()
    guard.verify(entra.token())
    response = request_asgi(health_app(guard), "/", [])
    assert (response.status, response.cache_control) == (200, "no-store")
    assert request_asgi(health_app(guard), "/", [], method="HEAD").body == b""


def test_probes_alone_make_the_guard_ready(entra: Entra) -> None:
    """No traffic comes to a pod that is not ready: the probe itself must start the first fetch."""
    health = health_app(entra.guard())
    deadline = time.monotonic() + 30
    while request_asgi(health, "/", []).status != 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert request_asgi(health, "/", []).status == 200


def test_health_app_works_on_a_public_path(entra: Entra) -> None:
    guard = entra.guard()
    guard.verify(entra.token())
    app = Starlette(routes=[Route("/readyz", health_app(guard))])
    app.add_middleware(GuardMiddleware, guard=guard, public=["/readyz"])
    told = TestClient(app).get("/readyz").json()
    assert told["status"] == "ok"
    assert set(told) == {
        "status", "kids", "age_seconds", "generation", "failures", "refused", "failed_step", "next_attempt_seconds",
    }  # fmt: skip


def test_health_app_closes_websockets(entra: Entra) -> None:
    with pytest.raises(WebSocketDisconnect):
        TestClient(health_app(entra.guard())).websocket_connect("/").__enter__()


def test_the_public_body_names_no_host_and_no_clock(entra: Entra) -> None:
    proxied = Guard(
        tenant=entra.tenant_id,
        audience=entra.api.client_id,
        authority="https://login.internal.example",
        proxy="http://user:password@proxy.internal.example:9",
    )
    for guard in (proxied, proxied | entra.guard()):
        with suppress(AccessError):
            guard.verify(entra.token())
        text = request_asgi(health_app(guard), "/", []).body.decode()
        assert "internal" not in text
        assert entra.url not in text
        body = json.loads(text)
        assert body["failed_step"] in {"proxy", "dns", "connect", "timeout"}
        assert all(abs(body[name] or 0) < 3600 for name in ("age_seconds", "next_attempt_seconds"))
        assert "." not in str(body["next_attempt_seconds"])
