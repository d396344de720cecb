"""What is mounted beside a guarded Flask application is refused, guarded, or open on purpose."""

from __future__ import annotations

from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.middleware.shared_data import SharedDataMiddleware

from entra_guard import ConfigurationError, current_principal
from entra_guard.flask import EntraGuard, init_app
from entra_guard.wsgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard
    from entra_guard.testing import Entra

    Bearer = Callable[..., dict[str, str]]


class Metrics:
    """A WSGI application that records that it ran."""

    def __init__(self) -> None:
        self.ran = 0

    def __call__(self, _environ: Any, start_response: Any) -> list[bytes]:
        self.ran += 1
        start_response("200 OK", [])
        return [b"metrics"]


class OwnDispatcher(DispatcherMiddleware):
    pass


class Holding:
    """Middleware of another library, with an attribute of a name of its own."""

    def __init__(self, app: Any) -> None:
        self._next_one = app

    def handle(self, environ: Any, start_response: Any) -> Any:
        return self._next_one(environ, start_response)


def closing_over(app: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        return app(environ, start_response)

    return middleware


def _passing_on(app: Any, environ: Any, start_response: Any) -> Any:
    return app(environ, start_response)


_global_app: Any = None


def _calling_a_global(environ: Any, start_response: Any) -> Any:
    return _global_app(environ, start_response)


def behind_a_global(app: Any) -> Any:
    """Return a new function that names the application as a global."""
    names = {**globals(), "_global_app": app}
    return FunctionType(_calling_a_global.__code__, names)


class HomeMade:
    """A dispatcher whose table has a name of its own."""

    def __init__(self, app: Any, table: dict[str, Any]) -> None:
        self.app, self.table = app, table

    def __call__(self, environ: Any, start_response: Any) -> Any:
        app = self.table.get(environ["PATH_INFO"], self.app)
        return app(environ, start_response)


def table_in_a_function(app: Any, table: dict[str, Any]) -> Any:
    def dispatch(environ: Any, start_response: Any) -> Any:
        return table.get(environ["PATH_INFO"], app)(environ, start_response)

    return dispatch


WRAPPERS: dict[str, Any] = {
    "a global": behind_a_global,
    "nothing": lambda app: app,
    "ProxyFix": ProxyFix,
    "a function": closing_over,
    "a method": lambda app: Holding(app).handle,
    "a partial": lambda app: partial(_passing_on, app),
    "all of them": lambda app: closing_over(ProxyFix(Holding(partial(_passing_on, app)).handle)),
}
DISPATCHERS: dict[str, Any] = {
    "DispatcherMiddleware": lambda app, metrics: DispatcherMiddleware(app, {"/metrics": metrics}),
    "home-made": lambda app, metrics: HomeMade(app, {"/metrics": metrics}),
    "a function with a table": lambda app, metrics: table_in_a_function(app, {"/metrics": metrics}),
    "a subclass": lambda app, metrics: OwnDispatcher(app, {"/metrics": metrics}),
    "SharedDataMiddleware": lambda app, _metrics: SharedDataMiddleware(app, {"/metrics": "/"}),
    "ProxyMiddleware": lambda app, _metrics: ProxyMiddleware(
        app, {"/metrics": {"target": "http://127.0.0.1:9/"}}
    ),
}


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.get("/orders")(lambda: current_principal().app_id)
    return app


def put_around(app: Flask, layer: Any) -> None:
    app.wsgi_app = layer  # type: ignore[method-assign]


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("dispatch", DISPATCHERS.values(), ids=DISPATCHERS)
def test_an_existing_mount_is_refused(app: Flask, guard: Guard, wrap: Any, dispatch: Any) -> None:
    put_around(app, wrap(dispatch(wrap(app.wsgi_app), Metrics())))
    with pytest.raises(ConfigurationError, match="/metrics") as caught:
        init_app(app, guard)
    assert "entra_guard.wsgi.GuardMiddleware around the whole" in str(caught.value)
    assert "mounts=['/metrics']" in str(caught.value).replace("/metrics/", "/metrics")


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("dispatch", DISPATCHERS.values(), ids=DISPATCHERS)
@pytest.mark.parametrize("path", ["/metrics", "/orders"])
def test_a_mount_that_comes_later_fails_the_first_request_wherever_it_goes(
    app: Flask, guard: Guard, bearer: Bearer, wrap: Any, dispatch: Any, path: str
) -> None:
    metrics = Metrics()
    init_app(app, guard)
    put_around(app, wrap(dispatch(app.wsgi_app, metrics)))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="mounts"):
            app.test_client().get(path, headers=bearer())
    assert metrics.ran == 0


def test_a_mount_that_comes_after_the_first_request_is_refused(
    app: Flask, guard: Guard, bearer: Bearer
) -> None:
    metrics = Metrics()
    init_app(app, guard, mounts=["/metrics"])
    dispatcher = DispatcherMiddleware(app.wsgi_app, {"/metrics": metrics})
    put_around(app, dispatcher)
    client = app.test_client()
    assert client.get("/orders", headers=bearer()).status_code == 200
    assert client.get("/metrics").text == "metrics"
    dispatcher.mounts["/debug"] = metrics
    with pytest.raises(ConfigurationError, match="'/debug'"):
        client.get("/debug")
    assert metrics.ran == 1


@pytest.mark.parametrize("kind", [DispatcherMiddleware, HomeMade, table_in_a_function])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_empty_table_that_is_filled_after_the_first_request(
    app: Flask, guard: Guard, bearer: Bearer, kind: Any, when: str
) -> None:
    metrics, table = Metrics(), dict[str, Any]()
    if when == "after":
        init_app(app, guard)
    layer = kind(app.wsgi_app, table)
    table = getattr(layer, "mounts", table)  # werkzeug replaces an empty one
    put_around(app, layer)
    if when == "before":
        init_app(app, guard)
    client = app.test_client()
    assert client.get("/orders", headers=bearer()).status_code == 200
    table["/metrics"] = metrics
    with pytest.raises(ConfigurationError, match="'/metrics'"):
        client.get("/metrics")
    assert metrics.ran == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_named_mount_is_open_and_the_rest_stays_guarded(
    app: Flask, guard: Guard, entra: Entra, bearer: Bearer, when: str
) -> None:
    if when == "after":
        EntraGuard(app, guard, mounts=["/metrics"])
    put_around(app, DispatcherMiddleware(ProxyFix(app.wsgi_app), {"/metrics": Metrics()}))
    if when == "before":
        EntraGuard(guard=guard, mounts=["/metrics"]).init_app(app)
    client = app.test_client()
    assert client.get("/metrics").text == client.get("/metrics/deep").text == "metrics"
    assert client.get("/orders").status_code == client.get("/metricsx").status_code == 401
    assert client.get("/orders", headers=bearer()).text == entra.caller.client_id


def test_guarded_mounts_need_no_name(app: Flask, guard: Guard, bearer: Bearer) -> None:
    other, another = Flask("other"), Flask("another")
    for made in (other, another):
        init_app(made, guard)
        made.get("/")(lambda: "in")
    init_app(app, guard)
    mounts = {"/m": GuardMiddleware(Metrics(), guard=guard), "/a": other, "/b": another.wsgi_app}
    put_around(app, DispatcherMiddleware(app.wsgi_app, mounts))
    client = app.test_client()
    for path in ("/m", "/a/", "/b/"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer()).status_code == 200


def test_an_unguarded_flask_application_is_a_mount_like_any_other(app: Flask, guard: Guard) -> None:
    put_around(app, DispatcherMiddleware(app.wsgi_app, {"/other": Flask("other")}))
    with pytest.raises(ConfigurationError, match="'/other'"):
        init_app(app, guard)


@pytest.mark.parametrize("with_init_app", [True, False])
def test_the_fix_that_the_error_names_works(
    app: Flask, guard: Guard, entra: Entra, bearer: Bearer, with_init_app: bool
) -> None:
    put_around(app, DispatcherMiddleware(app.wsgi_app, {"/metrics": Metrics()}))
    put_around(app, GuardMiddleware(app.wsgi_app, guard=guard))
    if with_init_app:
        init_app(app, guard)
    client = app.test_client()
    assert client.get("/metrics").status_code == client.get("/orders").status_code == 401
    assert client.get("/metrics", headers=bearer()).text == "metrics"
    assert client.get("/orders", headers=bearer()).text == entra.caller.client_id


def test_the_application_keeps_its_name_and_kind(guard: Guard) -> None:
    class Shop(Flask):
        """A shop."""

    app = Shop(__name__)
    before = repr(app)
    init_app(app, guard)
    assert (repr(app), type(app).__name__, type(app).__doc__) == (before, "Shop", "A shop.")
    assert isinstance(app, Shop)
    assert repr(Shop(__name__)) == before


@pytest.mark.parametrize("mounts", ["/metrics", b"/metrics", None, 7, ["metrics"], ["/"], [None], [""]])
def test_mounts_are_a_list_of_prefixes(app: Flask, guard: Guard, mounts: Any) -> None:
    with pytest.raises(ConfigurationError, match="mounts"):
        init_app(app, guard, mounts=mounts)
