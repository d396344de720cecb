"""@requires above a route's own decorator in Flask and other WSGI frameworks: the route is refused."""

from __future__ import annotations

import logging
from typing import Any

import bottle
import pytest
from decorator_orders import Bearer, a_function, another, needs_admin
from flask import Blueprint, Flask
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as WsgiClient

from entra_guard import ConfigurationError, Guard, flask
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware


class TestFlask:
    @pytest.mark.parametrize("way", ["init_app", "around"])
    @pytest.mark.parametrize("place", ["app", "blueprint", "between"])
    def test_views(self, guard: Guard, bearer: Bearer, way: str, place: str) -> None:
        app, blueprint = Flask(__name__), Blueprint("orders", __name__)
        target: Any = app if place == "app" else blueprint
        decorate = another if place == "between" else lambda function: function

        @needs_admin
        @decorate
        @target.get("/orders")
        def orders() -> str:
            return "orders"

        app.register_blueprint(blueprint)
        app.get("/right")(needs_admin(lambda: "right"))
        served: Any = app
        if way == "init_app":
            flask.init_app(app, guard, public=["/public"])
        else:
            served = WsgiGuardMiddleware(app, guard=guard)
        app.testing = True
        client = WsgiClient(served)
        with pytest.raises(ConfigurationError, match=r"orders .*directly above"):
            client.get("/orders", headers=bearer())
        if way == "init_app":
            app.testing = False
            assert client.get("/orders", headers=bearer()).status_code == 500
            assert client.get("/right", headers=bearer()).status_code == 403

    def test_views_that_are_added_after_the_first_request(self, guard: Guard, bearer: Bearer) -> None:
        app = Flask(__name__)
        wrapped = WsgiGuardMiddleware(app.wsgi_app, guard=guard)
        client = WsgiClient(wrapped)
        assert client.get("/orders", headers=bearer()).status_code == 404
        route = a_function()
        needs_admin(route)
        assert client.get("/orders", headers=bearer()).status_code == 404
        app.view_functions["orders"] = route
        with pytest.raises(ConfigurationError, match="orders"):
            client.get("/orders", headers=bearer())

    def test_a_view_on_a_public_path_is_refused_too(self, guard: Guard) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard, public=["/orders"])

        @needs_admin
        @app.get("/orders")
        def orders() -> str:
            return "orders"

        assert app.test_client().get("/orders").status_code == 500

    def test_class_based_views_are_served(self, guard: Guard, bearer: Bearer) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard)

        class Orders(MethodView):
            decorators = [needs_admin]  # noqa: RUF012

            def get(self) -> str:
                return "orders"

        app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
        app.add_url_rule("/wrapped", view_func=needs_admin(Orders.as_view("wrapped")))
        for at in ("/orders", "/wrapped"):
            assert app.test_client().get(at, headers=bearer()).status_code == 403

    def test_a_view_that_is_also_open_on_purpose_is_reported_once(
        self, guard: Guard, bearer: Bearer, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = Flask(__name__)
        flask.init_app(app, guard)

        def orders() -> str:
            return "orders"

        app.add_url_rule("/open", "open", orders)
        app.add_url_rule("/orders", "orders", needs_admin(orders))
        with caplog.at_level(logging.WARNING, "entra_guard"):
            for _request in range(3):
                assert app.test_client().get("/open", headers=bearer()).status_code == 200
        assert app.test_client().get("/orders", headers=bearer()).status_code == 403
        assert len([r for r in caplog.records if "registered for a route" in r.getMessage()]) == 1


def test_bottle_routes(guard: Guard, bearer: Bearer) -> None:
    app = bottle.Bottle()

    @needs_admin
    @app.route("/orders")
    def orders() -> str:
        return "orders"

    with pytest.raises(ConfigurationError, match="orders"):
        WsgiClient(WsgiGuardMiddleware(app, guard=guard)).get("/orders", headers=bearer())


@pytest.mark.parametrize("way", ["dispatcher", "bottle", "bottle wsgi"])
def test_wsgi_mounts(guard: Guard, bearer: Bearer, way: str) -> None:
    def orders() -> str:
        return "orders"

    needs_admin(orders)
    if way == "dispatcher":
        inner = Flask(__name__)
        inner.get("/orders")(orders)
        app: Any = DispatcherMiddleware(Flask(__name__), {"/mount": inner})
    else:
        app, mounted = bottle.Bottle(), bottle.Bottle()
        mounted.get("/orders")(orders)
        app.mount("/mount/", mounted if way == "bottle" else ProxyFix(mounted))
    with pytest.raises(ConfigurationError, match="orders"):
        WsgiClient(WsgiGuardMiddleware(app, guard=guard)).get("/mount/orders", headers=bearer())


def test_a_wsgi_mount_that_comes_after_the_first_request(guard: Guard, bearer: Bearer) -> None:
    inner, dispatcher = Flask(__name__), DispatcherMiddleware(Flask(__name__))
    dispatcher.mounts = {}
    client = WsgiClient(WsgiGuardMiddleware(dispatcher, guard=guard))

    def orders() -> str:
        return "orders"

    needs_admin(orders)
    inner.get("/orders")(orders)
    assert client.get("/mount/orders", headers=bearer()).status_code == 404
    dispatcher.mounts["/mount"] = inner
    with pytest.raises(ConfigurationError, match="orders"):
        client.get("/mount/orders", headers=bearer())
