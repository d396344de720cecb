"""`entra-guard` and its verbs, each loaded when it is called for. Does nothing itself."""

from __future__ import annotations

import re
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard.cli._program import NAME, program_name
from entra_guard.errors import AccessError, ConfigurationError, EntraGuardError, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL: Final = re.compile(rf"\b{NAME} (?=[a-z])")
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo", "Show the whole story: register, get a token, call an API, be refused."),
    "emulator": ("emulator", "Serve the embedded Entra on loopback, to try things on."),
    "explain": ("explain", "Walk a token through the checklist, and say why it is refused."),
    "token": ("token", "Get a token for another API, and show what it says."),
    "keys": ("keys", "Save an authority's signing keys to a file, or show such a file."),
    "reasons": ("reasons", "List every reason for a refusal, and what to do about it."),
    "checklist": ("reasons", "List what every token is checked for."),
}
"""Each verb with the module that has a command of its name, and its line in `--help`."""


class LazyGroup(click.Group):
    """Loads a verb's module when the verb is called, so that `--help` and each verb start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [verb for verb, (module, _line) in COMMANDS.items() if find_spec(f"{__package__}.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{__package__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = copy(getattr(module, cmd_name))
        # The examples in its help are there to be pasted.
        command.help = _CALL.sub(f"{program_name()} ", command.help or "")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, COMMANDS[verb][1]) for verb in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; our own errors become one line on stderr, and no traceback."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise click.UsageError(_lines(error)) from None
        except EntraGuardError as error:
            raise click.ClickException(_lines(error)) from None


def _lines(error: EntraGuardError) -> str:
    """Return an error's text for a terminal: line by line, each escaped."""
    text = error.report() if isinstance(error, AccessError) else str(error)
    return "\n".join(escape(line) for line in text.splitlines())


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"New here? Run '{program_name()} demo'. It needs no tenant, no account and no network.",
)
@click.version_option(package_name="entra-guard")
def group() -> None:
    """Protect a Python web API with Microsoft Entra ID tokens, and know why a request got a 401."""
