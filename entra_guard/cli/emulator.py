"""`entra-guard emulator`: serve the Entra emulator until Ctrl-C; `emulator export` prints its directory."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from entra_guard.cli.emulator_export import export_command

if TYPE_CHECKING:
    from entra_guard.cli._emulator_content import Content
    from entra_guard.emulator import Emulator

Form = Literal["env", "json"]
_HTTP: Final = 8787
_HTTPS: Final = 8788
_PORT: Final = click.IntRange(0, 65535)
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option(
    "--port", type=_PORT, default=_HTTP, show_default=True, help="The http port; 0 selects a free one."
)
@click.option(
    "--https-port",
    type=_PORT,
    default=_HTTPS,
    show_default=True,
    help="The https port; 0 selects a free one.",
)
@click.option("--https/--no-https", default=True, help="MSAL and azure-identity require https.")
@click.option("--state", type=_FILE, help="Keep everything in this file between runs (0600).")
@click.option("--seed", metavar="FILE", help="Start with the tenants, apps and users of a YAML or JSON file.")
@click.option("--host", metavar="NAME", help="Serve other containers, by this name: see above.")
@click.option(
    "--secret-file", type=_FILE, help="With --host: the shared secret.  [else env: ENTRA_EMULATOR_SECRET]"
)
@click.option("--ca-file", type=_FILE, help="Write the certificate that clients must trust to this file.")
@click.option("--identity", metavar="NAME", help="Add a system-assigned managed identity.")
@click.option("--mcp", is_flag=True, help="Serve RFC 8414 metadata, which MCP clients want and Entra lacks.")
@click.option("--random-seed", type=int, help="Make all random values the same on every run.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its certificate between runs.  [default: the user's application folder]",
)
@click.option("--env", "form", flag_value="env", help="Print only shell exports.")
@click.option("--json", "form", flag_value="json", help="Print only JSON.")
@click.pass_context
def emulator(ctx: click.Context, /, **given: Any) -> None:
    """Serve the Entra emulator on this machine, with an API, a daemon and users.

    Their ids and the daemon's secret are the same on every run. Without --state only a certificate is
    stored between runs. Each request is printed as one line. Press Ctrl-C to stop.

    In a script, one line starts it in the background and sets the environment variables for
    Guard.from_env(), azure-identity and HTTP clients. After this line, the emulator accepts requests.
    entra_emulator_stop ends it and takes the variables back:

    \b
        eval "$(entra-guard emulator --env &)"
        ...
        entra_emulator_stop

    With --host NAME it serves https only, on all addresses, with a certificate for NAME. Then its pages,
    token minting, control and managed identities need the shared secret, as the password of Basic
    credentials.
    """  # noqa: D301  # click wants the character, not the letters
    if ctx.invoked_subcommand is None:
        _serve(**given)


emulator.add_command(export_command)


def _serve(
    *,
    port: int,
    https_port: int,
    https: bool,
    state: Path | None,
    seed: str | None,
    identity: str | None,
    mcp: bool,
    host: str | None,
    secret_file: Path | None,
    ca_file: Path | None,
    random_seed: int | None,
    state_dir: Path | None,
    form: Form | None,
) -> None:
    # So that --help stays fast.
    from entra_guard.cli._emulator_content import (  # noqa: PLC0415
        prepare,
        shared_secret,
        write_certificate,
    )
    from entra_guard.cli._signals import wait_for_stop_signal  # noqa: PLC0415
    from entra_guard.emulator import Emulator  # noqa: PLC0415

    secret = shared_secret(host, secret_file)
    https = https or host is not None
    entra = Emulator(
        seed=random_seed,
        port=port,
        https=https,
        https_port=https_port if https else 0,
        state_dir=state_dir or Path(click.get_app_dir("entra-guard")) / "emulator",
        host=host or "",
        shared_secret=secret,
    )
    entra.store.serves_mcp_metadata = mcp
    content = prepare(entra, state=state, seed=seed, identity=identity, secret=secret)
    _start(entra)
    try:
        if ca_file is not None and https:
            write_certificate(entra, ca_file)
        content.save_first()
        _print_start(entra, content, form, https=https)
        wait_for_stop_signal(content.save)
        content.save()
    finally:
        entra.stop()
    click.echo("Stopped.", err=True)


def _start(entra: Emulator) -> None:
    try:
        entra.start()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        options = "" if error.filename else " The options are --port and --https-port."
        raise click.ClickException(f"{where}{error.strerror or error}{options}") from None


def _print_start(entra: Emulator, content: Content, form: Form | None, *, https: bool) -> None:
    from entra_guard.cli import _emulator_output as output  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    if form is None:
        screen = Screen()
        output.show(screen, entra, content, https=https, page=_pages_url(entra))
        entra.request_log.on_exchange(output.log_to(screen))
        return
    if form == "env":
        click.echo(output.as_shell(output.variables(entra, content, https=https), os.environ))
    else:
        click.echo(output.as_json(entra, content, https=https))
    _release_stdout()


def _pages_url(entra: Emulator) -> str:
    """Return the URL of the emulator's pages; '' if Jinja2 is not installed."""
    return f"{entra.url}/" if find_spec("jinja2") else ""


def _release_stdout() -> None:
    """Close the pipe to a reader that waits for its end, such as `$(entra-guard emulator --env &)`."""
    sys.stdout.flush()
    with suppress(UnsupportedOperation):  # a test's stdout is not a file
        if not sys.stdout.isatty():
            null_device = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null_device, sys.stdout.fileno())
            os.close(null_device)
