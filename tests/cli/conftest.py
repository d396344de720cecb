"""Run commands in this process and in separate processes."""

from __future__ import annotations

import io
import os
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from cli_processes import HEARING_CTRL_C, Start
from click.testing import CliRunner, Result
from rich.console import Console

from entra_guard.cli._group import group
from entra_guard.cli._screen import Screen
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `entra-guard` as a process; kill it at the end of the test."""
    started: list[subprocess.Popen[str]] = []
    # A folder of its own for what a user's settings would be.
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def run(*arguments: str, **settings: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*HEARING_CTRL_C, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            **settings,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def terminal() -> tuple[Screen, io.StringIO]:
    """A terminal screen, 100 columns wide, and its output."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, width=100, highlight=False)
    return Screen(console), written


@pytest.fixture(scope="module")
def entra() -> Emulator:
    return Emulator()


@pytest.fixture(scope="module")
def api(entra: Emulator) -> str:
    return entra.register_app("Orders API", app_roles=["Orders.Read"]).client_id


@pytest.fixture(scope="module")
def good(entra: Emulator, api: str) -> str:
    return entra.issue_token(api, roles=["Orders.Read"])


@pytest.fixture
def explain(entra: Emulator, api: str) -> Callable[..., Result]:
    def run(text: str, *options: str, transport: httpx.BaseTransport | None = None) -> Result:
        with httpx.Client(transport=transport or entra.transport) as client:
            given = ["--tenant", CONTOSO, "--audience", api, "--authority", entra.url, *options]
            return CliRunner().invoke(group, ["explain", *given], input=text, obj={"http_client": client})

    return run
