"""`entra-guard emulator` prints its URLs and registrations, and stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from _parts import needs_program
from cli_processes import PROGRAM, Start
from click.testing import CliRunner

from entra_guard import Guard
from entra_guard.cli._emulator_output import show
from entra_guard.cli._group import group
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from entra_guard.cli._screen import Screen

ANY_PORT = ("--port", "0", "--https-port", "0")


@pytest.fixture
def served(start: Start) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = start("emulator", *ANY_PORT, "--json")
    assert process.stdout
    return process, json.loads(process.stdout.read())


def test_json_output_is_enough_to_get_a_token_that_a_guard_accepts(
    served: tuple[subprocess.Popen[str], dict[str, Any]],
) -> None:
    process, output = served
    trust = ssl.create_default_context(cafile=output["ca_bundle"])
    with httpx.Client(verify=trust) as client:
        assert client.get(output["discovery_url"]).json()["token_endpoint"] == output["token_url"]
        form = {"grant_type": "client_credentials", "scope": output["api"]["scope"], **output["daemon"]}
        token = client.post(output["token_url"], data=form).json()["access_token"]
        guard = Guard(
            tenant=output["tenant_id"],
            audience=output["api"]["client_id"],
            authority=output["https_url"],
            http_client=client,
        )
        assert guard.verify(token).roles == ("Tasks.Read.All",)
    assert "http://127.0.0.1:8000/docs/oauth2-redirect" in output["browser"]["redirect_uris"]
    assert process.pid == output["pid"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_closes_the_port_and_exits_with_0(start: Start, how: signal.Signals) -> None:
    process = start("emulator", "--port", "0", "--no-https", "--json")
    assert process.stdout
    url = json.loads(process.stdout.read())["url"]
    assert httpx.get(f"{url}/{CONTOSO}/v2.0/.well-known/openid-configuration").status_code == 200
    process.send_signal(how)
    assert process.wait(10) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_one_shell_line_starts_it_in_the_background_and_sets_the_environment(tmp_path: Path) -> None:
    bash = needs_program("bash")
    program = f"'{PROGRAM[0]}' -c '{PROGRAM[2]}'"
    script = f"""
        eval "$({program} emulator --port 0 --no-https --env --state-dir {tmp_path} &)"
        trap 'kill $ENTRA_EMULATOR_PID' EXIT
        '{PROGRAM[0]}' -c '
import os, httpx
from entra_guard import Guard
form = {{"grant_type": "client_credentials", "scope": os.environ["ENTRA_EMULATOR_SCOPE"],
        "client_id": os.environ["AZURE_CLIENT_ID"], "client_secret": os.environ["AZURE_CLIENT_SECRET"]}}
url = os.environ["AZURE_AUTHORITY_HOST"] + "/" + os.environ["AZURE_TENANT_ID"] + "/oauth2/v2.0/token"
print(Guard.from_env().verify(httpx.post(url, data=form).json()["access_token"]).roles)
'
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "('Tasks.Read.All',)\n", done.stderr


def test_with_https_the_exports_make_http_clients_trust_it(start: Start) -> None:
    process = start("emulator", *ANY_PORT, "--env")
    assert process.stdout
    output = dict(line.removeprefix("export ").split("=", 1) for line in process.stdout.read().splitlines())
    assert output["AZURE_AUTHORITY_HOST"] == output["ENTRA_GUARD_AUTHORITY"]
    assert output["SSL_CERT_FILE"] == output["REQUESTS_CA_BUNDLE"]
    trust = ssl.create_default_context(cafile=output["SSL_CERT_FILE"])
    url = f"{output['AZURE_AUTHORITY_HOST']}/{CONTOSO}/v2.0/.well-known/openid-configuration"
    assert httpx.get(url, verify=trust).status_code == 200


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(group, ["emulator", "--port", port, "--state-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output == f"Error: Port {port} on 127.0.0.1 is in use: choose another, or 0 for a free one.\n"


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "below")
    done = CliRunner().invoke(group, ["emulator", *ANY_PORT, "--state-dir", folder])
    assert done.exit_code == 1
    assert done.output == f"Error: {folder}: {os.strerror(20)}\n"


def test_the_start_screen_shows_urls_registrations_and_commands(
    terminal: tuple[Screen, io.StringIO],
) -> None:
    screen, written = terminal
    with Emulator(https=True) as entra:
        samples = entra.add_samples()
        show(screen, entra, samples, https=True, page=f"{entra.url}/")
        output = written.getvalue()
        for piece in (
            entra.authority,
            f"{entra.https_url}/{entra.tenant_id}",
            f"{entra.authority}/v2.0/.well-known/openid-configuration",
            f"pages             {entra.url}/",
            samples.api.client_id,
            samples.daemon.client_id,
            samples.secret.value,
            *samples.page.spa_redirect_uris,
            "has             role Tasks.Read.All ",
            "Ctrl-C",
        ):
            assert piece in output


def test_the_printed_command_gets_a_token(terminal: tuple[Screen, io.StringIO]) -> None:
    needs_program("curl")
    screen, written = terminal
    with Emulator() as entra:
        show(screen, entra, entra.add_samples(), https=False, page="")
        command = written.getvalue().partition("  curl ")[2].partition("\n\n")[0]
        done = subprocess.run(
            ["bash", "-c", f"curl -s {command}"], capture_output=True, text=True, check=True
        )
    assert json.loads(done.stdout)["token_type"] == "Bearer"
