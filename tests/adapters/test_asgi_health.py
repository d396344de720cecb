"""The readiness endpoint of ASGI applications."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from bare_requests import ask_asgi
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from entra_guard import AccessError, Guard
from entra_guard.asgi import GuardMiddleware, health_app

if TYPE_CHECKING:
    from entra_guard.testing import Entra


def test_it_follows_the_keys(office: Entra) -> None:
    with office.failing("configuration", "500"):
        answer = ask_asgi(health_app(office.guard()), "/", [])
        assert (answer.status, answer.content_type) == (503, "application/json")
    guard = office.guard()
    guard.verify(office.token())
    answer = ask_asgi(health_app(guard), "/", [])
    assert (answer.status, answer.cache_control) == (200, "no-store")
    assert ask_asgi(health_app(guard), "/", [], method="HEAD").body == b""


def test_probing_is_enough_to_become_ready(office: Entra) -> None:
    """No traffic comes to a pod that is not ready: the probe itself must start the first fetch."""
    health = health_app(office.guard())
    deadline = time.monotonic() + 5
    while ask_asgi(health, "/", []).status != 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask_asgi(health, "/", []).status == 200


def test_it_is_mounted_on_a_public_path(office: Entra) -> None:
    guard = office.guard()
    guard.verify(office.token())
    app = Starlette(routes=[Route("/readyz", health_app(guard))])
    app.add_middleware(GuardMiddleware, guard=guard, public=["/readyz"])
    told = TestClient(app).get("/readyz").json()
    assert told["status"] == "ok"
    assert set(told) == {
        "status", "kids", "age_seconds", "generation", "failures", "refused", "failed_step", "next_attempt_seconds",
    }  # fmt: skip


def test_it_is_no_websocket(office: Entra) -> None:
    with pytest.raises(WebSocketDisconnect):
        TestClient(health_app(office.guard())).websocket_connect("/").__enter__()


def test_the_public_body_names_no_host_and_no_clock(office: Entra) -> None:
    proxied = Guard(
        tenant=office.tenant_id,
        audience=office.api.client_id,
        authority="https://login.internal.example",
        proxy="http://user:password@proxy.internal.example:9",
    )
    for guard in (proxied, proxied | office.guard()):
        with suppress(AccessError):
            guard.verify(office.token())
        text = ask_asgi(health_app(guard), "/", []).body.decode()
        assert "internal" not in text
        assert office.url not in text
        body = json.loads(text)
        assert body["failed_step"] in {"proxy", "dns", "connect", "timeout"}
        assert all(abs(body[name] or 0) < 3600 for name in ("age_seconds", "next_attempt_seconds"))
        assert "." not in str(body["next_attempt_seconds"])
