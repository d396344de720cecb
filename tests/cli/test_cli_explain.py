"""`entra-guard explain` checks a token step by step and never prints it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cli_processes import PROGRAM
from click.testing import CliRunner, Result
from rich.console import Console

from entra_guard import Authority, Guard, Requirement
from entra_guard._validation.checklist import CHECKLIST
from entra_guard.cli._explain_report import report_on
from entra_guard.cli._group import group
from entra_guard.cli._reason_output import command_text
from entra_guard.cli._report_output import show_report
from entra_guard.cli._screen import Screen
from entra_guard.cli._token_input import extract_token
from entra_guard.cli.doctor._guard_parts import parts_of
from entra_guard.cli.explain import _from_application
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from entra_guard.cli._explain_report import Report


def test_a_valid_token_is_accepted_and_exits_with_0(explain: Callable[..., Result], good: str) -> None:
    done = explain(good)
    assert done.exit_code == 0
    assert done.output.startswith("Accepted.\n")
    assert "ok   signature" in done.output


def test_a_refused_token_exits_with_1_and_shows_the_fix(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    done = explain(entra.issue_token(api, roles=["Orders.Read"], preset="expired"))
    assert done.exit_code == 1
    assert "FAIL lifetime" in done.output
    assert done.output.startswith("Refused with 401: expired\n")
    assert re.search("== What to do\n  Let the client request a new token", done.output)
    assert f"    entra-guard token --scope {api}/.default --raw > token.txt\n" in done.output
    assert "After this is fixed, all other checks pass." in done.output


def test_a_token_for_another_api_shows_the_scope_to_request(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    output = explain(entra.issue_token(api, roles=["Orders.Read"], claims={"aud": f"{api}0"})).output
    assert re.search(rf"nearest +{api}\n", output)
    assert f"let the client request {api}/.default." in output
    assert f"    ENTRA_GUARD_AUDIENCE={api}0\n" in output


def test_an_expired_token_shows_how_long_ago(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    output = explain(entra.issue_token(api, roles=["Orders.Read"], preset="expired")).output
    assert re.search(r"expired for +60 min\n", output)
    assert re.search(r"entra clock ahead by +-?\d s\n", output)


def test_a_tenant_that_does_not_exist_is_not_fixed_by_the_network(
    explain: Callable[..., Result], good: str
) -> None:
    done = explain(good, "--tenant", CONTOSO[:-1] + "9", "--json")
    assert done.exit_code == 3
    report = json.loads(done.stdout)
    assert "check `tenant`" in report["facts"]["detail"]
    assert report["remedy"]["commands"] == report["remedy"]["settings"] == []
    assert "Correct the guard's setting" in report["remedy"]["sentences"][0]


def test_a_setting_to_paste_keeps_what_was_accepted_before(entra: Emulator, api: str) -> None:
    other, client = "00001111-aaaa-2222-bbbb-3333cccc4444", entra.register_app("Report").client_id
    token = entra.issue_token(client, audience=api, roles=["Orders.Read"])
    settings = {"ENTRA_GUARD_TENANT": CONTOSO, "ENTRA_GUARD_AUTHORITY": entra.url}
    wrong = {"ENTRA_GUARD_ALLOWED_CLIENTS": other, "ENTRA_GUARD_AUDIENCE": "api://contoso.com/orders"}
    for setting, fixed in (
        ("AUDIENCE", f"api://contoso.com/orders,{api}"),
        ("ALLOWED_CLIENTS", f"{other},{client}"),
    ):
        with httpx.Client(transport=entra.transport) as http:
            runner = CliRunner(env=settings | wrong)
            done = runner.invoke(group, ["explain", "--json"], input=token, obj={"http_client": http})
        [printed] = json.loads(done.stdout)["remedy"]["settings"]
        assert printed == f"ENTRA_GUARD_{setting}={fixed}"
        wrong |= dict([printed.split("=", 1)])
    with httpx.Client(transport=entra.transport) as http:
        guard = Guard.from_env(settings | wrong, http_client=http)
        assert guard.verify(token).app_id == client


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [
        ("{client}", ""),
        ("api://{api}/Orders.Read", ""),
        ("api://contoso.com/invoices", "api://contoso.com/invoices,"),
    ],
)
def test_an_audience_that_is_wrong_does_not_stay_in_the_setting(
    entra: Emulator, api: str, wrong: str, kept: str
) -> None:
    client = entra.register_app("Nightly").client_id
    token = entra.issue_token(client, audience=api, roles=["Orders.Read"])
    settings = {"ENTRA_GUARD_TENANT": CONTOSO, "ENTRA_GUARD_AUTHORITY": entra.url}
    settings["ENTRA_GUARD_AUDIENCE"] = wrong.format(client=client, api=api)
    with httpx.Client(transport=entra.transport) as http:
        done = CliRunner(env=settings).invoke(
            group, ["explain", "--json"], input=token, obj={"http_client": http}
        )
    assert json.loads(done.stdout)["remedy"]["settings"] == [f"ENTRA_GUARD_AUDIENCE={kept}{api}"]


def test_an_object_id_as_the_audience_is_named_as_a_possible_cause(entra: Emulator, api: str) -> None:
    settings = {"ENTRA_GUARD_TENANT": CONTOSO, "ENTRA_GUARD_AUTHORITY": entra.url}
    settings["ENTRA_GUARD_AUDIENCE"] = entra.directory.apps[api].object_id
    token = entra.issue_token(entra.register_app("Ledger"), audience=api, roles=["Orders.Read"])
    with httpx.Client(transport=entra.transport) as http:
        runner = CliRunner(env=settings)
        done = runner.invoke(group, ["explain", "--json"], input=token, obj={"http_client": http})
    remedy = json.loads(done.stdout)["remedy"]
    assert remedy["settings"] == []
    assert "compare it with the Application (client) ID" in remedy["sentences"][0]


def test_the_cloud_of_the_token_is_the_setting_to_make(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    issuer = f"https://login.microsoftonline.us/{CONTOSO}/v2.0"
    done = explain(entra.issue_token(api, claims={"iss": issuer}), "--json")
    report = json.loads(done.stdout)
    assert (report["reason"], report["remedy"]["settings"]) == (
        "wrong_cloud",
        ["ENTRA_GUARD_AUTHORITY=us-government"],
    )


@pytest.mark.parametrize(
    "part", ["iss", "aud", "tid", "ver", "azp", "uti", "kid", "x\x1b]0;pwn\x07\nok FAKE"]
)
def test_a_token_cannot_write_control_characters_to_the_terminal(
    explain: Callable[..., Result], entra: Emulator, api: str, part: str
) -> None:
    evil = {part: "x\x1b]0;pwn\x07\nok FAKE"}
    claims, headers = ({}, evil) if part == "kid" else (evil, {})
    output = explain(entra.issue_token(api, roles=["Orders.Read"], claims=claims, headers=headers)).output
    assert [line for line in output.splitlines() if not line.isprintable()] == []
    assert not re.search("^ok FAKE", output, re.MULTILINE)


@pytest.fixture
def report(entra: Emulator, api: str) -> Callable[..., Report]:
    def make(token: str, requirement: Requirement | None = None, **settings: Any) -> Report:
        with httpx.Client(transport=entra.transport) as client:
            more = {"audience": api, **settings}
            guard = Guard(tenant=CONTOSO, authority=entra.url, http_client=client, **more)
            return report_on(token, guard, guard, requirement, entra.now())

    return make


@pytest.mark.parametrize(
    ("claim", "audience", "evil"),
    [
        *(
            ("azp", "{}", evil)
            for evil in ("$(id)", "`id`", "x;id", "x y", "-x", "x\nid", "x'", "x&id", "x>y")
        ),
        ("aud", "api://x{}", "$(id)"),
        ("oid", "{}", "x|id"),
    ],
)
def test_no_claim_gets_into_a_command_or_setting_that_a_shell_reads_otherwise(
    entra: Emulator, api: str, report: Callable[..., Report], claim: str, audience: str, evil: str
) -> None:
    token = entra.issue_token(
        api, preset="no-roles", claims={claim: audience.format(evil)}, headers={"kid": "x"}
    )
    remedy = report(token, Requirement(roles=["Orders.Read"])).remedy
    assert remedy
    lines = [line.replace(" > token.txt", "") for line in (*remedy.commands, *remedy.settings)]
    assert [line for line in lines if (evil in line.split() if evil == "-x" else evil in line)] == []


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("preset", ["v2", "wrong-aud", "alg-none", "group-overage"])
def test_on_a_terminal_the_report_fits_and_every_check_has_both_values(
    entra: Emulator, api: str, report: Callable[..., Report], preset: str, width: int
) -> None:
    found = report(entra.issue_token(api, roles=["Orders.Read"], preset=preset))
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, width=width, highlight=False)
    show_report(Screen(console), found)
    lines = written.getvalue().splitlines()
    commands = [command_text(command) for command in (found.remedy.commands if found.remedy else ())]
    assert [line for line in lines if len(line) > width and line.strip() not in commands] == []
    checks = "\n".join(lines[next(n for n, line in enumerate(lines) if line.startswith("Checks")) :])
    checked = sum(step.verdict != "open" for step in found.steps)
    if width == 80:
        assert len(re.findall("^ +expected  ", checks, re.MULTILINE)) == checked
        assert len(re.findall("^ +found     ", checks, re.MULTILINE)) == checked


def test_the_verdict_and_the_fix_come_before_claims_and_checks(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    output = explain(entra.issue_token(api, roles=["Orders.Read"], preset="wrong-aud")).output
    parts = ["Refused with", "== What to do", "After this is fixed", "== Claims", "== Checks"]
    assert sorted(parts, key=output.index) == parts


def test_the_authentication_context_that_a_route_requires_is_checked(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    def report(**claims: object) -> dict[str, Any]:
        token = entra.issue_token(api, user="alice", scopes=["access"], claims=claims)
        content: dict[str, Any] = json.loads(explain(token, "--auth-context", "c1", "--json").stdout)
        return content

    assert report(acrs=["c1"])["reason"] == ""
    weak = report(acrs=["c2"])
    assert weak["reason"] == "auth_context_required"
    assert "xms_cc" in weak["facts"]["advice"]
    [command] = weak["remedy"]["commands"]
    assert command.startswith(f"entra-guard app update {api} --optional-claim xms_cc")
    expired = report(acrs=["c2"], exp=2, nbf=0, iat=0)
    assert expired["reason"] == "expired"
    [route] = [step for step in expired["steps"] if step["name"] == "route"]
    assert (route["verdict"], route["found"]) == ("fail", "c2")
    assert "the next failure would be auth_context_required (401)" in expired["next"]


def test_the_next_failure_is_named(entra: Emulator, api: str, report: Callable[..., Report]) -> None:
    token = entra.issue_token(api, preset="no-roles", claims={"aud": "api://other"})
    assert report(token).next.startswith(
        "unless the new token has other permissions, the next failure would be no_permissions (403)"
    )
    old = entra.issue_token(api, roles=["Orders.List"], preset="expired")
    assert report(old, Requirement(roles=["Orders.Read"])).next.startswith(
        "the next failure would be missing_role"
    )
    assert report(old, Requirement(roles=["Orders.List"])).next == "all other checks pass"
    unsigned = entra.issue_token(api, roles=["Orders.Read"], preset="unknown-kid")
    assert "not known: signature" in report(unsigned).next


@pytest.mark.parametrize("first", ["expired", "forged", "unknown-kid", "mtls-bound", "wrong-iss"])
@pytest.mark.parametrize(
    ("made", "required"),
    [
        ({"roles": ["A"]}, {"users_only": True}),
        ({"roles": ["A"]}, {"users_only": True, "scopes": ["S"]}),
        ({"roles": ["A"]}, {"roles": ["A", "B"]}),
        ({"roles": ["A"]}, {"roles": ["A"]}),
        ({"user": "alice", "scopes": ["S"]}, {"app_only": True}),
        ({"user": "alice", "scopes": ["S"]}, {"app_only": True, "roles": ["A"]}),
        ({"user": "alice", "scopes": ["S"]}, {"scopes": ["S", "T"], "roles": ["A"]}),
        ({"user": "alice", "scopes": ["S"]}, {"scopes": ["S"], "auth_context": "c1"}),
        ({"user": "alice", "scopes": []}, {"scopes": ["S"]}),
    ],
)
def test_the_next_failure_is_the_one_of_the_token_without_the_first(
    entra: Emulator,
    api: str,
    report: Callable[..., Report],
    first: str,
    made: dict[str, Any],
    required: dict[str, Any],
) -> None:
    requirement = Requirement(**required)
    found = report(entra.issue_token(api, preset=first, **made), requirement)
    fixed = report(entra.issue_token(api, **made), requirement)
    assert found.reason != fixed.reason
    predicted = re.findall(r"the next failure would be (\w+)", found.next)
    assert predicted == ([fixed.reason] if fixed.reason else [])
    assert all(step.verdict != "open" for step in found.steps if step.name == "route")


def test_of_several_missing_roles_each_is_a_failure(
    entra: Emulator, api: str, report: Callable[..., Report]
) -> None:
    token = entra.issue_token(api, roles=["A"])
    found = report(token, Requirement(roles=["B", "A", "C"]))
    verdicts = [step.verdict for step in found.steps if step.name == "route"]
    assert (found.reason, verdicts) == ("missing_role", ["fail", "pass", "fail"])
    assert found.next.startswith("the next failure would be missing_role (403) for role C")
    nothing = report(entra.issue_token(api, preset="no-roles"), Requirement(roles=["A", "B"]))
    assert nothing.next.startswith("the next failure would be missing_role (403) for role B")


def test_claims_that_cannot_be_read_leave_the_route_open(
    entra: Emulator, api: str, report: Callable[..., Report]
) -> None:
    found = report(entra.issue_token(api, claims={"roles": 5}), Requirement(roles=["A"], app_only=True))
    assert [step.verdict for step in found.steps if step.name == "route"] == ["open", "open"]
    assert "could not be checked yet" in found.next


@pytest.mark.parametrize(
    ("required", "reason", "command"),
    [
        ({"roles": ["Orders.Read"]}, "", ""),
        ({"roles": ["Orders.Write"]}, "missing_role", "app role add {api} Orders.Write"),
        ({"scopes": ["Orders.Read"]}, "missing_scope", ""),
    ],
)
def test_what_a_route_requires_is_checked_too(
    entra: Emulator,
    api: str,
    good: str,
    report: Callable[..., Report],
    required: dict[str, Any],
    reason: str,
    command: str,
) -> None:
    found = report(good, Requirement(**required))
    assert found.reason == reason
    commands = found.remedy.commands if found.remedy else ()
    assert any(command.format(api=api) in each for each in commands) == bool(command)
    assert found.steps[-1].verdict == ("fail" if reason else "pass")


def test_the_fix_for_another_issuer_is_not_in_entra() -> None:
    guard = Guard(authority=Authority.openid("https://issuer.example"), audience="orders")
    found = report_on("no token", guard, guard, None, 0)
    assert found.reason == "not_a_jwt"
    assert found.remedy
    assert (found.remedy.commands, found.remedy.portal) == ((), "")


def test_json_has_the_verdict_the_fix_and_all_checks(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    done = explain(entra.issue_token(api, roles=["Orders.Read"], preset="expired"), "--json")
    content = json.loads(done.output)
    assert done.exit_code == 1
    assert (content["accepted"], content["reason"], content["status"]) == (False, "expired", 401)
    assert content["claims_verified"] is True
    assert content["facts"]["expired for"] == "60 min"
    assert content["remedy"]["commands"]
    assert {row["name"] for row in content["claims"]} >= {"aud", "iss", "exp"}
    assert [step["verdict"] for step in content["steps"]].count("fail") == 1


def test_claims_of_any_form_make_a_report(explain: Callable[..., Result], entra: Emulator, api: str) -> None:
    odd = {
        "exp": 1e300,
        "iat": "x",
        "roles": ["R"] * 50,
        "aud": {"a": 1},
        "azpacr": [1],
        "groups": list(range(99)),
    }
    output = explain(entra.issue_token(api, roles=["Orders.Read"], claims=odd)).output
    assert output.startswith("Refused with 401: ")
    assert "and 87 more" in output
    assert explain("a.b.c").output.startswith("Refused with 401: not_a_jwt")


def test_the_guard_of_an_application_is_used_and_offline_with_its_keys(
    entra: Emulator, api: str, good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.json"
    with httpx.Client(transport=entra.transport) as client:
        guard = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=client, keys_file=keys)
        guard.verify(good)
        (tmp_path / "own_application.py").write_text("guard = text = None\n")
        monkeypatch.syspath_prepend(tmp_path)
        import own_application

        own_application.guard, own_application.text = guard, "x"
        named = ["explain", "--guard", "own_application:guard"]
        run = lambda *options: CliRunner().invoke(group, [*named, *options], input=good)  # noqa: E731
        assert run().exit_code == 0
        monkeypatch.setenv("ENTRA_GUARD_KEYS_FILE", str(tmp_path / "none.json"))
        assert run().exit_code == 0, "the application's guard has its own settings"
        assert "with --offline only" in run("--keys-file", str(keys)).output
        count = len(entra.requests)
        offline = run("--offline", "--keys-file", str(keys))
        assert (offline.exit_code, len(entra.requests)) == (0, count), offline.output
        monkeypatch.delenv("ENTRA_GUARD_KEYS_FILE")
        assert "needs --keys-file" in run("--offline").output
        assert "omit these options" in run("--tenant", CONTOSO).output
        own_application.guard = Guard(
            tenant=CONTOSO, audience=api, authority=entra.url, app_specific_keys=True
        )
        given: dict[str, Any] = dict.fromkeys(("tenant", "audience", "authority", "keys_file"))
        given |= {"guard_name": "own_application:guard", "offline": True}
        rebuilt: Any = _from_application(given, {"keys_file": keys})
        assert parts_of(rebuilt).source.app_id == api
        wrong = CliRunner().invoke(group, ["explain", "--guard", "own_application:text"], input=good)
        assert "guard must be a Guard" in wrong.output


def test_steps_after_a_failed_one_are_still_checked(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    done = explain(entra.issue_token(api, roles=["Orders.Read"], preset="wrong-iss"))
    assert "FAIL issuer" in done.output
    assert f"ok   {CHECKLIST[-1].name}" in done.output


def test_missing_keys_exit_with_3_and_show_the_cause(explain: Callable[..., Result], good: str) -> None:
    done = explain(good, transport=httpx.MockTransport(lambda _request: httpx.Response(502)))
    assert done.exit_code == 3
    assert done.output.startswith("Not checked with 503: keys_unavailable\n")
    assert "status 502" in done.output
    assert "A server responded" in done.output
    assert "Open egress" not in done.output


def test_a_host_that_is_not_reached_is_fixed_by_the_network(
    explain: Callable[..., Result], good: str
) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    done = explain(good, transport=httpx.MockTransport(fail))
    assert done.exit_code == 3
    assert "Open egress" in done.output
    assert "A server responded" not in done.output


@pytest.mark.parametrize("wrapped", ["{}", "  {}\n\n", "Bearer {}", "Authorization: Bearer {}", '"{}"'])
def test_a_token_is_extracted_from_pasted_text(wrapped: str) -> None:
    assert extract_token(wrapped.format("aa.bb.cc")) == "aa.bb.cc"


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ('{"token_type": "Bearer", "access_token": "aa.bb.cc"}', "aa.bb.cc"),
        ("{no json", "{no json"),
        ("{}", "{}"),
    ],
)
def test_a_token_is_extracted_from_a_token_response(text: str, token: str) -> None:
    assert extract_token(text) == token


@pytest.mark.parametrize("preset", [None, "expired", "forged", "alg-none", "graph-token", "wrong-aud"])
def test_no_part_of_a_token_is_printed(
    explain: Callable[..., Result], entra: Emulator, api: str, preset: str | None
) -> None:
    token = entra.issue_token(api, roles=["Orders.Read"], preset=preset)
    output = explain(json.dumps({"access_token": token})).output
    assert [part for part in token.split(".") if part and part in output] == []


def test_a_token_is_refused_as_an_argument(explain: Callable[..., Result], good: str) -> None:
    done = explain("", good)
    assert done.exit_code == 2
    assert "unexpected extra argument" in done.output


def test_a_missing_token_is_reported_with_the_ways_to_pass_one(explain: Callable[..., Result]) -> None:
    done = explain("\n")
    assert done.exit_code == 2
    assert "there is no token" in done.output


def test_the_environment_is_used_without_options(entra: Emulator, api: str, good: str) -> None:
    environ = {
        "ENTRA_GUARD_TENANT": CONTOSO,
        "ENTRA_GUARD_AUDIENCE": api,
        "ENTRA_GUARD_AUTHORITY": entra.url,
    }
    with httpx.Client(transport=entra.transport) as client:
        settings = {"http_client": client}
        done = CliRunner(env=environ).invoke(group, ["explain"], input=good, obj=settings)
        other = ["explain", "--audience", "api://another"]
        refused = CliRunner(env=environ).invoke(group, other, input=good, obj=settings)
    assert done.exit_code == 0
    assert "Refused with 401: wrong_audience" in refused.output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "set ENTRA_GUARD_TENANT"),
        (["--tenant", CONTOSO], "set ENTRA_GUARD_AUDIENCE"),
        (["--tenant", "nonsense", "--audience", "a"], "tenant must be a tenant id"),
    ],
)
def test_invalid_settings_exit_with_2_before_a_token_is_read(
    options: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENTRA_GUARD_TENANT", "ENTRA_GUARD_AUDIENCE", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(group, ["explain", *options])
    assert done.exit_code == 2
    assert complaint in done.output
    assert "--audience" in done.output


def test_a_hidden_prompt_accepts_a_token_longer_than_the_terminals_line() -> None:
    pty = pytest.importorskip("pty")
    with Emulator() as entra:
        api = entra.register_app("Orders API", app_roles=["Orders.Read"])
        token = entra.issue_token(api, roles=["Orders.Read"], claims={"filler": "x" * 6000})
        ours, theirs = pty.openpty()
        options = ["--tenant", CONTOSO, "--audience", api.client_id, "--authority", entra.url]
        process = subprocess.Popen(
            [*PROGRAM, "explain", *options], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stderr
        assert process.stderr.read(16) == b"Paste the token "
        typed = f"{token}\n".encode()
        while typed:
            typed = typed[os.write(ours, typed) :]
        output, _ = process.communicate(timeout=120)
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)  # what was typed came back to nobody
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, output
    assert b"Accepted." in output
