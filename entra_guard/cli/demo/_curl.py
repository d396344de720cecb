"""Commands to paste into another terminal while the demo is running."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from entra_guard.cli._program import program_name

if TYPE_CHECKING:
    from entra_guard.cli._screen import Screen
    from entra_guard.cli.demo._fixture import DemoFixture

# An error response goes to the terminal, not into $TOKEN.
_PICK: Final = """| sed -e 's/.*"access_token": *"\\([^"]*\\)".*/\\1/' -e '/^{/w /dev/stderr' -e '/^{/d'"""
_NEXT: Final = " \\\n  "
_PRESET: Final = "expired"


def show_commands(screen: Screen, fixture: DemoFixture, orders_url: str) -> None:
    """Print commands for a valid call, a refused call, and an explanation."""
    screen.heading("Try it: paste these into another terminal")
    for purpose, command in commands(fixture, orders_url).items():
        screen.blank_line()
        screen.verbatim(f"# {purpose}", "dim")
        screen.verbatim(command)
    screen.blank_line()
    screen.text("Both run until you press Ctrl-C. The API's log:")


def commands(fixture: DemoFixture, orders_url: str) -> dict[str, str]:
    """Return the commands by purpose."""
    call = f'curl -i -H "Authorization: Bearer ${{TOKEN:?}}" {orders_url}; echo'
    others = f"use an {_PRESET} token; other presets, such as wrong-aud: {fixture.entra.url}/#presets"
    return {
        "get a token, as the daemon does": _token_from(_token_request(fixture)),
        "call the API with it": call,
        others: f"{_token_from(_preset_request(fixture))}\n{call}",
        "explain why it is refused": _explain_command(fixture),
    }


def _token_from(request: list[str]) -> str:
    """Return a shell command that sets $TOKEN from a response."""
    return f"TOKEN=$({_NEXT.join([*request, _PICK])})"


def _token_request(fixture: DemoFixture) -> list[str]:
    fields = urlencode(fixture.form(fixture.api.default_scope)).split("&")
    return [f"curl -s {fixture.token_url}", *(f"-d {shlex.quote(field)}" for field in fields)]


def _preset_request(fixture: DemoFixture) -> list[str]:
    arguments = {"client": fixture.daemon.client_id, "audience": fixture.api.client_id, "preset": _PRESET}
    return [
        f"curl -s {fixture.entra.url}/_emu/token -H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.dumps(arguments))}",
    ]


def _explain_command(fixture: DemoFixture) -> str:
    options = f"--authority {fixture.entra.url} --tenant {fixture.entra.tenant_id}"
    lines = [
        f'echo "$TOKEN" | {program_name(elsewhere=True)} explain',
        options,
        f"--audience {fixture.api.client_id}",
    ]
    return _NEXT.join(lines)
