"""`entra-guard emulator`: serves the embedded Entra until Ctrl-C."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
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
@click.option("--port", default=_HTTP, show_default=True, help="Of http; 0 takes a free one.")
@click.option("--https-port", default=_HTTPS, show_default=True, help="Of https; 0 takes a free one.")
@click.option("--https/--no-https", default=True, help="MSAL and azure-identity insist on https.")
@click.option("--seed", type=int, help="Make what else is random the same on every run, too.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where its certificate is kept between runs.  [default: the user's application folder]",
)
@click.option("--env", "form", flag_value="env", help="Print shell exports, and nothing else.")
@click.option("--json", "form", flag_value="json", help="Print JSON, and nothing else.")
def emulator(
    *, port: int, https_port: int, https: bool, seed: int | None, state_dir: Path | None, form: Form | None
) -> None:
    """Serve the embedded Entra on this machine, with an API, a daemon and people registered.

    Their ids and the daemon's secret are the same on every run; nothing but a certificate is kept between
    runs. Ctrl-C ends it.

    One line starts it in the background of a script, and sets what Guard.from_env(), azure-identity and
    HTTP clients read; when the line is done, the emulator answers:

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
        _tell(entra, entra.add_samples(), form, https=https)
        wait_for_stop_signal()
    finally:
        entra.stop()
    click.echo("Stopped.", err=True)


def _start(entra: Emulator) -> None:
    try:
        entra.start()
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        raise click.ClickException(f"{where}{problem.strerror or problem}") from None


def _tell(entra: Emulator, samples: Samples, form: Form | None, *, https: bool) -> None:
    from entra_guard.cli import _emulator_output  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    if form is None:
        _emulator_output.show(Screen(), entra, samples, https=https, page=_page(entra))
        return
    if form == "env":
        click.echo(_emulator_output.as_shell(_emulator_output.variables(entra, samples, https=https)))
    else:
        click.echo(_emulator_output.as_json(entra, samples, https=https))
    _let_go_of_stdout()


def _page(entra: Emulator) -> str:
    """The address of the emulator's pages, where it has some."""
    import httpx  # noqa: PLC0415

    with httpx.Client(transport=entra.transport) as client:
        return entra.url if client.get(entra.url).is_success else ""


def _let_go_of_stdout() -> None:
    """Close a pipe that somebody reads to its end, such as `$(entra-guard emulator --env &)`."""
    sys.stdout.flush()
    with suppress(UnsupportedOperation):  # no real file, in a test
        if not sys.stdout.isatty():
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
