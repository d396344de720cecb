"""The command line starts fast, lists its commands, and reports what to install or change."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from cli_processes import PROGRAM
from click.testing import CliRunner

from entra_guard.cli import main
from entra_guard.cli._group import COMMANDS, group
from entra_guard.cli._program import NAME, program_name
from entra_guard.errors import ConfigurationError, FetchError

if TYPE_CHECKING:
    from pathlib import Path

AVAILABLE_COMMANDS = group.list_commands(click.Context(group))


def test_the_commands_are_available() -> None:
    assert {"demo", "emulator", "explain", "reasons", "checklist"} <= set(AVAILABLE_COMMANDS)


@pytest.mark.parametrize("verb", AVAILABLE_COMMANDS)
def test_every_command_has_help(verb: str) -> None:
    done = CliRunner().invoke(group, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert f" {verb} [OPTIONS]" in done.output
    assert "\\b" not in done.output


def test_help_lists_every_command_and_the_first_one_to_run() -> None:
    done = CliRunner().invoke(group, ["--help"])
    assert [verb for verb in AVAILABLE_COMMANDS if f"  {verb}  " not in done.output] == []
    assert "entra-guard demo" in done.output


def test_help_loads_no_emulator_no_rich_and_no_server() -> None:
    program = (
        "import sys\n"
        "from entra_guard.cli import main\n"
        "sys.argv = ['entra-guard', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert {"rich", "httpx", "uvicorn", "starlette", "entra_guard.emulator"}.isdisjoint(loaded)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command in the current folder, which is not on the PATH."""
    found = tmp_path / "a bin" / NAME
    found.parent.mkdir()
    found.touch(mode=0o755)
    monkeypatch.chdir(found.parent)
    monkeypatch.setenv("PATH", str(tmp_path))
    return found


def test_the_program_name_is_as_typed(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"./{NAME}"])
    assert program_name() == f"./{NAME}"
    assert program_name(elsewhere=True) == f"'{command}'"
    monkeypatch.setattr(sys, "argv", [str(command)])
    assert program_name() == f"'{command}'"


def test_the_program_name_is_short_if_the_shell_finds_it(
    command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(command)])
    monkeypatch.setenv("PATH", str(command.parent))
    assert program_name() == NAME
    assert program_name(elsewhere=True) == f"'{command}'"


@pytest.mark.parametrize("typed", [NAME, "-c", "/usr/bin/pytest", ""])
def test_the_program_name_has_a_default(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    assert program_name() == program_name(elsewhere=True) == NAME


def test_examples_in_help_have_the_program_name_as_typed(
    command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(command)])
    for _again in range(2):
        for words, example in (
            (["explain"], "explain --tenant"),
            (["app", "setup"], 'app setup "Orders API"'),
        ):
            output = CliRunner().invoke(group, [*words, "--help"]).output
            assert f"      '{command}' {example}" in output


@pytest.mark.parametrize(
    ("typed", "suggested"), [("explian", "explain"), ("emulater", "emulator"), ("reasns", "reasons")]
)
def test_a_misspelt_command_gets_a_suggestion(typed: str, suggested: str) -> None:
    done = CliRunner().invoke(group, [typed])
    assert done.exit_code == 2
    assert f"There is no command {typed!r}. Did you mean {suggested!r}?" in done.output


def test_an_unknown_command_gets_the_list() -> None:
    done = CliRunner().invoke(group, ["\x1b[2Jxyz"])
    assert done.exit_code == 2
    assert "The commands are: demo, emulator, app, user, identity, explain, " in done.output
    assert "Did you mean" not in done.output
    assert "\x1b" not in done.output


def commands_of(command: click.Command, *path: str) -> list[list[str]]:
    """Return the names of a command and of all commands below it."""
    found = [[*path]]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            found += commands_of(below, *path, name)
    return found


@pytest.mark.parametrize("columns", ["", "200"])
def test_help_has_at_most_80_columns(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for command in commands_of(group):
        done = CliRunner().invoke(group, [*command, "--help"], prog_name=NAME)
        assert done.exit_code == 0, command
        assert [line for line in done.output.splitlines() if len(line) > 80] == [], command


def test_piped_help_has_at_most_80_columns() -> None:
    done = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(f"  {name} " in done.stdout for name in AVAILABLE_COMMANDS)


@pytest.mark.parametrize(
    ("error", "status", "output"),
    [
        (ConfigurationError("audience is empty"), 2, "audience is empty"),
        (FetchError("dns", "https://login.example", "no such host"), 1, "Error: dns: no such host"),
    ],
)
def test_our_own_errors_are_one_line_without_a_traceback(
    error: Exception, status: int, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr("entra_guard.cli.reasons.reasons", failing)
    done = CliRunner().invoke(group, ["reasons"])
    assert done.exit_code == status
    assert output in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("click", ["--help"]), ("rich", ["reasons"]), ("uvicorn", ["emulator", "--port=0", "--no-https"])],
)
def test_a_missing_extra_is_reported_with_the_install_command(package: str, arguments: list[str]) -> None:
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from entra_guard.cli import main\n"
        f"sys.argv = ['entra-guard', *{arguments!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert package in done.stderr
    assert 'pip install "entra-guard[' in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_error_in_the_code_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["entra-guard", "checklist"])
    monkeypatch.setitem(sys.modules, "entra_guard._validation.checklist", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_every_command_has_one_line_of_help() -> None:
    assert [
        verb for verb, (_module, line) in COMMANDS.items() if not line.endswith(".") or len(line) > 75
    ] == []


def test_the_lists_of_subcommands_cut_no_line() -> None:
    for verb in AVAILABLE_COMMANDS:
        command = group.get_command(click.Context(group), verb)
        if isinstance(command, click.Group):
            done = CliRunner().invoke(group, [verb, "--help"], env={"COLUMNS": "80"})
            assert "..." not in done.output.partition("Commands:")[2], verb
