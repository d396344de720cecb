"""`entra-guard demo`: a protected API and its client, on this machine."""

from __future__ import annotations

import click


@click.command()
@click.option("--serve", is_flag=True, help="Keep both running, and print commands to try.")
def demo(serve: bool) -> None:
    """Register an API, get a token, call the API, and see every usual refusal.

    Starts the Entra emulator and a protected API on loopback ports, and sends real HTTP requests as an
    administrator and a daemon. Needs no tenant, no account and no network. Exits with 1 if a response is
    not as expected.
    """
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # so that --help stays fast
    from entra_guard.cli.demo._run import run  # noqa: PLC0415

    if not run(Screen(), serve=serve):
        raise SystemExit(1)
