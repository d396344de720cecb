"""The examples in docs/telemetry.md let Quart and Falcon report the template of a route."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import falcon.asgi
import pytest
import quart
from log_checks import collected_logs
from raw_requests import request_asgi

from entra_guard.asgi import GuardMiddleware
from entra_guard.testing import Entra

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"


class Orders:
    async def on_get(self, _request: Any, response: Any, number: str) -> None:
        response.text = number


def quart_app(names: dict[str, Any]) -> Any:
    app = quart.Quart(__name__)
    app.before_request(names["name_route"])
    app.add_url_rule("/orders/<number>", view_func=lambda number: number, endpoint="order")
    return app


def falcon_app(names: dict[str, Any]) -> Any:
    app: Any = falcon.asgi.App(middleware=[names["NameRoute"]()])
    app.add_route("/orders/{number}", Orders())
    return app


@pytest.mark.parametrize(
    ("make", "template"), [(quart_app, "/orders/<number>"), (falcon_app, "/orders/{number}")]
)
def test_the_template_of_the_route_is_recorded(make: Any, template: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(next(block for block in blocks if "path_template" in block), names)
    entra = Entra(app_roles=["Orders.Read"])
    app = GuardMiddleware(make(names), guard=entra.guard())
    token = [b"Bearer " + entra.token(roles=["Orders.Read"]).encode()]
    with collected_logs() as records:
        assert request_asgi(app, "/orders/7", token, method="GET").status == 200
        assert request_asgi(app, "/nowhere", token, method="GET").status == 404
    routes = [vars(each)["entra_guard"].get("route") for each in records if "entra_guard" in vars(each)]
    assert routes == [template, None]
