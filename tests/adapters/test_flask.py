"""The guard in Flask: its error handlers, factories, blueprints, classes, async views, tests and proxies."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import Blueprint, Flask, g, request, stream_with_context
from flask.views import MethodView
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

import entra_guard
from entra_guard import AccessError, ConfigurationError, requires
from entra_guard.flask import EntraGuard, current_principal, init_app
from entra_guard.principal import NoPrincipalError
from entra_guard.wsgi import GuardMiddleware as WsgiGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient

    from entra_guard import Guard
    from entra_guard.testing import Entra

    Bearer = Callable[..., dict[str, str]]


def application(guard: Guard, **settings: Any) -> Flask:
    app = Flask(__name__)
    init_app(app, guard, public=["/healthz", "/static/*"], **settings)

    @app.get("/whoami")
    def whoami() -> str:
        assert current_principal == entra_guard.current_principal()
        assert request.environ["REMOTE_USER"] == current_principal.object_id
        return current_principal.app_id

    @app.get("/admin")
    @requires(roles=["Orders.Admin"])
    def admin() -> str:
        return "the admin's"

    @app.get("/async")
    @requires(roles=["Orders.Read"])
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        return entra_guard.current_principal().app_id

    @app.get("/healthz")
    def healthz() -> str:
        return "healthy"

    return app


@pytest.fixture(params=["plain", "TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS"])
def app(request: pytest.FixtureRequest, guard: Guard) -> Flask:
    made = application(guard)
    made.config[request.param] = True
    return made


def test_views_know_the_caller(app: Flask, entra: Entra, bearer: Bearer) -> None:
    assert app.test_client().get("/whoami", headers=bearer()).text == entra.caller.client_id


def test_refusals_become_responses(app: Flask, bearer: Bearer) -> None:
    client = app.test_client()
    assert client.get("/whoami").status_code == 401
    assert client.get("/whoami", headers=bearer(preset="expired")).json["reason"] == "expired"
    refused = client.get("/admin", headers=bearer())
    assert (refused.status_code, refused.mimetype) == (403, "application/problem+json")
    assert refused.headers["www-authenticate"].endswith('scope="Orders.Admin"')


def test_async_views_are_guarded_and_know_the_caller(app: Flask, entra: Entra, bearer: Bearer) -> None:
    client = app.test_client()
    assert client.get("/async", headers=bearer()).status_code == 403
    assert client.get("/async", headers=bearer(roles=["Orders.Read"])).text == entra.caller.client_id


def test_the_guard_runs_before_all_other_functions(guard: Guard, bearer: Bearer) -> None:
    app, ran = Flask(__name__), []
    app.before_request(lambda: ran.append("before"))
    app.url_value_preprocessor(lambda _endpoint, _values: ran.append("values"))
    init_app(app, guard)
    app.get("/orders/<number>")(lambda number: number)
    client = app.test_client()
    assert client.get("/orders/7").status_code == client.get("/nowhere").status_code == 401
    assert ran == []
    assert client.get("/nowhere", headers=bearer()).status_code == 404
    assert client.get("/orders/7", headers=bearer()).text == "7"
    assert ran == ["values", "before"] * 2


@pytest.mark.parametrize("moment", ["before init_app", "after init_app"])
def test_an_error_handler_of_the_application_wins(guard: Guard, bearer: Bearer, moment: str) -> None:
    app = Flask(__name__)

    def own(error: AccessError) -> tuple[str, int]:
        return f"own: {error.reason}", 418

    if moment == "before init_app":
        app.register_error_handler(AccessError, own)
    init_app(app, guard)
    if moment == "after init_app":
        app.register_error_handler(AccessError, own)
    app.get("/admin")(requires(roles=["Orders.Admin"])(lambda: "the admin's"))

    assert app.test_client().get("/admin").text == "own: missing_token"
    assert app.test_client().get("/admin", headers=bearer()).text == "own: missing_role"


def test_a_refusal_is_logged_once_with_any_error_handler(
    guard: Guard, bearer: Bearer, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(guard)
    app.register_error_handler(AccessError, lambda error: (error.reason, 418))
    with caplog.at_level(logging.INFO, "entra_guard"):
        app.test_client().get("/whoami", headers=bearer(preset="expired"))
    assert [record.getMessage()[:26] for record in caplog.records] == ["401 GET /whoami: expired: "]


def test_blueprints_and_their_own_error_handlers(guard: Guard, bearer: Bearer) -> None:
    app, orders = application(guard), Blueprint("orders", __name__, url_prefix="/orders")

    @orders.get("/all")
    @requires(roles=["Orders.Admin"])
    def everything() -> str:
        return "all"

    @orders.errorhandler(AccessError)
    def refused(error: AccessError) -> tuple[str, int]:
        return f"the blueprint's: {error.reason}", error.status

    app.register_blueprint(orders)
    client = app.test_client()
    assert client.get("/orders/all", headers=bearer()).text == "the blueprint's: missing_role"
    assert client.get("/orders/all", headers=bearer(roles=["Orders.Admin"])).text == "all"


def test_method_views(guard: Guard, bearer: Bearer) -> None:
    app = application(guard)

    class Orders(MethodView):
        def get(self) -> str:
            return "read"

        @requires(roles=["Orders.Write"])
        def post(self) -> str:
            return "written"

    class Audit(MethodView):
        decorators = [requires(roles=["Audit.Read"])]  # noqa: RUF012  # as Flask's documentation has it

        async def get(self) -> str:
            return "audited"

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    app.add_url_rule("/audit", view_func=Audit.as_view("audit"))
    client = app.test_client()
    assert client.get("/orders", headers=bearer()).text == "read"
    assert client.post("/orders", headers=bearer()).status_code == 403
    assert client.post("/orders", headers=bearer(roles=["Orders.Write"])).text == "written"
    assert client.get("/audit", headers=bearer()).status_code == 403
    assert client.get("/audit", headers=bearer(roles=["Audit.Read"])).text == "audited"


def test_one_extension_serves_many_applications(entra: Entra, bearer: Bearer) -> None:
    extension = EntraGuard()

    def create_app(**settings: Any) -> Flask:
        app = Flask(__name__)
        extension.init_app(app, entra.guard(), **settings)
        app.get("/")(lambda: "in")
        return app

    assert create_app().test_client().get("/", headers=bearer()).text == "in"
    strict = create_app(roles=["Orders.Admin"]).test_client()
    assert strict.get("/", headers=bearer()).status_code == 403
    assert EntraGuard(Flask(__name__), entra.guard())


def test_an_extension_remembers_its_guard_and_settings(entra: Entra, bearer: Bearer) -> None:
    extension = EntraGuard(guard=entra.guard(), public=["/"], roles=["Orders.Admin"])
    app, other = Flask("one"), Flask("two")
    extension.init_app(app)
    extension.init_app(other, public=[])
    for made in (app, other):
        made.get("/")(lambda: "in")
        made.get("/admin", endpoint="admin")(lambda: "in")
    assert app.test_client().get("/").text == "in"
    assert app.test_client().get("/admin", headers=bearer()).status_code == 403
    assert other.test_client().get("/").status_code == 401


def test_mistakes_fail_when_the_application_is_built(guard: Guard) -> None:
    app = application(guard)
    with pytest.raises(ConfigurationError, match="once"):
        init_app(app, guard)
    with pytest.raises(ConfigurationError, match="needs a guard"):
        EntraGuard(Flask(__name__))


@pytest.mark.parametrize("keeps_context", [True, False])
def test_the_caller_is_known_while_a_body_is_streamed(
    guard: Guard, entra: Entra, bearer: Bearer, keeps_context: bool
) -> None:
    app = application(guard)

    @app.get("/stream")
    def stream() -> Any:
        def chunks() -> Iterator[str]:
            yield current_principal.app_id
            yield entra_guard.current_principal().app_id

        return app.response_class(stream_with_context(chunks()) if keeps_context else chunks())

    assert app.test_client().get("/stream", headers=bearer()).text == entra.caller.client_id * 2


@pytest.mark.parametrize(("close", "text"), [(True, "1"), (None, "123")])
def test_a_streamed_body_ends_with_its_token_with_close_at_expiry(
    entra: Entra, close: bool | None, text: str
) -> None:
    token = entra.token()
    now, end = [entra.now()], entra.guard().verify(token).expires_at
    app = Flask(__name__)
    init_app(app, entra.guard(leeway=0, clock=lambda: now[0]), close_at_expiry=close)

    @app.get("/")
    def stream() -> Iterator[str]:
        yield "1"
        now[0] = end
        yield from "23"

    assert app.test_client().get("/", headers={"Authorization": f"Bearer {token}"}).text == text


@pytest.mark.parametrize("layer", ["init_app", "middleware"])
def test_a_view_that_revokes_its_caller_responds_to_it(entra: Entra, layer: str) -> None:
    guard, app = entra.guard(), Flask(__name__)
    if layer == "init_app":
        init_app(app, guard)
    else:
        app.wsgi_app = WsgiGuard(app.wsgi_app, guard=guard)  # type: ignore[method-assign]

    @app.post("/sign-out")
    def sign_out() -> dict[str, bool]:
        guard.revoke(entra_guard.current_principal().object_id)
        return {"done": True}

    client, headers = app.test_client(), {"Authorization": f"Bearer {entra.token()}"}
    assert client.post("/sign-out", headers=headers).json == {"done": True}
    assert client.post("/sign-out", headers=headers).status_code == 401


def test_there_is_no_principal_after_the_request_or_on_a_public_path(guard: Guard, bearer: Bearer) -> None:
    app = application(guard)

    @app.get("/static/who")
    def who() -> str:
        with pytest.raises(NoPrincipalError):
            _ = current_principal.app_id
        return "nobody"

    client = app.test_client()
    client.get("/whoami", headers=bearer())
    assert client.get("/static/who").text == "nobody"
    with pytest.raises(NoPrincipalError):
        entra_guard.current_principal()


def test_current_principal_is_unbound_outside_of_a_request() -> None:
    assert repr(current_principal) == "<LocalProxy unbound>"
    assert not current_principal


def test_a_preserved_context_still_knows_the_caller(guard: Guard, entra: Entra, bearer: Bearer) -> None:
    with application(guard).test_client() as client:
        client.get("/whoami", headers=bearer())
        assert request.path == "/whoami"
        assert current_principal.app_id == entra.caller.client_id


def test_a_request_context_made_by_hand_is_guarded_and_cleaned_up(
    guard: Guard, entra: Entra, bearer: Bearer
) -> None:
    app = application(guard)
    with app.test_request_context("/whoami", headers=bearer()):
        app.preprocess_request()
        assert entra_guard.current_principal().app_id == entra.caller.client_id
    with pytest.raises(NoPrincipalError):
        entra_guard.current_principal()
    with app.test_request_context("/whoami"), pytest.raises(AccessError, match="missing_token"):
        app.preprocess_request()


def test_a_replaced_wsgi_app_is_still_guarded_and_leaks_no_caller(
    guard: Guard, entra: Entra, bearer: Bearer
) -> None:
    app = application(guard)
    app.wsgi_app = Flask.wsgi_app.__get__(app)  # type: ignore[method-assign]
    client = app.test_client()
    assert client.get("/whoami").status_code == 401
    assert client.get("/whoami", headers=bearer()).text == entra.caller.client_id
    with pytest.raises(NoPrincipalError):
        entra_guard.current_principal()


@pytest.mark.parametrize("order", ["proxy fix first", "guard first"])
def test_behind_a_proxy_with_a_prefix(guard: Guard, bearer: Bearer, order: str) -> None:
    app = Flask(__name__)
    if order == "guard first":
        init_app(app, guard, public=["/healthz"])
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_prefix=1)  # type: ignore[method-assign]
    if order == "proxy fix first":
        init_app(app, guard, public=["/healthz"])
    app.get("/healthz")(lambda: f"{request.remote_addr} {request.script_root}")
    app.get("/orders", endpoint="orders")(lambda: "orders")

    proxied = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Prefix": "/api"}
    client = app.test_client()
    assert client.get("/healthz", headers=proxied).text == "203.0.113.7 /api"
    assert client.get("/orders", headers=proxied).status_code == 401
    assert client.get("/orders", headers=proxied | bearer()).text == "orders"


def test_a_rewritten_path_is_checked_as_flask_routes_it(guard: Guard) -> None:
    app = application(guard)

    def rewriting(environ: Any, start_response: Any, inner: Any = app.wsgi_app) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].replace("/healthz", "/whoami")
        return inner(environ, start_response)

    app.wsgi_app = rewriting  # type: ignore[method-assign]
    assert app.test_client().get("/healthz").status_code == 401


def test_teardown_functions_still_know_the_caller(guard: Guard, entra: Entra, bearer: Bearer) -> None:
    app, seen = application(guard), []

    @app.teardown_request
    def teardown(_error: BaseException | None) -> None:
        seen.append((entra_guard.current_principal().app_id, g.get("entra_guard_bound")))

    app.test_client().get("/whoami", headers=bearer())
    assert seen == [(entra.caller.client_id, None)]


def test_url_converters_run_before_the_guard_of_init_app_and_behind_the_middleware(
    guard: Guard, bearer: Bearer
) -> None:
    converted: list[str] = []

    class Order(BaseConverter):
        def to_python(self, value: str) -> str:
            converted.append(value)
            return value

    def served(protect: Callable[[Flask], object]) -> FlaskClient:
        app = Flask(__name__)
        app.url_map.converters["order"] = Order
        app.add_url_rule("/orders/<order:order>", view_func=lambda order: order, endpoint="order")
        protect(app)
        return app.test_client()

    def put_around(app: Flask) -> None:
        app.wsgi_app = WsgiGuard(app.wsgi_app, guard=guard)  # type: ignore[method-assign]

    client = served(put_around)
    assert (client.get("/orders/1").status_code, converted) == (401, [])
    assert (client.get("/orders/2", headers=bearer()).text, converted) == ("2", ["2"])
    client = served(lambda app: init_app(app, guard))
    assert (client.get("/orders/3").status_code, converted) == (401, ["2", "3"])
