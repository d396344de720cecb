"""`entra-guard demo`: a protected API or MCP server and its clients, on this machine."""

from __future__ import annotations

import click


@click.command()
@click.option("--mcp", is_flag=True, help="Protect an MCP server, and connect the SDK's own client.")
@click.option("--serve", is_flag=True, help="Keep both running, and print commands to try.")
def demo(mcp: bool, serve: bool) -> None:
    """Register an API, get a token, call the API, and see every usual refusal.

    Starts the Entra emulator and a protected API on loopback ports, and sends real HTTP requests as an
    administrator and a daemon. Needs no tenant, no account and no network. Exits with 1 if a response is
    not as expected.
    """
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # so that --help stays fast

    if mcp:
        from entra_guard.cli.demo._mcp_run import run_mcp  # noqa: PLC0415

        passed = run_mcp(Screen(), serve=serve)
    else:
        from entra_guard.cli.demo._run import run  # noqa: PLC0415

        passed = run(Screen(), serve=serve)
    if not passed:
        raise SystemExit(1)
