"""The fixtures, used as an application's own tests use them."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, Security
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from entra_guard import AccessError, ConfigurationError, Principal, current_principal, flask, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.principal import acting
from entra_guard.testing import Entra, assert_no_public_routes
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from entra_guard.emulator import FaultInjector

reads_orders = requires(roles=["Orders.Read"])


def starlette_app(entra: Entra) -> Any:
    @reads_orders
    def orders(_request: Any) -> PlainTextResponse:
        return PlainTextResponse(current_principal().app_id)

    app = Starlette(routes=[Route("/orders", orders)])
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    return app


def fastapi_app(entra: Entra) -> Any:
    app, bearer = FastAPI(), EntraBearer(entra.guard())

    @app.get("/orders", response_class=PlainTextResponse)
    @reads_orders
    def orders(caller: Principal = Security(bearer)) -> str:  # noqa: B008, FAST002
        return caller.app_id

    return app


def flask_app(entra: Entra) -> Any:
    app = Flask(__name__)
    flask.init_app(app, entra.guard())
    app.get("/orders")(reads_orders(lambda: current_principal().app_id))
    return app


def wsgi_app(entra: Entra) -> Any:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        app_id = reads_orders(lambda: current_principal().app_id)()
        start_response("200 OK", [])
        return [app_id.encode()]

    return WsgiGuardMiddleware(app, guard=entra.guard())


def asgi_function(entra: Entra) -> Any:
    guarded = GuardMiddleware(starlette_app(entra), guard=entra.guard())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await guarded(scope, receive, send)

    return app


@pytest.fixture(params=[starlette_app, fastapi_app, flask_app, wsgi_app, asgi_function])
def app(request: pytest.FixtureRequest, entra: Entra) -> Any:
    return request.param(entra)


def test_a_client_acts_as_a_given_principal(app: Any, entra: Entra, entra_client: Callable[..., Any]) -> None:
    other = entra.register_app("Another")
    reader, stranger = entra_client(app, roles=["Orders.Read"]), entra_client(app)
    assert reader.get("/orders").text == entra.caller.client_id
    assert stranger.get("/orders").status_code == 403
    assert entra_client(app, app=other, roles=["Orders.Read"]).get("/orders").text == other.client_id
    assert entra_client(app, preset="expired").get("/orders").status_code == 401


@pytest.fixture
def django_site(entra: Entra) -> Iterator[None]:
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure()
    with override_settings(
        ALLOWED_HOSTS=["*"],
        ENTRA_GUARD={"guard": entra.guard()},
        MIDDLEWARE=["entra_guard.django.GuardMiddleware"],
        ROOT_URLCONF=__name__,
    ):
        yield


@reads_orders
def django_orders(request: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse(request.principal.app_id)


def __getattr__(name: str) -> Any:
    """Return Django's URLs; they can be built only after its settings."""
    if name == "urlpatterns":
        from django.urls import path

        return [path("orders", django_orders)]
    raise AttributeError(name)


def test_the_django_client_needs_no_application(
    django_site: None, entra: Entra, entra_client: Callable[..., Any]
) -> None:
    reader = entra_client(roles=["Orders.Read"])
    assert reader.get("/orders").content.decode() == entra.caller.client_id
    assert entra_client().get("/orders").status_code == 403


def test_tokens_have_the_requested_claims(entra: Entra, entra_token: Callable[..., str]) -> None:
    guard = entra.guard()
    assert guard.verify(entra_token()).roles == ("access_as_application",)
    assert guard.verify(entra_token(roles=["A", "B"])).roles == ("A", "B")
    alice = guard.verify(entra_token(scopes=["Orders.Read"]))
    assert (alice.scopes, alice.is_app, alice.display_name) == (("Orders.Read",), False, "Alice Adams")
    assert guard.verify(entra_token(user="bob")).display_name == "Bob Brown"
    assert guard.verify(entra_token(version=1)).token_version == "1.0"
    assert guard.verify(entra_token(claims={"acct": 1})).claims["acct"] == 1
    with pytest.raises(AccessError, match="expired"):
        guard.verify(entra_token(preset="expired"))
    with pytest.raises(LookupError, match="Use one of: expired"):
        entra_token(preset="unheard-of")


def test_one_name_may_be_given_without_a_list() -> None:
    entra = Entra(app_roles="Orders.Read", scopes="Orders.Write")
    guard = entra.guard()
    assert guard.verify(entra.token()).roles == ("Orders.Read",)
    assert guard.verify(entra.token(user="alice")).scopes == ("Orders.Write",)
    assert guard.verify(entra.token(roles="Another")).roles == ("Another",)
    assert guard.verify(entra.token(scopes="Another")).scopes == ("Another",)


@pytest.mark.entra(["Orders.Read"])
def test_a_marker_with_an_unnamed_argument_is_refused(request: pytest.FixtureRequest) -> None:
    for name in ("entra_token", "entra_client"):
        with pytest.raises(TypeError, match="arguments by name"):
            request.getfixturevalue(name)


def test_a_client_without_an_application_names_django(entra: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django.test", None)
    with pytest.raises(ImportError, match="pass the application"):
        entra.client()


def test_a_client_can_be_anonymous(app: Any, entra_client: Callable[..., Any]) -> None:
    assert entra_client(app, anonymous=True).get("/orders").status_code == 401
    with pytest.raises(TypeError, match="omit roles"):
        entra_client(app, anonymous=True, roles=["Orders.Read"])


@pytest.mark.entra(roles=["Orders.Read"], user="bob")
class TestWithMarker:
    def test_it_sets_the_defaults(
        self, entra: Entra, entra_token: Callable[..., str], app: Any, entra_client: Callable[..., Any]
    ) -> None:
        principal = entra.guard().verify(entra_token())
        assert (principal.roles, principal.display_name) == (("Orders.Read",), "Bob Brown")
        assert entra_client(app).get("/orders").status_code == 200
        assert entra_client(app, anonymous=True).get("/orders").status_code == 401

    @pytest.mark.entra(roles=["Orders.Write"])
    def test_the_closest_marker_wins(self, entra: Entra, entra_token: Callable[..., str]) -> None:
        principal = entra.guard().verify(entra_token(user="alice"))
        assert (principal.roles, principal.display_name) == (("Orders.Write",), "Alice Adams")


def test_faults_affect_the_guard(entra: Entra, entra_faults: FaultInjector) -> None:
    guard = entra.guard()
    with entra_faults.failing("keys", "500"), pytest.raises(AccessError, match="keys_unavailable"):
        guard.verify(entra.token())


def test_a_credential_of_the_caller_gets_tokens(entra: Entra) -> None:
    token = entra.credential().get_token(entra.api.default_scope).token
    assert entra.guard().verify(token).app_id == entra.caller.client_id


def test_roles_and_scopes_of_the_api_can_be_chosen() -> None:
    with Entra(app_roles=["Orders.Read", "Orders.Write"], scopes=[]) as entra:
        assert entra.guard().verify(entra.token()).roles == ("Orders.Read",)
        assert entra.api.scopes == ()
    with Entra(app_roles=[]) as entra, pytest.raises(AccessError, match="no_permissions"):
        entra.guard().verify(entra.token())


def test_a_guard_may_use_another_client_or_authority(entra: Entra) -> None:
    with httpx.Client(transport=entra.transport) as client:
        assert entra.guard(http_client=client, authority=entra.url).verify(entra.token())


PROJECT = """
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from flask import Flask
from entra_guard.asgi import GuardMiddleware
from entra_guard.flask import init_app

def asgi_app(entra):
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    return app

def flask_app(entra):
    app = Flask(__name__)
    init_app(app, entra.guard())
    app.get("/")(lambda: "hello")
    return app

@pytest.mark.entra(roles=["Orders.Read"])
@pytest.mark.parametrize("create_app", [asgi_app, flask_app])
def test_it(entra, entra_client, entra_faults, create_app):
    app = create_app(entra)
    assert entra_client(app).get("/").status_code == 200
    assert entra_client(app, anonymous=True).get("/").status_code == 401
"""


@pytest.mark.parametrize("without", ["", "httpx2"])
def test_a_project_with_warnings_as_errors_can_use_the_fixtures(tmp_path: Path, without: str) -> None:
    """Starlette's test client warns where httpx2 is not installed."""
    (tmp_path / "test_project.py").write_text(PROJECT)
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules[{without!r}] = None\n" if without else ""
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_principal_results_from_verifying_a_token(entra: Entra) -> None:
    principal = entra.principal(roles=["Orders.Read"], user="alice")
    assert (principal.roles, principal.tenant_id) == (("Orders.Read",), entra.tenant_id)


def test_code_behind_a_guard_can_be_tested_without_one(entra: Entra) -> None:
    read_orders = reads_orders(lambda: current_principal().app_id)
    with acting(entra.principal(roles=["Orders.Read"])):
        assert read_orders() == entra.caller.client_id
    with acting(entra.principal()), pytest.raises(AccessError, match="missing_role"):
        read_orders()
    with pytest.raises(LookupError):
        read_orders()


def test_advance_moves_time_for_tokens_and_guards(entra: Entra) -> None:
    guard, token = entra.guard(leeway=0), entra.token()
    guard.verify(token)
    entra.advance(3600)
    with pytest.raises(AccessError, match="expired"):
        guard.verify(token)
    assert guard.verify(entra.token())


def test_guard_accepts_every_setting_of_guard(entra: Entra) -> None:
    strict = entra.guard(allowed_clients=[entra.api.client_id])
    with pytest.raises(AccessError, match="client_not_allowed"):
        strict.verify(entra.token())


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_new_entra(entra: Entra, turn: int) -> None:
    assert not [app for app in entra.directory.apps.values() if app.name == "Left behind"]
    entra.register_app("Left behind")


class TestWithUnittest(unittest.TestCase):
    def test_an_entra_is_a_plain_context_manager(self) -> None:
        entra = self.enterContext(Entra())
        client = entra.client(flask_app(entra), roles=["Orders.Read"])
        self.assertEqual(client.get("/orders").status_code, 200)  # noqa: PT009  # unittest's way


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    code = "import sys, pytest, entra_guard.testing; print(*sys.modules)"
    loaded = set(python(code).split())
    heavy = {"httpx", "starlette", "fastapi", "flask", "django", "uvicorn", "entra_guard.emulator"}
    heavy |= {"entra_guard.guard", "cryptography", "jwt", "msgspec", "anyio"}
    assert loaded & heavy == set()


def test_unittest_needs_no_pytest() -> None:
    code = """
import sys
sys.modules["pytest"] = None
from entra_guard.testing import Entra
with Entra() as entra:
    print(entra.guard().verify(entra.token(roles=["Orders.Read"])).roles)
"""
    assert python(code).strip() == "('Orders.Read',)"


def test_an_unknown_name_raises_import_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Entre'"):
        from entra_guard.testing import Entre  # noqa: F401


def test_a_value_that_is_not_an_application_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="app must be an application, got int"):
        assert_no_public_routes(5)
