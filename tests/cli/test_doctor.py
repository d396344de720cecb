"""`entra-guard doctor` passes a right deployment, and each of its checks fails by a real cause."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from doctor_causes import CAUSES, WITHOUT_COMMAND, app_report, reached
from doctor_deployment import Deployment, foreign_variables, module, run
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.cli.doctor._registry import CHECKS
from entra_guard.credentials import (
    ChainedCredential,
    ClientSecretCredential,
    EnvironmentCredential,
)
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# These lines name what the lines below them are about.
HEADINGS = {("outbound client's registration", "registration")}


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    deployment = Deployment(https=True)
    with deployment.entra:
        yield deployment


@pytest.fixture
def deployment(served: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The served deployment, restored after each test, without this machine's variables.

    Trusted certificates of the environment are read again whenever the variable that names them changes.
    """
    for name in foreign_variables():
        monkeypatch.delenv(name)
    before = served.entra.snapshot()
    yield served
    served.entra.restore(before)


# --- a right deployment ---


def test_a_right_deployment_passes_every_check(deployment: Deployment, tmp_path: Path) -> None:
    report = deployment.check("--graph", ENTRA_GUARD_KEYS_FILE=str(tmp_path / "keys.json"))
    assert (report.bad, report.exit_code) == ({}, 0)


def test_all_missing_settings_are_reported_at_once() -> None:
    done = run("--json", variables={})
    rows = [row for row in json.loads(done.text)["findings"] if row["state"] == "failure"]
    assert [row["check"] for row in rows] == ["tenant", "audience"]


def test_each_setting_names_where_it_comes_from(deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "deploy.env"
    file.write_text("# of the container\nENTRA_GUARD_LEEWAY=30\nENTRA_GUARD_TENANT=ignored.example\n")
    report = deployment.check("--audience", deployment.api.client_id, "--env-file", str(file), "--offline")
    origins = {name: report.found("settings", name) for name in ("audience", "tenant", "leeway", "guests")}
    assert origins == {
        "audience": f"{deployment.api.client_id} (--audience)",
        "tenant": f"{deployment.entra.tenant_id} (ENTRA_GUARD_TENANT)",
        "leeway": f"30 ({file})",
        "guests": "true (default)",
    }


def test_offline_sends_no_request(deployment: Deployment) -> None:
    deployment.entra.clear_requests()
    report = deployment.check("--offline", outbound=True)
    assert (report.exit_code, deployment.entra.requests) == (0, ())
    assert report.state("outbound", "token") == "skipped"


def test_guards_of_the_application_are_checked(deployment: Deployment) -> None:
    entra = deployment.entra
    one = Guard(tenant=entra.tenant_id, audience=deployment.api.client_id, authority=entra.url)
    two = Guard(tenant=entra.tenant_id, audience="api://other", authority=entra.url, token_versions="1.0")
    with module("deployed", guard=one | two):
        report = deployment.check("--guard", "deployed:guard", ENTRA_GUARD_TENANT=None)
    assert report.exit_code == 0
    assert "api://other" in report.found("settings, guard 2 of 2", "audience")
    assert report.state("authority, guard 2 of 2", "keys") == "ok"


def test_the_chain_reports_which_credential_is_used(deployment: Deployment) -> None:
    entra = deployment.entra
    chain = ChainedCredential(
        EnvironmentCredential({}),
        ClientSecretCredential(
            entra.tenant_id, deployment.client.client_id, deployment.secret.value, authority=entra.url
        ),
    )
    with module("deployed", chain=chain):
        report = deployment.check("--credential", "deployed:chain")
    found = report.found("outbound", "chain")
    assert "not configured; ClientSecretCredential" in found
    assert found.endswith("in use")
    assert "roles Application.Read.All" in report.found("outbound", "token")


# --- a cause for each check ---


@pytest.mark.parametrize(
    ("key", "state", "says", "make"),
    [pytest.param(key, *row, id=row[-1].__name__) for key, rows in CAUSES.items() for row in rows],
)
def test_a_check_fails_by_its_cause(
    deployment: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: tuple[str, str],
    state: str,
    says: str,
    make: Any,
) -> None:
    monkeypatch.chdir(tmp_path)  # a new certificate is written there
    report = make(deployment, tmp_path)
    assert report.state(*key) == state, report.bad
    assert re.search(says, report.found(*key)), report.found(*key)
    fix = report.findings[key]["fix"]
    assert fix
    of_az = [line for line in fix if line.startswith("az ")]
    assert of_az in ([], fix), "az would change a real tenant, and this is an emulator"
    assert report.exit_code == (1 if "failure" in {row["state"] for row in report.findings.values()} else 0)
    assert all(row["fix"] for row in report.findings.values() if row["state"] == "failure")
    assert "swordfish" not in report.text
    assert deployment.secret.value not in report.text
    if deployment.reads_graph and make.__name__ not in WITHOUT_COMMAND:
        deployment.fix(report, key)
        assert deployment.check_again().state(*key) == "ok", "the fix that was shown does not work"


def test_a_managed_identity_follows_the_variables(deployment: Deployment) -> None:
    entra = deployment.entra
    identity = entra.add_managed_identity("night-report")
    report = deployment.check(
        "--managed-identity", outbound=True, **entra.managed_identity_environment(identity)
    )
    assert report.found("outbound", "chain").endswith("not tried")
    report = deployment.check("--managed-identity", **entra.managed_identity_environment(identity))
    assert "ManagedIdentityCredential" in report.found("outbound", "token")


def test_routes_are_listed_with_what_they_require(deployment: Deployment) -> None:
    @requires(roles="Orders.Read")
    async def orders(_request: object) -> None:
        raise AssertionError

    inner = Starlette(routes=[Route("/orders", orders), Route("/healthz", reached)])
    report = app_report(deployment, app=GuardMiddleware(inner, guard=Entra().guard(), public=["/healthz"]))
    rows = report.findings["application", "routes"]["details"]
    assert [row.split(maxsplit=2)[1] for row in rows] == ["/orders", "/healthz"]
    assert ("Orders.Read" in rows[0], rows[1].endswith("public")) == (True, True)


def test_metadata_of_other_middleware_is_not_that_of_an_mcp_server(deployment: Deployment) -> None:
    class Described:
        def __init__(self, app: Any) -> None:
            self.app, self._metadata = app, {"resource": "https://tasks.example/mcp"}

        async def __call__(self, *_request: Any) -> None:
            raise AssertionError

    routed = Starlette(routes=[Route("/orders", reached)], middleware=[Middleware(Described)])
    report = app_report(deployment, app=GuardMiddleware(routed, guard=Entra().guard()))
    assert report.exit_code == 0, report.text
    assert "tasks.example" not in report.text


def test_settings_show_no_password(deployment: Deployment) -> None:
    url = "https://user:sword,fish@login.example"
    text = deployment.check("--offline", ENTRA_GUARD_AUTHORITY=url, ENTRA_GUARD_TENANT="'x'").text
    assert "without user name" in text
    assert "fish" not in text


def test_every_wrong_setting_is_found_in_one_run(deployment: Deployment) -> None:
    wrong = {"TENANT": "'x'", "AUDIENCE": "'x'", "LEEWAY": "soon", "GUESTS": "maybe", "AUTHORITY": "ftp://x"}
    variables = {f"ENTRA_GUARD_{name}": value for name, value in wrong.items()}
    report = deployment.check("--offline", **variables)
    failed = {check for (section, check), row in report.findings.items() if row["state"] == "failure"}
    assert failed == {"tenant", "audience", "leeway", "guests", "authority"}
    assert "got 'soon'" in report.found("settings", "leeway")


def test_a_credential_that_raises_is_reported_without_its_text(deployment: Deployment) -> None:
    class Broken:
        def get_token(self, *_scopes: str, **_options: Any) -> None:
            raise RuntimeError("swordfish")

    with module("deployed", broken=Broken()):
        report = deployment.check("--credential", "deployed:broken")
    assert "RuntimeError was raised" in report.found("outbound", "token")
    assert "swordfish" not in report.text


def test_texts_from_elsewhere_are_escaped_and_name_no_people(deployment: Deployment) -> None:
    evil = "Orders\x1b[2J\nok FAKE \u202e of alice@contoso.com"
    deployment.entra.update_app(deployment.api, name=evil)
    found = deployment.check("--graph").found("registration", "registration")
    assert found.startswith("Orders\\x1b[2J\\nok FAKE \\u202e of (person)")


@pytest.mark.parametrize(
    "options",
    [
        ("--guard", "no_such_module_of_ours:guard"),
        ("--guard", "json:dumps"),
        ("--app", "main"),
        ("--redis", "redis://user:swordfish@127.0.0.1:1"),
        ("--redis", "UNSET_VARIABLE"),
        ("--graph",),
        ("--credential", "json:dumps"),
        ("--guard", "main:guard", "--tenant", "contoso.com"),
        ("--env-file", __file__),
        ("--offline", "--graph"),
        ("--app", "click:Command"),
        ("--mcp-url", "tasks.example/mcp"),
        ("--app", "sys:path"),
    ],
)
def test_what_cannot_run_exits_with_2(deployment: Deployment, options: tuple[str, ...]) -> None:
    report = deployment.check(*options, AZURE_CLIENT_SECRET=None)
    assert report.exit_code == 2
    assert "swordfish" not in report.text


def test_why_the_routes_of_an_application_cannot_be_read_is_shown(deployment: Deployment) -> None:
    app: Any = Starlette()
    app.add_middleware(GuardMiddleware, guard=None)  # raises when the first request or doctor builds it
    report = app_report(deployment, app=app)
    assert report.exit_code == 2
    assert "guard must be a Guard, got None" in report.text


def test_warnings_fail_with_strict(deployment: Deployment) -> None:
    assert deployment.check("--offline").exit_code == 0
    assert deployment.check("--offline", "--strict").exit_code == 1


def test_every_check_has_a_cause() -> None:
    assert {(check.section, check.name) for check in CHECKS} - CAUSES.keys() == HEADINGS
