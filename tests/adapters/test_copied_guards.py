"""Frameworks deep-copy routers with the middleware in them: copies share the guard."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from litestar import Litestar, Router, get
from litestar.middleware import DefineMiddleware
from raw_requests import request_asgi, request_wsgi
from route_apps import bare_asgi, bare_wsgi

from entra_guard import asgi, wsgi
from entra_guard.fastapi import EntraBearer

if TYPE_CHECKING:
    from entra_guard import Guard
    from entra_guard.testing import Entra


@get("/orders")
async def orders() -> str:
    return "done"


def test_a_router_of_litestar_can_have_a_guard(entra: Entra, guard: Guard) -> None:
    kind: Any = asgi.GuardMiddleware
    router = Router("/v1", route_handlers=[orders], middleware=[DefineMiddleware(kind, guard=guard)])
    app: Any = Litestar([router, orders], openapi_config=None, logging_config=None)
    assert request_asgi(app, "/v1/orders", [], method="GET").status == 401
    token = [f"Bearer {entra.token(roles=['Orders.Read'])}".encode()]
    assert request_asgi(app, "/v1/orders", token, method="GET").status == 200
    assert request_asgi(app, "/orders", [], method="GET").status == 200


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copied_guard_is_the_same_guard(copied: Any, guard: Guard) -> None:
    both = guard | guard
    assert copied([guard, both]) == [guard, both]
    assert copied(EntraBearer(guard)).guard is guard


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copied_middleware_refuses_and_accepts_as_before(copied: Any, entra: Entra, guard: Guard) -> None:
    token = [f"Bearer {entra.token(roles=['Orders.Read'])}".encode()]
    on_asgi = copied(asgi.GuardMiddleware(bare_asgi, guard=guard, public=["/healthz"]))
    on_wsgi = copied(wsgi.GuardMiddleware(bare_wsgi, guard=guard, public=["/healthz"]))
    for path, headers, status in (("/orders", [], 401), ("/orders", token, 200), ("/healthz", [], 200)):
        assert request_asgi(on_asgi, path, headers, method="GET").status == status
        assert request_wsgi(on_wsgi, path, headers, method="GET").status == status
