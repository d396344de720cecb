"""What the tests about @requires above a route's own decorator share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from entra_guard import ConfigurationError, requires

Bearer = Callable[..., dict[str, str]]
needs_admin = requires(roles=["Orders.Admin"])


def another(function: Any) -> Any:
    """Decorate a function in some other way."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

    else:

        @wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    return decorated


def assert_refused(app: Any, headers: dict[str, str], at: str = "/orders") -> None:
    """The request ends in 500, and the error names the function and the fix."""
    with pytest.raises(ConfigurationError, match=r"orders .*above the route's own decorator.*directly above"):
        TestClient(app).get(at, headers=headers)
    assert TestClient(app, raise_server_exceptions=False).get(at, headers=headers).status_code == 500


def starlette_route(orders: Any, **options: Any) -> Route:
    """A route of a function, and `requires` on the function afterwards."""
    route = Route("/orders", orders, **options)
    needs_admin(orders)
    return route


def a_function() -> Any:
    async def orders(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("orders")

    return orders
