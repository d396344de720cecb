"""`entra-guard` and its commands. A command's module is imported when the command runs."""

from __future__ import annotations

import re
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard.cli._errors import as_cli_error
from entra_guard.cli._formatting import did_you_mean
from entra_guard.cli._program import NAME, program_name
from entra_guard.errors import ConfigurationError, EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH: Final = 80
_CALL: Final = re.compile(rf"\b{NAME} (?=[a-z])")
# The module of each command, and its line in `--help`.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo", "Register an API, get a token, call the API, and see refusals."),
    "emulator": ("emulator", "Serve the Entra emulator on this machine."),
    "app": ("app.commands", "Register APIs and clients: on the emulator, or in a tenant."),
    "user": ("app.commands", "Add users."),
    "identity": ("app.commands", "Add managed identities to the emulator."),
    "explain": ("explain", "Check a token step by step, and see why it is refused."),
    "doctor": ("doctor", "Check a deployment: settings, network, keys, credentials, registration."),
    "routes": ("routes", "List an application's routes: what each requires, which are public."),
    "token": ("token", "Get a token for another API, and show its claims."),
    "keys": ("keys", "Save an authority's signing keys to a file, or show such a file."),
    "reasons": ("reasons", "List every reason for a refusal."),
    "reason": ("reasons", "Show one reason: its causes, and how to fix each."),
    "checklist": ("reasons", "List the checks that every token must pass."),
}


class LazyGroup(click.Group):
    """Import a command's module when it runs, so that `--help` and every command start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, (module, _) in COMMANDS.items() if find_spec(f"{__package__}.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{__package__}.{COMMANDS[cmd_name][0]}")
        return _as_typed(getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            hint = did_you_mean(name, known)
            ctx.fail(f"There is no command {name!r}.{hint} The commands are: {', '.join(known)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print our own errors as one line on stderr, without a traceback."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise click.UsageError(as_cli_error(error).message) from None
        except EntraGuardError as error:
            raise as_cli_error(error) from None


def _as_typed(command: click.Command) -> click.Command:
    """Return a command, and those below it, with examples in their help that can be pasted."""
    command = copy(command)
    command.help = _CALL.sub(f"{program_name()} ", command.help or "")
    if isinstance(command, click.Group):
        command.commands = {name: _as_typed(each) for name, each in command.commands.items()}
    return command


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH},
    epilog=f"New here? Run '{program_name()} demo'. It needs no tenant, no account and no network.",
)
@click.version_option(package_name="entra-guard")
def group() -> None:
    """Protect a Python web API with Microsoft Entra ID tokens, and see why a request got a 401."""
