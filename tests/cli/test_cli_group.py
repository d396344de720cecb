"""The command line opens fast, names every verb, and says what to install or change where it cannot work."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from entra_guard.cli import main
from entra_guard.cli._group import COMMANDS, group
from entra_guard.cli._program import NAME, program_name
from entra_guard.errors import ConfigurationError, FetchError

if TYPE_CHECKING:
    from pathlib import Path

AVAILABLE_COMMANDS = group.list_commands(click.Context(group))


def test_the_verbs_of_this_package_are_all_there() -> None:
    assert {"demo", "emulator", "explain", "reasons", "checklist"} <= set(AVAILABLE_COMMANDS)


@pytest.mark.parametrize("verb", AVAILABLE_COMMANDS)
def test_every_verb_loads_and_explains_itself(verb: str) -> None:
    done = CliRunner().invoke(group, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert f" {verb} [OPTIONS]" in done.output
    assert "\\b" not in done.output


def test_help_lists_every_verb_and_where_to_begin() -> None:
    done = CliRunner().invoke(group, ["--help"])
    assert [verb for verb in AVAILABLE_COMMANDS if f"  {verb}  " not in done.output] == []
    assert "entra-guard demo" in done.output


def test_help_loads_neither_the_emulator_nor_rich_nor_a_server() -> None:
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
    """The command in a folder of its own, which is this one and not on the PATH."""
    found = tmp_path / "a bin" / NAME
    found.parent.mkdir()
    found.touch(mode=0o755)
    monkeypatch.chdir(found.parent)
    monkeypatch.setenv("PATH", str(tmp_path))
    return found


def test_it_calls_itself_as_it_was_called(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"./{NAME}"])
    assert program_name() == f"./{NAME}"
    assert program_name(elsewhere=True) == f"'{command}'"
    monkeypatch.setattr(sys, "argv", [str(command)])
    assert program_name() == f"'{command}'"


def test_it_calls_itself_by_its_name_where_the_shell_finds_it(
    command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(command)])
    monkeypatch.setenv("PATH", str(command.parent))
    assert program_name() == NAME
    assert program_name(elsewhere=True) == f"'{command}'"


@pytest.mark.parametrize("typed", [NAME, "-c", "/usr/bin/pytest", ""])
def test_called_otherwise_it_goes_by_its_name(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    assert program_name() == program_name(elsewhere=True) == NAME


def test_examples_in_help_are_called_as_the_command_was(
    command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(command)])
    for _again in range(2):
        said = CliRunner().invoke(group, ["explain", "--help"]).output
        assert f"      '{command}' explain --tenant" in said


def test_an_unknown_verb_is_a_mistake() -> None:
    done = CliRunner().invoke(group, ["explian"])
    assert done.exit_code == 2
    assert "explian" in done.output


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigurationError("audience is empty"), 2, "audience is empty"),
        (FetchError("dns", "https://login.example", "no such host"), 1, "Error: dns: no such host"),
    ],
)
def test_an_error_of_ours_is_one_line_without_a_traceback(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr("entra_guard.cli.reasons.reasons", failing)
    done = CliRunner().invoke(group, ["reasons"])
    assert done.exit_code == status
    assert said in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("click", ["--help"]), ("rich", ["reasons"]), ("uvicorn", ["emulator", "--port=0", "--no-https"])],
)
def test_a_missing_extra_is_told_with_what_to_install(package: str, arguments: list[str]) -> None:
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


def test_a_mistake_in_the_code_is_not_taken_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["entra-guard", "checklist"])
    monkeypatch.setitem(sys.modules, "entra_guard._validation.checklist", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_every_verb_has_one_line_that_says_what_it_does() -> None:
    assert [
        verb for verb, (_module, line) in COMMANDS.items() if not line.endswith(".") or len(line) > 75
    ] == []
