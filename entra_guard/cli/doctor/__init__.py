"""`entra-guard doctor`: check a deployment from where it runs, before the first request."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from entra_guard.cli._guard_options import guard_options

_FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)
_FAILED: Final = 1


@click.command()
@guard_options
@click.option("--keys-file", metavar="FILE", help="The guard's keys file.  [env: ENTRA_GUARD_KEYS_FILE]")
@click.option("--env-file", type=_FILE, help="More variables, as NAME=value lines; the environment wins.")
@click.option("--guard", "guard_name", metavar="MODULE:OBJECT", help="Check this guard, not the variables.")
@click.option(
    "--app", "app_name", metavar="MODULE:APP", help="Check this application's routes and middleware."
)
@click.option(
    "--credential",
    "credential_name",
    metavar="MODULE:OBJECT",
    help="Check this outbound credential.  [default: the one that AZURE_* variables describe]",
)
@click.option("--managed-identity", is_flag=True, help="Check this host's identity, after AZURE_* variables.")
@click.option("--scope", metavar="SCOPE", help="What the dry run requests a token for.  [default: Graph]")
@click.option("--graph", is_flag=True, help="Read the registration from Microsoft Graph with the credential.")
@click.option("--redis", metavar="URL", help="Check this Redis: a URL, or the name of its variable.")
@click.option("--mcp-url", metavar="URL", help="The URL of the MCP endpoint, as clients use it.")
@click.option("--offline", is_flag=True, help="Use no network: settings, files and the application only.")
@click.option("--json", "is_json", is_flag=True, help="Write JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.pass_obj
def doctor(settings: dict[str, Any] | None, /, *, is_json: bool, strict: bool, **options: Any) -> None:
    """Check settings, network, authority, keys, credentials and registration, and show how to fix them.

    It uses what the guard uses: the same variables, proxy, certificates and clock. It sends the outbound
    credential's proof to the authority, and prints neither tokens nor secrets. Nothing is changed.

    \b
        entra-guard doctor
        entra-guard doctor --guard main:guard --app main:app
        entra-guard doctor --graph --json

    Exits with 0 if no check failed, with 1 if one did, and with 2 if it could not run: a wrong option, or
    a module that cannot be imported.
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # --help stays fast
    from entra_guard.cli.doctor._collect import collect  # noqa: PLC0415
    from entra_guard.cli.doctor._options import Options  # noqa: PLC0415
    from entra_guard.cli.doctor._report import as_json, show_report  # noqa: PLC0415

    lines = collect(Options(**options), settings or {})
    if is_json:
        click.echo(as_json(lines))
    else:
        show_report(Screen(), lines)
    bad = {"failure", "warning"} if strict else {"failure"}
    if any(line.finding.state in bad for line in lines):
        raise SystemExit(_FAILED)
