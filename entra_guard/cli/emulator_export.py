"""`entra-guard emulator export`: the directory of a running emulator as a seed file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import click

from entra_guard._escaping import escape


@click.command("export")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(["json", "yaml"]), help="[default: by FILE's name]")
@click.option(
    "--emulator",
    "url",
    metavar="URL",
    default="",
    help="[env: ENTRA_EMULATOR_URL; default: http://127.0.0.1:8787]",
)
def export_command(file: Path | None, form: Literal["json", "yaml"] | None, url: str) -> None:
    """Print the running emulator's tenants, apps and users.

    With FILE they are written to it (0600).

    'entra-guard emulator --seed FILE' starts with them. The values of secrets are not in it, only their
    hashes: clients that have a secret can go on using it.
    """
    from entra_guard.cli.app._calls import DEFAULT_URL  # noqa: PLC0415  # so that --help stays fast
    from entra_guard.cli.app._files import NewFile  # noqa: PLC0415
    from entra_guard.cli.app._target import check_local, control  # noqa: PLC0415

    base = (url or os.environ.get("ENTRA_EMULATOR_URL") or DEFAULT_URL).rstrip("/")
    check_local(base)
    document = control(base, "GET", "export")
    yaml = form == "yaml" or (form is None and file is not None and file.suffix in {".yaml", ".yml"})
    text = _yaml(document) if yaml else f"{json.dumps(document, indent=2)}\n"
    if file is None:
        click.echo(text, nl=False)
        return
    # Only hashes of secrets: a seed may be kept with the code.
    with NewFile(file, secret=False) as target:
        target.write(text.encode())
    click.echo(f"Written to {escape(str(file))}.", err=True)


def _yaml(document: Any) -> str:
    from entra_guard.emulator._directory.rules import RegistrationError  # noqa: PLC0415
    from entra_guard.emulator._directory.seed_format import as_yaml  # noqa: PLC0415

    try:
        return as_yaml(document)
    except RegistrationError as error:
        raise click.ClickException(str(error)) from None
