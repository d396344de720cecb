"""`entra-guard explain` checks a token step by step and never prints it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from cli_processes import PROGRAM
from click.testing import CliRunner, Result
from rich.console import Console

from entra_guard import Guard
from entra_guard._validation.checklist import CHECKLIST
from entra_guard.cli._explanation_output import show_steps
from entra_guard.cli._group import group
from entra_guard.cli._screen import Screen
from entra_guard.cli._token_input import extract_token
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def entra() -> Emulator:
    return Emulator()


@pytest.fixture(scope="module")
def api(entra: Emulator) -> str:
    return entra.register_app("Orders API", app_roles=["Orders.Read"]).client_id


@pytest.fixture(scope="module")
def good(entra: Emulator, api: str) -> str:
    return entra.issue_token(api, roles=["Orders.Read"])


@pytest.fixture
def explain(entra: Emulator, api: str) -> Callable[..., Result]:
    def run(text: str, *options: str, transport: httpx.BaseTransport | None = None) -> Result:
        with httpx.Client(transport=transport or entra.transport) as client:
            given = ["--tenant", CONTOSO, "--audience", api, "--authority", entra.url, *options]
            return CliRunner().invoke(group, ["explain", *given], input=text, obj={"http_client": client})

    return run


def test_a_valid_token_is_accepted_and_exits_with_0(explain: Callable[..., Result], good: str) -> None:
    done = explain(good)
    assert done.exit_code == 0
    assert done.output.endswith("  accepted\n")
    assert "ok   signature" in done.output


def test_a_refused_token_exits_with_1_and_shows_the_fix(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    done = explain(entra.issue_token(api, roles=["Orders.Read"], preset="expired"))
    assert done.exit_code == 1
    assert "FAIL lifetime" in done.output
    assert "refused, 401: expired" in done.output
    assert re.search("what to do +The client must request a new token", done.output)


def test_a_token_for_another_api_shows_the_scope_to_request(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    output = explain(entra.issue_token(api, roles=["Orders.Read"], claims={"aud": f"{api}0"})).output
    assert re.search(rf"nearest +{api}\n", output)
    assert re.search(rf"request scope +api://{api}/\.default\n", output)


def test_an_expired_token_shows_how_long_ago(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    output = explain(entra.issue_token(api, roles=["Orders.Read"], preset="expired")).output
    assert re.search(r"expired for +60 min\n", output)
    assert re.search(r"entra clock ahead by +-?\d s\n", output)


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


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("preset", ["v2", "wrong-aud", "wrong-iss", "alg-none"])
def test_on_a_terminal_the_checklist_is_aligned_and_fits(
    entra: Emulator, api: str, preset: str, width: int
) -> None:
    token = entra.issue_token(api, roles=["Orders.Read"], preset=preset)
    with httpx.Client(transport=entra.transport) as client:
        explanation = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=client).explain(
            token
        )
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, width=width, highlight=False)
    show_steps(Screen(console), explanation)
    head, *lines = written.getvalue().splitlines()[:-1]
    assert max(map(len, lines)) <= width
    columns = [head.index(title) for title in ("expected", "found") if title in head]
    for line in lines:
        begins = len(line) - len(line[columns[0] :].lstrip())
        assert begins in columns
        assert line[columns[0] - 2 : columns[0]] == "  "


def test_steps_after_a_failed_one_are_still_checked(
    explain: Callable[..., Result], entra: Emulator, api: str
) -> None:
    done = explain(entra.issue_token(api, roles=["Orders.Read"], preset="wrong-iss"))
    assert "FAIL issuer" in done.output
    assert f"ok   {CHECKLIST[-1].name}" in done.output


def test_missing_keys_exit_with_3_and_show_the_cause(explain: Callable[..., Result], good: str) -> None:
    done = explain(good, transport=httpx.MockTransport(lambda _request: httpx.Response(502)))
    assert done.exit_code == 3
    assert "not checked, 503: keys_unavailable" in done.output
    assert "status 502" in done.output


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
    assert "refused, 401: wrong_audience" in refused.output


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
        output, _ = process.communicate(timeout=20)
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)  # what was typed came back to nobody
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, output
    assert b"accepted" in output
