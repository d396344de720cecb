"""`entra-guard demo`: the whole story, for real, on this machine alone."""

from __future__ import annotations

import click


@click.command()
@click.option("--serve", is_flag=True, help="Leave Entra and the API running, and print commands to try.")
def demo(serve: bool) -> None:
    """Register, get a token, call a protected API, and be refused in every usual way.

    Starts the embedded Entra and a protected API on loopback ports, and plays an administrator and a
    daemon against them with real HTTP requests. Needs no tenant, no account and no network. Exits with 1 if
    anything is not as it should be.
    """
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # so that --help stays fast
    from entra_guard.cli.demo._run import run  # noqa: PLC0415

    if not run(Screen(), serve=serve):
        raise SystemExit(1)
