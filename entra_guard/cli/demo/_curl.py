"""Commands to paste into another terminal while the demo is left running. Runs nothing itself."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from entra_guard.cli._program import program_name

if TYPE_CHECKING:
    from entra_guard.cli._screen import Screen
    from entra_guard.cli.demo._fixture import DemoFixture

# What is no token goes to the terminal, and not into $TOKEN.
_PICK: Final = """| sed -e 's/.*"access_token": *"\\([^"]*\\)".*/\\1/' -e '/^{/w /dev/stderr' -e '/^{/d'"""
_NEXT: Final = " \\\n  "
_PRESET: Final = "expired"


def show_commands(screen: Screen, fixture: DemoFixture, orders_url: str) -> None:
    """Print what to try: a good call, a refused one, an explanation."""
    screen.heading("Now you: paste these into another terminal")
    for purpose, command in commands(fixture, orders_url).items():
        screen.blank_line()
        screen.verbatim(f"# {purpose}", "dim")
        screen.verbatim(command)
    screen.blank_line()
    screen.text("Both run until you press Ctrl-C. The API's log, as you call it:")


def commands(fixture: DemoFixture, orders_url: str) -> dict[str, str]:
    """What to try, by what it is for."""
    call = f'curl -i -H "Authorization: Bearer ${{TOKEN:?}}" {orders_url}; echo'
    others = f"an {_PRESET} token; other presets, such as wrong-aud: {fixture.entra.url}/#presets"
    return {
        "a token, as the daemon gets it": _token_from(_asked(fixture)),
        "call the API with it": call,
        others: f"{_token_from(_forged(fixture))}\n{call}",
        "what is wrong with it": _explained(fixture),
    }


def _token_from(request: list[str]) -> str:
    """A shell command that keeps the token of an answer as $TOKEN."""
    return f"TOKEN=$({_NEXT.join([*request, _PICK])})"


def _asked(fixture: DemoFixture) -> list[str]:
    fields = urlencode(fixture.form(fixture.api.default_scope)).split("&")
    return [f"curl -s {fixture.token_url}", *(f"-d {shlex.quote(field)}" for field in fields)]


def _forged(fixture: DemoFixture) -> list[str]:
    order = {"client": fixture.daemon.client_id, "audience": fixture.api.client_id, "preset": _PRESET}
    return [
        f"curl -s {fixture.entra.url}/_emu/token -H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.dumps(order))}",
    ]


def _explained(fixture: DemoFixture) -> str:
    options = f"--authority {fixture.entra.url} --tenant {fixture.entra.tenant_id}"
    lines = [
        f'echo "$TOKEN" | {program_name(elsewhere=True)} explain',
        options,
        f"--audience {fixture.api.client_id}",
    ]
    return _NEXT.join(lines)
