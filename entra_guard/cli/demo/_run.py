"""Start the emulator and the API, run the demo, and keep both running with --serve."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx

from entra_guard import Guard
from entra_guard.cli._program import program_name
from entra_guard.cli._signals import wait_for_stop_signal
from entra_guard.cli.demo._api import orders_api, served
from entra_guard.cli.demo._curl import show_commands
from entra_guard.cli.demo._demo import CHECKED, Demo
from entra_guard.cli.demo._fixture import register
from entra_guard.cli.demo._log import operator_log
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from entra_guard.cli._screen import Screen


def run(
    screen: Screen,
    *,
    serve: bool = False,
    entra: Emulator | None = None,
    build: Callable[[Guard], ASGIApp] = orders_api,
) -> bool:
    """Run the demo.

    Args:
        screen: The output.
        serve: Keep everything running until Ctrl-C.
        entra: The emulator to start; by default a new one.
        build: Returns the API for a guard.

    Returns:
        Whether every result was as expected.
    """
    began = time.perf_counter()
    with ExitStack() as stack:
        log = stack.enter_context(operator_log())
        # Do not use a proxy of the environment for requests on this machine.
        client = stack.enter_context(httpx.Client(trust_env=False))
        fixture = register(stack.enter_context(entra or Emulator()))
        guard = Guard(
            tenant=fixture.entra.tenant_id,
            audience=fixture.api.client_id,
            authority=fixture.entra.url,
            http_client=client,
        )
        orders_url = stack.enter_context(served(build(guard))) + "/orders"
        demo = Demo(
            screen=screen, fixture=fixture, guard=guard, orders_url=orders_url, client=client, log=log
        )
        passed = demo.run()
        demo.summarize(time.perf_counter() - began, CHECKED)
        if passed and serve:
            show_commands(screen, fixture, orders_url)
            log.show = screen.text
            wait_for_stop_signal()
            screen.text("Stopped.")
        elif passed:
            screen.text(f"To try it manually: {program_name()} demo --serve")
    return passed
