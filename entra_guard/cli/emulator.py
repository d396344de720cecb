"""`entra-guard emulator`: serve the Entra emulator until Ctrl-C."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

if TYPE_CHECKING:
    from entra_guard.emulator import Emulator, Samples

Form = Literal["env", "json"]
_HTTP: Final = 8787
_HTTPS: Final = 8788


@click.command()
@click.option("--port", default=_HTTP, show_default=True, help="The http port; 0 selects a free one.")
@click.option("--https-port", default=_HTTPS, show_default=True, help="The https port; 0 selects a free one.")
@click.option("--https/--no-https", default=True, help="MSAL and azure-identity require https.")
@click.option("--seed", type=int, help="Makes all random values the same on every run.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its certificate between runs.  [default: the user's application folder]",
)
@click.option("--env", "form", flag_value="env", help="Print only shell exports.")
@click.option("--json", "form", flag_value="json", help="Print only JSON.")
def emulator(
    *, port: int, https_port: int, https: bool, seed: int | None, state_dir: Path | None, form: Form | None
) -> None:
    """Serve the Entra emulator on this machine, with an API, a daemon and users.

    Their ids and the daemon's secret are the same on every run. Only a certificate is stored between
    runs. Press Ctrl-C to stop.

    In a script, one line starts it in the background and sets the environment variables for
    Guard.from_env(), azure-identity and HTTP clients. After this line, the emulator accepts requests:

    \b
        eval "$(entra-guard emulator --env &)"
        ...
        kill $ENTRA_EMULATOR_PID
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard.cli._signals import wait_for_stop_signal  # noqa: PLC0415  # so that --help stays fast
    from entra_guard.emulator import Emulator  # noqa: PLC0415

    entra = Emulator(
        seed=seed,
        port=port,
        https=https,
        https_port=https_port if https else 0,
        state_dir=state_dir or Path(click.get_app_dir("entra-guard")) / "emulator",
    )
    _start(entra)
    try:
        _print_start(entra, entra.add_samples(), form, https=https)
        wait_for_stop_signal()
    finally:
        entra.stop()
    click.echo("Stopped.", err=True)


def _start(entra: Emulator) -> None:
    try:
        entra.start()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from None


def _print_start(entra: Emulator, samples: Samples, form: Form | None, *, https: bool) -> None:
    from entra_guard.cli import _emulator_output  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    if form is None:
        _emulator_output.show(Screen(), entra, samples, https=https, page=_pages_url(entra))
        return
    if form == "env":
        click.echo(_emulator_output.as_shell(_emulator_output.variables(entra, samples, https=https)))
    else:
        click.echo(_emulator_output.as_json(entra, samples, https=https))
    _release_stdout()


def _pages_url(entra: Emulator) -> str:
    """Return the URL of the emulator's pages; '' if Jinja2 is not installed."""
    return entra.url if find_spec("jinja2") else ""


def _release_stdout() -> None:
    """Close the pipe to a reader that waits for its end, such as `$(entra-guard emulator --env &)`."""
    sys.stdout.flush()
    with suppress(UnsupportedOperation):  # a test's stdout is not a file
        if not sys.stdout.isatty():
            null_device = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null_device, sys.stdout.fileno())
            os.close(null_device)
