"""The demo shows every step, and fails if a result is unexpected."""

from __future__ import annotations

import logging
import os
import re
import signal
import stat
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from cli_processes import PROGRAM, Start
from needed_parts import needs_program
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import Guard, current_principal
from entra_guard.asgi import GuardMiddleware
from entra_guard.cli._screen import Screen
from entra_guard.cli.demo._refusals import REFUSALS
from entra_guard.cli.demo._run import run
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
REFUSED = ["missing_token", "expired", "wrong_audience", "missing_role", "bad_signature", "token_for_graph"]


@pytest.fixture(scope="module")
def done() -> subprocess.CompletedProcess[str]:
    """The output of a piped demo."""
    return subprocess.run([*PROGRAM, "demo"], capture_output=True, text=True, timeout=120, check=False)


def test_piped_the_demo_succeeds_without_other_output(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0
    assert not done.stderr
    assert "All 22 checks of statuses, challenges and logged reasons passed" in done.stdout


def test_piped_output_is_plain_ascii_without_trailing_spaces(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []


def test_piped_output_is_not_wrapped(done: subprocess.CompletedProcess[str]) -> None:
    assert f"/{CONTOSO}/oauth2/v2.0/token\n" in done.stdout
    assert 'error_description="The token was issued for Microsoft Graph, not for this API."\n' in done.stdout


def test_every_refusal_is_shown_with_status_challenge_and_fix(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert [due.reason for due in REFUSALS] == REFUSED
    for due in REFUSALS:
        scene = done.stdout.partition(f"{due.status}  {due.title}")[2].partition("\n\n")[0]
        assert re.search(f"WWW-Authenticate +{re.escape(due.challenge)}", scene)
        assert re.search(rf"reason +{due.reason}\n", scene)
        assert re.search(r"why +\w", scene)
        assert re.search(r"what to do +\w", scene)


def test_the_demo_shows_registration_request_response_claims_and_checklist(
    done: subprocess.CompletedProcess[str],
) -> None:
    for piece in (
        "Supported account types  Accounts in this organizational directory only",
        "Content-Type: application/x-www-form-urlencoded",
        "&grant_type=client_credentials",
        '"token_type": "Bearer"',
        "granted by the admin",
        "ok   signature",
        '"orders":["A-1001","A-1002"]',
    ):
        assert piece in done.stdout


def test_tokens_and_secrets_are_shortened(done: subprocess.CompletedProcess[str]) -> None:
    assert not JWT.search(done.stdout)
    assert re.search(r"client_secret=.{5}\.\.\. \(40 characters\)\n", done.stdout)


def test_no_line_is_wider_than_the_terminal(terminal: tuple[Screen, io.StringIO]) -> None:
    screen, written = terminal
    assert run(screen)
    lines = written.getvalue().splitlines()
    assert [line for line in lines if len(line) > 100] == []
    assert any("\N{CHECK MARK} signature" in line for line in lines)


def test_the_demo_restores_the_log(terminal: tuple[Screen, io.StringIO]) -> None:
    logger = logging.getLogger("entra_guard")
    before = (logger.level, logger.propagate, list(logger.handlers))
    run(terminal[0])
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_the_demo_leaves_no_thread(terminal: tuple[Screen, io.StringIO]) -> None:
    run(terminal[0])
    names = {thread.name for thread in threading.enumerate()}
    assert names.isdisjoint({"demo-api", "entra-emulator"})


# --- broken on purpose -----------------------------------------------------------------------------------


async def _open(_request: Request) -> JSONResponse:
    return JSONResponse({"called_by": "anybody"})


async def _named(_request: Request) -> JSONResponse:
    return JSONResponse({"called_by": current_principal().app_id})


def _unguarded(_guard: Guard) -> Starlette:
    return Starlette(routes=[Route("/orders", _open, methods=["GET", "POST"])])


def _asking_no_role(guard: Guard) -> Starlette:
    app = Starlette(routes=[Route("/orders", _named, methods=["GET", "POST"])])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def _absent(_guard: Guard) -> Starlette:
    return Starlette()


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (_unguarded, "the caller in the API's response: expected"),
        (_unguarded, "missing_token: the status: expected 401, found 200"),
        (_unguarded, "bad_signature: the reason in the log: expected bad_signature, found None"),
        (_asking_no_role, "missing_role: the status: expected 403, found 200"),
        (_absent, "the API's status: expected 200, found 404"),
    ],
)
def test_an_api_that_does_not_protect_itself_fails_the_demo(
    build: Callable[[Guard], Starlette], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(Screen(), build=build)
    output = capsys.readouterr().out
    assert f"UNEXPECTED: {complaint}" in output
    assert "checks of statuses, challenges and logged reasons failed" in output


def test_the_demo_ends_early_without_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    entra = Emulator()
    entra.fail("token", "500")
    assert not run(Screen(), entra=entra)
    output = capsys.readouterr().out
    assert "the token endpoint's status: expected 200, found 500" in output
    assert "What the API refuses" not in output


def test_a_failed_demo_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from entra_guard.cli._group import group

    monkeypatch.setattr("entra_guard.cli.demo._run.run", lambda _screen, *, serve: serve)
    with pytest.raises(SystemExit) as left:
        group.main(["demo"])
    assert left.value.code == 1


# --- left running ----------------------------------------------------------------------------------------


def test_with_serve_the_printed_commands_work_when_pasted(start: Start, tmp_path: Path) -> None:
    demo = start("demo", "--serve")
    pasted = _pasted(_printed_commands(demo), tmp_path)
    demo.send_signal(signal.SIGINT)
    rest, complaints = demo.communicate(timeout=120)
    assert [line for line in pasted.stdout.splitlines() if line.startswith("HTTP/")] == [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 401 Unauthorized",
    ]
    assert "Refused with 401: expired" in pasted.stdout
    assert "401 GET /orders: expired" in rest
    assert rest.endswith("Stopped.\n")
    assert (demo.returncode, complaints) == (0, "")


def test_with_serve_a_misspelt_preset_gets_the_list_and_nothing_is_sent(start: Start, tmp_path: Path) -> None:
    demo = start("demo", "--serve")
    commands = _printed_commands(demo)
    assert '"preset": "expired"' in commands
    assert "/#presets\n" in commands
    pasted = _pasted(commands.replace('"preset": "expired"', '"preset": "expird"'), tmp_path)
    assert "There is no preset 'expird'. Use one of: expired, not-yet-valid" in pasted.stderr
    assert [line for line in pasted.stdout.splitlines() if line.startswith("HTTP/")] == ["HTTP/1.1 200 OK"]


def _pasted(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    needs_program("curl")
    return subprocess.run(
        ["bash", "-c", commands],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": f"{_with_entra_guard(folder)}:{os.environ['PATH']}"},
    )


def _printed_commands(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout
    lines = iter(demo.stdout.readline, "")
    for line in lines:
        if "paste these" in line:
            break
    commands = []
    for line in lines:
        if line.startswith("Both run until"):
            return "".join(commands)
        commands.append(line)
    raise AssertionError("no commands were printed")


def _with_entra_guard(folder: Path) -> Path:
    """A folder with the command, like the scripts folder of a virtual environment."""
    command = folder / "entra-guard"
    command.write_text(f"#!/bin/sh\nexec '{PROGRAM[0]}' -c '{PROGRAM[2]}' \"$@\"\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder
