"""Forks and the end of the interpreter: no lock of another thread is waited for, and no thread that cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entra_guard._common.fork_lock import ForkLock
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from entra_guard.emulator import AppRegistration

HERE = Path(__file__).parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(scope="module")
def entra() -> Iterator[Emulator]:
    with Emulator(https=True) as entra:
        yield entra


@pytest.fixture(scope="module")
def api(entra: Emulator) -> AppRegistration:
    return entra.register_app("Orders", app_roles=["Orders.Read"])


def run(
    program: str, *arguments: str, given: str, entra: Emulator, options: Sequence[str] = ()
) -> tuple[list[str], str]:
    """Run a program of this folder, which trusts the emulator's CA; return its lines and its standard error."""
    ended = subprocess.run(
        [
            sys.executable,
            *options,
            "-W",
            "ignore::DeprecationWarning",
            str(HERE / f"{program}.py"),
            *arguments,
        ],
        env={**os.environ, "SSL_CERT_FILE": str(entra.ca_bundle)},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Exception ignored" not in ended.stderr
    return ended.stdout.splitlines(), ended.stderr


@needs_fork
def test_children_forked_after_first_use_fetch_and_verify_for_themselves(
    entra: Emulator, api: AppRegistration
) -> None:
    given = entra.issue_token(api, roles=["Orders.Read"])
    lines, _errors = run(
        "fork_after_use", entra.url, entra.tenant_id, api.client_id, given=given, entra=entra
    )
    assert lines == ["both accepted, a thread of its own: True"] * 3


@needs_fork
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_child_forked_during_first_fetch_fetches_for_itself(
    entra: Emulator, api: AppRegistration, scheme: str
) -> None:
    url = entra.url if scheme == "http" else str(entra.https_url)
    given = entra.issue_token(api, roles=["Orders.Read"], base_url=url)
    delays = [0.0, 0.006, 0.01, 0.05, 0.1]
    lists = [[given, url, entra.tenant_id, api.client_id, delay] for delay in delays]
    lines, _errors = run("fork_during_first_keys", given=json.dumps(lists), entra=entra)
    assert lines == [line for delay in delays for line in ("accepted", f"{delay}: exit code 0")]


@needs_fork
def test_child_forked_during_first_token_requests_its_own(entra: Emulator, api: AppRegistration) -> None:
    daemon = entra.register_app("Daemon")
    arguments = (
        str(entra.https_url),
        entra.tenant_id,
        daemon.client_id,
        entra.add_secret(daemon).value,
        f"{api.client_id}/.default",
    )
    delays = [0.0, 0.002, 0.004, 0.008, 0.016, 0.032]
    lists = [[*arguments, delay] for delay in delays]
    lines, _errors = run("fork_during_first_token", given=json.dumps(lists), entra=entra)
    assert lines == [line for delay in delays for line in ("token in the child", f"{delay}: exit code 0")]


@pytest.mark.parametrize(
    ("when", "lines"),
    [
        ("atexit", ["token", "('Orders.Read',)"]),
        ("del", ["token", "no keys"]),  # key parsing would have to import, which Python refuses by then
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_token_is_possible_while_the_interpreter_exits(
    entra: Emulator, api: AppRegistration, when: str, scheme: str, lines: list[str]
) -> None:
    url = entra.url if scheme == "http" else str(entra.https_url)
    arguments = (
        when,
        url,
        entra.tenant_id,
        api.client_id,
        entra.add_secret(api).value,
        f"{api.client_id}/.default",
    )
    given = entra.issue_token(api, roles=["Orders.Read"], base_url=url)
    assert run("exit_with_token", *arguments, given=given, entra=entra)[0] == lines


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_process_with_open_connections_ends_silently(
    entra: Emulator, api: AppRegistration, scheme: str
) -> None:
    url = entra.url if scheme == "http" else str(entra.https_url)
    arguments = (
        url,
        entra.tenant_id,
        api.client_id,
        entra.add_secret(api).value,
        f"{api.client_id}/.default",
    )
    given = entra.issue_token(api, roles=["Orders.Read"], base_url=url)
    ended = run("exit_with_connections", *arguments, given=given, entra=entra, options=["-X", "dev"])
    assert ended == (["('Orders.Read',)"], "")


def test_a_fork_waits_for_other_threads_but_not_for_its_own() -> None:
    lock, order = ForkLock(), []
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with lock, lock:  # it may be nested
            inside.set()
            leave.wait(10)
            order.append("other thread left")

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    with lock:
        lock.before_fork()
        order.append("forked")
        lock.after_fork_in_parent()
    thread.join(10)
    assert order == ["other thread left", "forked"]


def test_threads_wait_while_another_one_forks() -> None:
    lock, entered = ForkLock(), threading.Event()

    def other() -> None:
        with lock:
            entered.set()

    lock.before_fork()
    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.02)
    assert not entered.is_set()
    with lock:  # the forking thread itself may enter
        pass
    lock.after_fork_in_parent()
    assert entered.wait(10)
    thread.join(10)
