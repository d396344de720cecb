"""Start the emulator and an MCP server, run the demo, and keep both running with --serve."""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import click
import httpx

from entra_guard import Guard
from entra_guard.cli._program import program_name
from entra_guard.cli._signals import wait_for_stop_signal
from entra_guard.cli.demo._api import new_listener, served, url_of
from entra_guard.cli.demo._log import operator_log
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from entra_guard.cli._screen import Screen
    from entra_guard.cli.demo._mcp_server import McpFixture

_SECOND_LINE: Final = 2


def run_mcp(screen: Screen, *, serve: bool = False, entra: Emulator | None = None) -> bool:
    """Run the demo of an MCP server.

    Args:
        screen: The output.
        serve: Keep everything running until Ctrl-C.
        entra: The emulator to start; by default a new one.

    Returns:
        Whether every result was as expected.

    Raises:
        ClickException: The MCP SDK 2.x is not installed.
    """
    _check_sdk()
    from entra_guard.cli.demo._mcp_demo import CHECKED, McpDemo  # noqa: PLC0415  # needs the SDK
    from entra_guard.cli.demo._mcp_server import register, tasks_server  # noqa: PLC0415
    from entra_guard.mcp import protect  # noqa: PLC0415

    began = time.perf_counter()
    with ExitStack() as stack:
        log = stack.enter_context(operator_log())
        # Do not use a proxy of the environment for requests on this machine.
        client = stack.enter_context(httpx.Client(trust_env=False))
        listener = new_listener()
        url = f"{url_of(listener)}/mcp"
        fixture = register(stack.enter_context(entra or Emulator()), url)
        guard = Guard(
            tenant=fixture.entra.tenant_id,
            audience=fixture.api.client_id,
            authority=fixture.entra.url,
            http_client=client,
        )
        app = protect(tasks_server(), guard, url=url, scopes=["access_as_user"], hide=True)
        stack.enter_context(served(app, listener, lifespan="on"))
        demo = McpDemo(screen=screen, fixture=fixture, client=client, log=log)
        passed = demo.run()
        demo.summarize(time.perf_counter() - began, CHECKED)
        if passed and serve:
            _show_settings(screen, fixture)
            log.show = screen.text
            wait_for_stop_signal()
            screen.text("Stopped.")
        elif passed:
            screen.text(f"To connect a client of your own: {program_name()} demo --mcp --serve")
    return passed


def _check_sdk() -> None:
    try:
        found = version("mcp")
    except PackageNotFoundError:
        found = ""
    if not found or int(found.partition(".")[0]) < _SECOND_LINE:
        which = f"mcp {found} is installed" if found else "mcp is not installed"
        raise click.ClickException(
            f"{which}, and this demo connects the client of the MCP SDK 2.x: pip install 'mcp>=2'"
        )


def _show_settings(screen: Screen, fixture: McpFixture) -> None:
    """Print what a client of the user's own needs."""
    screen.heading("Connect a client of your own")
    screen.name_values(
        [
            ("URL", fixture.url),
            ("client id", fixture.desktop.client_id),
            ("redirect URI", "http://localhost:<any port>/callback"),
            ("scope", f"api://{fixture.api.client_id}/access_as_user"),
            ("users", "alice, bob: the page of Entra lets you choose"),
        ]
    )
    screen.blank_line()
    screen.text("Both run until you press Ctrl-C. The server's log:")
