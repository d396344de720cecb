"""The demo of an MCP server connects the SDK's own client for real, and fails if a result is unexpected."""

from __future__ import annotations

import io
import re
from importlib.metadata import PackageNotFoundError, version

import click
import pytest
from rich.console import Console

from entra_guard.cli._screen import Screen
from entra_guard.cli.demo import _mcp_run
from entra_guard.emulator import Emulator

JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

if not version("mcp").startswith("2."):
    pytest.skip("the demo needs the MCP SDK 2.x", allow_module_level=True)


def shown(entra: Emulator, *, width: int = 80) -> tuple[bool, str]:
    """Run the demo on a terminal, and return whether it passed, and what it shows."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False)
    passed = _mcp_run.run_mcp(Screen(console), entra=entra)
    return passed, COLOUR.sub("", console.file.getvalue())


@pytest.fixture(scope="module")
def output() -> str:
    passed, text = shown(Emulator())
    assert passed, text
    return text


def test_the_client_finds_entra_as_it_is(output: str) -> None:
    steps = [
        "401     MCP     POST /mcp  initialize",
        "200     MCP     GET /.well-known/oauth-protected-resource/mcp",
        "404     Entra   GET /.well-known/oauth-authorization-server/{tenant}/v2.0",
        "200     Entra   GET /{tenant}/v2.0/.well-known/openid-configuration",
        "302     Entra   GET /{tenant}/oauth2/v2.0/authorize",
        "200     Entra   POST /{tenant}/oauth2/v2.0/token",
        "200     MCP     POST /mcp  tools/call",
    ]
    places = [output.index(step) for step in steps]
    assert places == sorted(places)


def test_the_user_and_the_application_see_their_own_tools(output: str) -> None:
    assert re.search(r"tools   whoami *\n  whoami  Alice Adams", output)
    assert re.search(r"tools       whoami, close_task\n  close_task  closed task 7", output)


def test_every_refusal_is_shown_with_its_reason(output: str) -> None:
    for text in ("missing_token", "missing_scope", "wrong_audience", "expired", "AADSTS9010010"):
        assert text in output
    assert "404  Another's session" in output


def test_the_output_fits_a_terminal_and_shows_no_token(output: str) -> None:
    assert max(map(len, output.splitlines())) <= 80
    assert not JWT.search(output)


def test_an_unexpected_result_fails_the_demo() -> None:
    class Careless(Emulator):
        """Grants the daemon nothing, so that it has no role."""

        def grant(self, *_arguments: object, **_more: object) -> tuple[()]:  # type: ignore[override]
            return ()

    passed, text = shown(Careless())
    assert not passed
    assert "UNEXPECTED: the tools that the application may use" in " ".join(text.split())


@pytest.mark.parametrize(
    ("found", "words"), [("", "mcp is not installed"), ("1.30.0", "mcp 1.30.0 is installed")]
)
def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, found: str, words: str
) -> None:
    def fake(name: str) -> str:
        if not found:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(_mcp_run, "version", fake)
    with pytest.raises(click.ClickException, match=f"{words}.*pip install 'mcp>=2'"):
        _mcp_run.run_mcp(Screen())
