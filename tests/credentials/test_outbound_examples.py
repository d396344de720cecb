"""The examples of outbound calls run, each in its own process, against the emulator over sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entra_guard.emulator import GRAPH, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = ("AZURE_", "ENTRA_", "IDENTITY_", "MSI_", "IMDS_", "GRAPH_")


def run(name: str, *arguments: str, **environ: str) -> list[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def entra() -> Iterator[Emulator]:
    with Emulator() as entra:
        yield entra


@pytest.fixture
def application(entra: Emulator) -> dict[str, str]:
    app = entra.register_app("Reporting")
    entra.grant(app, GRAPH, "User.Read.All")
    return {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_AUTHORITY_HOST": entra.url,
        "GRAPH_URL": entra.url,
    }


def test_the_story_by_hand_works_and_is_short() -> None:
    assert len((EXAMPLES / "by_hand.py").read_text().splitlines()) < 30
    assert "Alice Adams alice@contoso.onmicrosoft.com" in run("by_hand.py")


def test_graph_is_called_with_what_the_environment_describes(
    entra: Emulator, application: dict[str, str]
) -> None:
    secret = entra.add_secret(application["AZURE_CLIENT_ID"]).value
    lines = run("call_graph.py", **application, AZURE_CLIENT_SECRET=secret)
    assert lines[0] == "Alice Adams alice@contoso.onmicrosoft.com"


def test_graph_is_called_with_the_identity_of_the_host(entra: Emulator) -> None:
    identity = entra.add_managed_identity("vm", system_assigned=True)
    entra.grant(identity, GRAPH, "User.Read.All")
    environ = entra.managed_identity_environment()
    assert len(run("call_graph.py", **environ, GRAPH_URL=entra.url)) >= 3


def test_many_users_are_looked_up_with_a_certificate(
    entra: Emulator, application: dict[str, str], tmp_path: Path
) -> None:
    made = entra.new_certificate(application["AZURE_CLIENT_ID"])
    file = made.write(tmp_path / "reporting.pem")
    alice = entra.find_user("alice")
    lines = run(
        "call_graph_async.py",
        alice.upn,
        "nobody@contoso.onmicrosoft.com",
        **application,
        AZURE_CLIENT_CERTIFICATE_PATH=str(file),
    )
    assert lines[0] == f"{alice.upn} {alice.id}"
    assert lines[1].startswith("nobody@contoso.onmicrosoft.com 404 Request_ResourceNotFound")
