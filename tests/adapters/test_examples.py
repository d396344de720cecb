"""Every example, started as its reader would start it, with the environment variables it names."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from entra_guard.emulator import FABRIKAM, GRAPH, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard.emulator import AppRegistration

    Bearer = Callable[..., dict[str, str]]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def entra() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def api(entra: Emulator) -> AppRegistration:
    return entra.register_app(
        "Orders", app_roles=["Orders.Read"], scopes=["Orders.Read"], accounts="AzureADMultipleOrgs"
    )


@pytest.fixture
def bearer(entra: Emulator, api: AppRegistration) -> Bearer:
    return lambda **who: {"Authorization": f"Bearer {entra.issue_token(api, **who)}"}


@pytest.fixture
def run(
    entra: Emulator, api: AppRegistration, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run an example, and give what it has defined."""
    monkeypatch.setenv("ENTRA_GUARD_TENANT", entra.tenant_id)
    monkeypatch.setenv("ENTRA_GUARD_AUDIENCE", api.client_id)
    monkeypatch.setenv("ENTRA_GUARD_AUTHORITY", entra.url)

    def running(name: str, **variables: str) -> dict[str, Any]:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        return runpy.run_path(str(EXAMPLES / name))

    return running


def test_starlette(run: Any, bearer: Bearer) -> None:
    client = TestClient(run("starlette_app.py")["app"])
    assert client.get("/readyz").status_code in {200, 503}
    assert client.get("/orders").status_code == 401
    alice = bearer(user="alice", scopes=["Orders.Read"])
    assert client.get("/orders", headers=alice).json() == {"orders": [], "for": "Alice Adams"}
    assert client.post("/orders", headers=alice).status_code == 403
    assert client.post("/orders", headers=bearer(roles=["Orders.Write"])).status_code == 201
    assert client.get("/readyz").json()["status"] == "ok"


def test_fastapi(run: Any, bearer: Bearer) -> None:
    app = run("fastapi_app.py", DOCS_CLIENT_ID="docs")["app"]
    client = TestClient(app)
    assert client.get("/orders", headers=bearer(user="alice", scopes=["Orders.Read"])).json() == {
        "for": "Alice Adams"
    }
    assert client.get("/orders", headers=bearer(roles=["Audit.Read"])).status_code == 403
    assert client.get("/audit", headers=bearer(roles=["Audit.Read"])).status_code == 200
    assert '"clientId": "docs"' in client.get("/docs").text


def test_flask(run: Any, bearer: Bearer) -> None:
    client = run("flask_app.py")["create_app"]().test_client()
    assert client.get("/healthz").text == "healthy"
    assert client.get("/orders", headers=bearer(user="bob")).json == {"for": "Bob Brown"}
    assert client.post("/orders", headers=bearer(roles=["Orders.Write"])).status_code == 201
    assert client.post("/orders", headers=bearer(roles=["Orders.Read"])).text == (
        "Ask the orders team for access (missing_role)."
    )


def test_wsgi(run: Any, bearer: Bearer, api: AppRegistration) -> None:
    transport = httpx.WSGITransport(run("wsgi_app.py")["application"])
    with httpx.Client(transport=transport, base_url="http://orders.example") as client:
        assert client.get("/").status_code == 401
        response = client.get("/", headers=bearer(roles=["Orders.Read"]))
    assert response.text.splitlines()[1] == f"requested by {api.client_id}"


def test_websocket(run: Any, bearer: Bearer) -> None:
    client = TestClient(run("websocket_app.py")["app"])
    watcher = bearer(user="alice", scopes=["Orders.Watch"])
    with client.websocket_connect("/orders", headers=watcher) as websocket:
        assert websocket.receive_text() == "Hello, Alice Adams"
        websocket.send_text("order 7")
        assert websocket.receive_text() == "order 7: shipped"
    with pytest.raises(WebSocketDenialResponse) as refused:
        client.websocket_connect("/orders", headers=bearer(roles=["Orders.Read"])).__enter__()
    assert refused.value.status_code == 403


def test_a_background_task_that_calls_graph(run: Any, bearer: Bearer, entra: Emulator) -> None:
    itself = entra.register_app("Orders service", identifier_uris=())
    entra.grant(itself, GRAPH, "User.Read.All")
    example = run(
        "background_graph.py",
        AZURE_TENANT_ID=entra.tenant_id,
        AZURE_CLIENT_ID=itself.client_id,
        AZURE_CLIENT_SECRET=entra.add_secret(itself).value,
        AZURE_AUTHORITY_HOST=entra.url,
        GRAPH_URL=entra.url,
    )
    client = TestClient(example["app"])
    assert client.post("/sync", headers=bearer(roles=["People.Sync"])).status_code == 202
    assert {"Alice Adams", "Bob Brown"} <= set(example["people"])


def test_many_tenants(run: Any, entra: Emulator, api: AppRegistration, bearer: Bearer) -> None:
    example = run("multi_tenant.py")
    example["subscriptions"][entra.tenant_id] = ["order 7"]
    client = TestClient(example["app"])
    assert client.get("/orders", headers=bearer(user="alice", scopes=["Orders.Read"])).json() == ["order 7"]
    entra.consent(api, tenant=FABRIKAM)
    carol = bearer(user="carol", scopes=["Orders.Read"], tenant=FABRIKAM)
    assert client.get("/orders", headers=carol).status_code == 402
    assert client.get("/orders", headers=bearer(preset="msa-user")).status_code == 401


DJANGO = """
import runpy, sys
site = runpy.run_path(sys.argv[1], run_name="django_app")
sys.modules["django_app"] = type(sys)("django_app"); vars(sys.modules["django_app"]).update(site)
from django.test import Client
get = lambda path, token: Client(headers={"Authorization": f"Bearer {token}"}).get(path)
print(Client().get("/healthz").status_code, Client().get("/orders").status_code,
      get("/orders", sys.argv[2]).json()["for"], get("/audit", sys.argv[2]).status_code,
      get("/audit", sys.argv[3]).status_code, sep="|")
"""


def test_django(entra: Emulator, api: AppRegistration) -> None:
    """In a process of its own: Django has one settings object."""
    settings = {
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUDIENCE": api.client_id,
        "ENTRA_GUARD_AUTHORITY": entra.url,
    }
    tokens = entra.issue_token(api, user="alice"), entra.issue_token(api, roles=["Audit.Read"])
    process = subprocess.run(
        [sys.executable, "-c", DJANGO, EXAMPLES / "django_app.py", *tokens],
        env=settings | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.strip() == "200|401|Alice Adams|403|200", process.stderr


def test_the_example_of_a_users_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", EXAMPLES, EXAMPLES / "test_own_app.py"],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in ran.stdout, ran.stdout


def test_every_example_is_short_enough_to_read() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path
