"""`entra-guard app`, `user` and `identity`: on the emulator, in a dry run, and in what counts as a real tenant."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from entra_guard import Guard
from entra_guard.cli._group import group
from entra_guard.cli.app._calls import CommandError
from entra_guard.cli.app._files import env_value
from entra_guard.cli.app._target import Where, resolve
from entra_guard.credentials import EnvironmentCredential
from entra_guard.emulator import FABRIKAM, Emulator
from entra_guard.emulator._activity.access_line import access_line
from entra_guard.emulator._store.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(served: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A running emulator that the commands find by themselves, in an empty folder."""
    served.reset()
    served.clear_requests()
    for name in [name for name in os.environ if name.startswith(("AZURE_", "ENTRA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENTRA_EMULATOR_URL", served.url)
    monkeypatch.chdir(tmp_path)
    return served


def run(*arguments: str, obj: Any = None, answer: str | None = None) -> Result:
    return CliRunner().invoke(group, [*arguments], obj=obj, input=answer)


def ok(*arguments: str, obj: Any = None) -> Any:
    """Run a command that must succeed, and return its JSON."""
    done = run(*arguments, "--json", obj=obj)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def ok_text(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str, obj: Any = None) -> list[str]:
    """Run a command that must fail, and return its three lines."""
    done = run(*arguments, obj=obj)
    assert done.exit_code == 1, done.output
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 3, done.stderr
    assert [line.startswith("  ") for line in lines] == [False, True, True]
    return [line.strip().removeprefix("Error: ") for line in lines]


def test_an_api_and_a_client_are_registered_and_the_printed_lines_guard_an_app(emulator: Emulator) -> None:
    api = ok("app", "register", "Orders API", "--api", "--role", "Orders.Read")
    client = ok("app", "register", "Nightly report")
    ok("app", "permission", "add", client["clientId"], api["clientId"], "--role", "Orders.Read")
    granted = ok("app", "grant", client["clientId"])
    assert [(p["api"], p["value"]) for p in granted["permissions"]] == [("Orders API", "Orders.Read")]
    secret = ok("app", "secret", "add", client["clientId"])
    assert api["endpoints"]["token"] == f"{emulator.authority}/oauth2/v2.0/token"
    form = {"client_id": client["clientId"], "client_secret": secret["secret"], "scope": api["scope"]}
    form["grant_type"] = "client_credentials"
    token = httpx.post(api["endpoints"]["token"], data=form).json()["access_token"]
    assert len(api["code"].splitlines()) == 6
    names: dict[str, Any] = {}
    exec(api["code"], names)  # the lines that users paste
    names["app"].get("/orders")(lambda: "orders")
    web = TestClient(names["app"])
    assert web.get("/orders").status_code == 401
    assert web.get("/orders", headers={"authorization": f"Bearer {token}"}).status_code == 200


def read_by_the_shell(file: str) -> dict[str, str]:
    """Return the variables that a shell has after it reads a file, as `app setup` says how."""
    command = ["env", "-i", "sh", "-c", f"set -a; . ./{file}; set +a; env -0"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(entry.split("=", 1) for entry in listed.split("\0") if entry)


@pytest.mark.parametrize("proof", ["certificate", "secret", "secret that the shell would expand"])
def test_setup_writes_what_guard_and_credential_read(
    emulator: Emulator, proof: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if proof == "secret that the shell would expand":
        monkeypatch.setattr(Ids, "secret", lambda _self: "~bc8Q~" + "d" * 34)
    done = ok("app", "setup", "Orders API", *(["--secret"] if proof != "certificate" else []))
    if proof == "secret that the shell would expand":
        assert "docker's --env-file keeps them" in Path(".env").read_text()
    variables = read_by_the_shell(".env")
    assert Path(".env").stat().st_mode & 0o777 == 0o600
    assert Path("client.pem").exists() == (proof == "certificate")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with EnvironmentCredential() as credential:
        caller = Guard.from_env().verify(credential.get_token(variables["API_SCOPE"]).token)
    assert (caller.app_id, caller.roles) == (done["client"]["clientId"], ("Orders.Read",))
    again = refused("app", "setup", "Orders API")
    assert again[:2] == [".env exists already, and is not overwritten.", "file_exists"]
    apps = len(emulator.directory.apps)
    reused = ok("app", "setup", "Orders API", "--env-file", "2.env", "--secret")
    assert (reused["reused"], reused["api"]["clientId"]) == (True, done["api"]["clientId"])
    assert len(emulator.directory.apps) == apps


def test_a_secret_file_is_refused_where_git_would_keep_it(emulator: Emulator) -> None:
    apps = len(emulator.directory.apps)
    subprocess.run(["git", "init", "-q"], check=True)
    both = "git would track .env and client.pem, and they will hold secrets."
    assert refused("app", "setup")[:2] == [both, "tracked_by_git"]
    assert refused("app", "setup", "--dry-run")[:2] == [both, "tracked_by_git"]
    Path(".gitignore").write_text(".env\n*.pem\n")
    Path(".env").touch()
    subprocess.run(["git", "add", "-f", ".env"], check=True)
    Path(".env").unlink()
    assert refused("app", "setup")[:2] == [
        "git tracks .env, and it will hold a secret.",
        "tracked_by_git",
    ]
    assert len(emulator.directory.apps) == apps, "a refusal comes before the first request"
    assert [path.name for path in Path().iterdir() if path.name != ".git"] == [".gitignore"]
    subprocess.run(["git", "rm", "-q", "--cached", ".env"], check=True)
    ok("app", "setup")
    untracked = subprocess.run(["git", "status", "--porcelain"], check=True, capture_output=True, text=True)
    assert untracked.stdout == "?? .gitignore\n"
    assert refused("app", "setup", "--env-file", ":(top).env", "--certificate-file", "*.pem")[0] == (
        "git would track :(top).env, and it will hold a secret."
    )


def test_a_link_into_a_repository_or_git_variables_hide_no_repository(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    del emulator
    subprocess.run(["git", "init", "-q", "project"], check=True)
    Path("link").symlink_to("project")
    files = ("--env-file", "link/.env", "--certificate-file", "link/client.pem")
    assert refused("app", "setup", *files)[1] == "tracked_by_git"
    subprocess.run(["git", "init", "-q", "other"], check=True)
    Path("other/.gitignore").write_text("*\n")
    monkeypatch.setenv("GIT_DIR", str(Path("other/.git").absolute()))
    monkeypatch.setenv("GIT_WORK_TREE", str(Path("other").absolute()))
    assert refused("app", "setup", *files)[1] == "tracked_by_git"
    monkeypatch.setenv("GIT_WORK_TREE", str(Path().absolute()))
    assert refused("app", "setup")[1] == "tracked_by_git"
    assert ok_text("emulator", "export", "seed.yaml") == "", "a seed has no secrets: it may be tracked"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/home/me/client.pem", "/home/me/client.pem"),
        ("~aQ~8Q~x", "'~aQ~8Q~x'"),
        ("aQ~8Q~x", "aQ~8Q~x"),
        ("a:~b", "'a:~b'"),
        ("/it's here", '"/it\'s here"'),
        ("$(touch x)`y`", "'$(touch x)`y`'"),
        ("it's $HOME", None),
        ("two\nlines", None),
    ],
)
def test_a_value_in_the_env_file_is_what_the_shell_reads(value: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(CommandError, match="cannot be written into"):
            env_value(value)
        return
    assert env_value(value) == written
    shell = subprocess.run(["sh", "-c", f'X={written}; printf %s "$X"'], capture_output=True, check=True)
    assert shell.stdout.decode() == value


def test_the_command_to_try_quotes_the_file_and_the_activity_names_the_sender(emulator: Emulator) -> None:
    shown = run("app", "setup", "--env-file", "my env;id").stdout
    assert "set -a; . './my env;id'; set +a" in shown
    assert {exchange.client for exchange in emulator.request_log.exchanges} == {"entra-guard"}
    line = access_line(emulator.request_log.exchanges[-1])
    assert "entra-guard PATCH /v1.0/applications/" in line
    Path("it's $HOME").mkdir()
    before = len(emulator.directory.apps)
    assert refused("app", "setup", "--certificate-file", "it's $HOME/c.pem")[1] == "unusable_name"
    assert len(emulator.directory.apps) == before, "a refusal comes before the first request"


def test_a_file_is_not_left_behind_when_graph_refuses(emulator: Emulator) -> None:
    emulator.fail("graph", "html")
    assert run("app", "setup").exit_code == 1
    emulator.clear_faults()
    assert list(Path().iterdir()) == []


def test_an_application_is_changed_shown_and_deleted(emulator: Emulator) -> None:
    made = ok("app", "register", "Orders API", "--role", "Orders.Read", "--scope", "access_as_user")
    ref = made["clientId"]
    ok("app", "role", "add", ref, "Orders.Write", "--for", "apps")
    ok("app", "scope", "add", ref, "Orders.Delete", "--admin")
    for who in ([], ["--for", "apps"]):
        assert refused("app", "role", "add", ref, "Orders.Write", *who)[1] == "already_there"
    ok("app", "update", ref, "--name", "Orders", "--token-version", "1", "--optional-claim", "xms_cc")
    ok("app", "update", ref, "--spa-redirect-uri", "http://localhost:3000", "--assignment-required")
    ok("app", "federated", "add", ref, "--github", "octo/app:environment:prod")
    short = ok("app", "federated", "add", ref, "--issuer", "https://aks.example", "--subject", "s")
    assert short["name"] == "federated-s"
    ok("app", "certificate", "add", ref, "--new", "orders.pem")
    secret = ok("app", "secret", "add", ref, "--days", "30")["secret_id"]
    ok("app", "permission", "add", ref, "graph", "User.Read")
    shown = run("app", "show", ref)
    for words in (
        "Orders.Write",
        "for Application",
        "User.Read",
        "not granted",
        "octo/app",
        "ends in 30 days",
    ):
        assert words in shown.stdout
    row = ok("app", "show", ref)
    assert row["api"]["requestedAccessTokenVersion"] == 1
    assert [s["type"] for s in row["api"]["oauth2PermissionScopes"]] == ["User", "Admin"]
    assert row["servicePrincipal"]["appRoleAssignmentRequired"] is True
    assert row["spa"]["redirectUris"] == ["http://localhost:3000"]
    ok("app", "secret", "remove", ref, secret)
    assert "30 days" not in run("app", "show", ref).stdout
    assert refused("app", "secret", "remove", ref, "not-one")[1] == "Request_ResourceNotFound"
    assert [row["displayName"] for row in ok("app", "list", "--name", "order")] == ["Orders"]
    certificate = row["keyCredentials"][0]["keyId"]
    ok("app", "certificate", "remove", ref, certificate)
    assert refused("app", "certificate", "remove", ref, certificate)[1] == "Request_ResourceNotFound"
    assert ok("app", "show", ref)["keyCredentials"] == []
    ok("app", "delete", ref)
    assert refused("app", "show", ref)[1] == "Request_ResourceNotFound"
    assert not emulator.directory.credentials.get(ref)


def test_users_and_managed_identities_get_roles_and_tokens(emulator: Emulator) -> None:
    api = ok("app", "register", "Orders API", "--role", "Orders.Read")
    assert ok("user", "add", "dan")["userPrincipalName"] == "dan@contoso.onmicrosoft.com"
    assert "already exists" in refused("user", "add", "dan")[0]
    for _ in range(2):
        ok("app", "role", "assign", "Orders API", "Orders.Read", "--user", "dan")
    ok("app", "role", "assign", "Orders API", "Orders.Read", "--group", "Engineers")
    made = ok("identity", "add", "vm", "--system-assigned", "--role", "Orders API=Orders.Read")
    host = made["environment"]["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
    query = {"resource": api["identifierUris"][0], "api-version": "2018-02-01"}
    found = httpx.get(f"{host}/metadata/identity/oauth2/token", params=query, headers={"Metadata": "true"})
    guard = Guard(tenant=api["tenantId"], audience=api["clientId"], authority=emulator.url)
    assert guard.verify(found.json()["access_token"]).roles == ("Orders.Read",)
    kinds = {a.principal_type for a in emulator.directory.assignments.values()}
    assert kinds == {"User", "Group", "ServicePrincipal"}
    assert refused("identity", "add", "vm", "--tenant", "contoso.com")[1] == "not_supported"
    assert refused("identity", "add", "other", "--role", "Orders API=Nothing")[1] == "unknown_permission"
    dry = ok("identity", "add", "other", "--role", "Orders API=Orders.Read", "--dry-run")
    assert [r["method"] for r in dry if r["method"] != "GET"] == ["POST", "POST"]
    assert [identity.name for identity in emulator.directory.identities.values()] == ["vm"]


def test_a_value_that_is_a_role_and_a_scope_needs_its_kind(emulator: Emulator) -> None:
    client = ok("app", "register", "Nightly report")["clientId"]
    assert refused("app", "permission", "add", client, "graph", "User.Read.All")[1] == "ambiguous_permission"
    unknown = refused("app", "permission", "add", client, "graph", "Nothing")
    assert (unknown[1], "app role add" in unknown[2]) == ("unknown_permission", False)
    assert refused("app", "grant", client)[1] == "nothing_to_grant"
    both = ok(
        "app", "permission", "add", client, "graph", "--role", "User.Read.All", "--scope", "User.Read.All"
    )
    assert [p["type"] for p in both["permissions"]] == ["Role", "Scope"]
    for _ in range(2):  # granting again changes nothing
        ok("app", "grant", client)
        assert len(emulator.directory.assignments) == len(emulator.directory.grants) == 1


@pytest.mark.parametrize("scope", ["openid", "two words", "a\u00a0b"])
def test_a_scope_that_no_guard_can_require_is_not_added(emulator: Emulator, scope: str) -> None:
    api = ok("app", "register", "Orders API", "--api")["clientId"]
    commands = (
        ("app", "scope", "add", api, scope),
        ("app", "register", "Other API", "--scope", scope),
        ("app", "setup", "Pair", "--scope", scope),
    )
    before = len(emulator.directory.apps)
    for command in commands:
        done = run(*command)
        assert (done.exit_code, "Error: scopes " in done.stderr) == (2, True), done.output
    assert len(emulator.directory.apps) == before


def test_a_registration_is_reused_by_unique_name_or_app_id_uri_only(emulator: Emulator) -> None:
    first = ok("app", "register", "Orders API", "--unique-name", "orders", "--role", "Orders.Read")
    again = ok("app", "register", "Other name", "--unique-name", "orders", "--role", "Orders.Write")
    assert (again["reused"], again["clientId"]) == (True, first["clientId"])
    assert [role["value"] for role in again["appRoles"]] == ["Orders.Read", "Orders.Write"]
    assert again["appRoles"][0] == first["appRoles"][0]
    by_uri = ok("app", "register", "x", "--app-id-uri", first["identifierUris"][0])
    assert by_uri["clientId"] == first["clientId"]
    same_name = ok("app", "register", "Orders API")
    assert same_name["reused"] is False
    assert refused("app", "show", "Orders API")[1] == "several_matches"


def test_a_dry_run_prints_each_request_masks_secrets_and_changes_nothing(emulator: Emulator) -> None:
    api = emulator.register_app("Other", app_roles=["R"]).client_id
    before = emulator.directory
    requests = ok("app", "register", "Orders API", "--role", "Orders.Read", "--dry-run")
    assert [r["method"] for r in requests] == ["POST", "PATCH", "POST"]
    assert requests[0]["url"] == f"{emulator.url}/v1.0/applications"
    assert requests[0]["body"]["appRoles"][0]["value"] == "Orders.Read"
    added = ok("app", "role", "add", api, "Orders.Write", "--dry-run")
    roles = added[-1]["body"]["appRoles"]
    assert [(role["value"], "origin" in role) for role in roles] == [("R", False), ("Orders.Write", False)]
    printed = run("app", "setup", "Orders API", "--dry-run").stdout
    assert printed.count("\nPOST ") + printed.count("\nPATCH ") == 8
    assert "# 1. Find the application by its unique name" in printed
    user = ok("user", "add", "dan", "--dry-run")
    assert user[-1]["body"]["passwordProfile"]["password"] == MASK
    assert emulator.directory is before
    assert list(Path().iterdir()) == []


def test_a_dry_run_needs_no_login(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    requests = ok(
        "app", "grant", "11111111-2222-4333-8444-555555555555", "--tenant", "contoso.com", "--dry-run"
    )
    assert requests[0]["url"].startswith("https://graph.microsoft.com/v1.0/applications(appId=")
    assert emulator.count("graph") == 0


def test_nothing_falls_back_to_a_tenant_or_to_the_emulator(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert refused("app", "list", "--tenant", "contoso.com")[1] == "no_credential"
    assert refused("app", "list", "--emulator", "http://127.0.0.1:9")[1] == "not_running"
    assert refused("app", "list", "--emulator", "https://login.microsoftonline.com")[1] == "not_local"
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "x" * 16)
    monkeypatch.setenv("AZURE_CLIENT_ID", "11111111-2222-4333-8444-555555555555")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.url)
    for more in ((), ("--dry-run",)):
        assert refused("app", "list", "--tenant", "contoso.com", *more)[1] == "ambiguous_target"
    assert emulator.count("token") == emulator.count("graph") == 0


def test_no_value_in_an_error_controls_the_terminal(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    evil = "x\x1b[2J\nfake\u202e"
    for command in (
        ("app", "list", "--tenant", evil),
        ("identity", "add", evil, "--tenant", "contoso.com"),
        ("app", "list", "--emulator", emulator.url, "--tenant", evil),
        ("app", "show", evil),
        ("app", "federated", "add", "x", "--github", evil),
        ("app", "setup", "--env-file", f"missing/{evil}"),
    ):
        assert [line for line in refused(*command) if not line.isprintable()] == []


@pytest.mark.parametrize(
    "command",
    [("app", "register"), ("app", "show"), ("user", "add"), ("identity", "add"), ("app", "role", "add", "x")],
)
def test_an_argument_that_is_not_utf_8_is_a_usage_error_and_nothing_is_sent(
    emulator: Emulator, command: tuple[str, ...]
) -> None:
    done = CliRunner().invoke(group, [*command, "a\udcffb", "--emulator", emulator.url])
    assert (done.exit_code, "is not text in UTF-8" in done.output) == (2, True)
    assert emulator.count("graph") == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example\\@127.0.0.1:8787",
        "http://127.0.0.1:8787@evil.example",
        "http://user@localhost:8787",
        "http://127.0.0.1:8787/\x1b[31m",
        "http://127.0.0.1:8787?x",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://0x7f.1",
        "file:///etc/passwd",
        "https://login.microsoftonline.com:443",
        "not a url",
    ],
)
def test_only_a_plain_loopback_url_is_an_emulator(
    emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRA_EMULATOR_SECRET", "a secret of an emulator elsewhere")
    monkeypatch.setenv("ENTRA_EMULATOR_URL", url)
    lines = refused("app", "list")
    assert (lines[1], "\x1b" in lines[0]) == ("not_local", False)
    assert refused("emulator", "export")[1] == "not_local"
    assert emulator.count("graph") == 0


def test_a_tenant_of_the_emulator_can_be_named(emulator: Emulator) -> None:
    at = ("--emulator", emulator.url, "--tenant")
    made = ok("app", "register", "Orders", *at, "fabrikam.onmicrosoft.com")
    assert (made["tenantId"], emulator.directory.apps[made["clientId"]].tenant_id) == (FABRIKAM, FABRIKAM)
    assert refused("app", "list", *at, "nothing.example")[1] == "AADSTS90002"


@pytest.fixture
def real(emulator: Emulator) -> dict[str, Any]:
    """A target that counts as a real tenant; behind it is the emulator."""
    from dataclasses import replace

    return {"target": replace(resolve(Where(emulator=emulator.url)), real=True)}


def test_secrets_consent_and_deletion_in_a_tenant_ask_first(emulator: Emulator, real: dict[str, Any]) -> None:
    client = ok("app", "register", "Nightly report", "--tenant", "contoso.com", obj=real)["clientId"]
    ok("app", "permission", "add", client, "graph", "User.Read", "--tenant", "x", obj=real)
    for command in (["secret", "add"], ["grant"], ["delete"]):
        assert refused("app", *command, client, "--tenant", "x", obj=real)[1] == "confirmation_required"
    assert refused("app", "setup", "--tenant", "x", obj=real)[1] == "confirmation_required"
    assert list(Path().iterdir()) == []
    assert [app.name for app in emulator.directory.apps.values() if app.tenant_id] == ["Nightly report"]
    assert not emulator.directory.grants
    assert not emulator.directory.credentials.get(client)
    assert ok("app", "setup", "--secret", "--tenant", "x", "--yes", obj=real)["envFile"] == ".env"
    assert ok("app", "grant", client, "--tenant", "x", "--yes", obj=real)["permissions"]
    first = ok("user", "add", "zoe", "--tenant", "x", "--yes", obj=real)
    assert len(first["password"]) > 30
    by_name = refused("app", "show", "Nightly report", "--tenant", "x", obj=real)
    assert by_name[1] == "Request_ResourceNotFound", "a display name identifies nothing in a real tenant"


def test_names_of_others_cannot_control_the_terminal(emulator: Emulator) -> None:
    emulator.register_app("evil\x1b[2J[red]x[/red]")
    shown = run("app", "list").stdout
    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown


def test_the_azure_cli_login_is_used_and_checked(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = emulator.issue_token("00000003-0000-0000-c000-000000000000", tenant=FABRIKAM)
    az = tmp_path / "az"
    az.write_text(f"""#!/bin/sh\necho '{{"accessToken": "{token}", "expires_on": 4102444800}}'\n""")
    az.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    other = "11111111-2222-4333-8444-555555555555"
    with pytest.raises(CommandError) as caught:
        resolve(Where(tenant=other))
    assert caught.value.code == "wrong_tenant"
    target = resolve(Where(tenant="fabrikam.onmicrosoft.com"))
    assert (target.real, target.tenant_id) == (True, FABRIKAM)
    assert target.graph_url == "https://graph.microsoft.com/v1.0"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (
            ("update", "--accounts", "personal"),
            "Change it with --token-version 2, and run the command again.",
        ),
        (
            ("update", "--token-version", "1", "--app-id-uri", "https://foreign.example/api"),
            "--token-version 2",
        ),
        (("update", "--app-id-uri", "no uri"), "Change it with --app-id-uri, and"),
        (("update", "--spa-redirect-uri", "http://evil.example"), "--redirect-uri or --spa-redirect-uri"),
        (("role", "add", "a b"), "Change the value that the message names"),
    ],
)
def test_what_graph_refuses_is_explained_with_the_options_of_the_command(
    emulator: Emulator, arguments: tuple[str, ...], remedy: str
) -> None:
    app = emulator.register_app("Orders", token_version=None, identifier_uris=())
    *words, last = arguments if arguments[0] == "role" else (arguments[0], arguments[1:])
    command = [*words, app.client_id, last] if arguments[0] == "role" else [*words, app.client_id, *last]
    assert remedy in refused("app", *command)[2]
