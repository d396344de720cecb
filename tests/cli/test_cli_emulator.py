"""`entra-guard emulator` prints its URLs and registrations, and stops cleanly."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import click
import httpx
import pytest
from cli_processes import PROGRAM, Start
from click.testing import CliRunner
from needed_parts import needs_program
from rich.console import Console

from entra_guard import Guard
from entra_guard.cli._emulator_content import prepare
from entra_guard.cli._emulator_output import log_to, show
from entra_guard.cli._group import group
from entra_guard.cli._screen import Screen
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    from pathlib import Path

ANY_PORT = ("--port", "0", "--https-port", "0")


@pytest.fixture
def served(start: Start) -> tuple[subprocess.Popen[str], dict[str, Any]]:
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
        assert guard.verify(token).roles == ("Orders.Read",)
    assert "http://127.0.0.1:8000/docs/oauth2-redirect" in output["browser"]["redirect_uris"]
    assert process.pid == output["pid"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_closes_the_port_and_exits_with_0(start: Start, how: signal.Signals) -> None:
    process = start("emulator", "--port", "0", "--no-https", "--json")
    assert process.stdout
    url = json.loads(process.stdout.read())["url"]
    assert httpx.get(f"{url}/{CONTOSO}/v2.0/.well-known/openid-configuration").status_code == 200
    process.send_signal(how)
    assert process.wait(120) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_one_shell_line_starts_it_in_the_background_and_sets_the_environment(tmp_path: Path) -> None:
    bash = needs_program("bash")
    program = f"'{PROGRAM[0]}' -c '{PROGRAM[2]}'"
    script = f"""
        eval "$({program} emulator --port 0 --no-https --env --state-dir {tmp_path} &)"
        trap 'kill $ENTRA_EMULATOR_PID 2>/dev/null' EXIT
        '{PROGRAM[0]}' -c '
import os, httpx
from entra_guard import Guard
form = {{"grant_type": "client_credentials", "scope": os.environ["ENTRA_EMULATOR_SCOPE"],
        "client_id": os.environ["AZURE_CLIENT_ID"], "client_secret": os.environ["AZURE_CLIENT_SECRET"]}}
url = os.environ["AZURE_AUTHORITY_HOST"] + "/" + os.environ["AZURE_TENANT_ID"] + "/oauth2/v2.0/token"
print(Guard.from_env().verify(httpx.post(url, data=form).json()["access_token"]).roles)
'
        entra_emulator_stop
        echo "$AZURE_TENANT_ID$ENTRA_GUARD_TENANT$ENTRA_EMULATOR_PID $AZURE_CLIENT_ID"
    """
    before = {**os.environ, "AZURE_CLIENT_ID": "it's mine"}
    done = subprocess.run(
        [bash, "-c", script], capture_output=True, text=True, timeout=120, check=False, env=before
    )
    assert done.stdout == "('Orders.Read',)\n it's mine\n", done.stderr


def test_with_https_the_exports_make_http_clients_trust_it(start: Start) -> None:
    process = start("emulator", *ANY_PORT, "--env")
    assert process.stdout
    lines = process.stdout.read().splitlines()
    output = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    assert httpx.get(
        output["AZURE_AUTHORITY_HOST"],
        verify=ssl.create_default_context(cafile=output["NODE_EXTRA_CA_CERTS"]),
    )
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
    assert done.output == (
        f"Error: Port {port} on 127.0.0.1 is in use: choose another, or 0 for a free one. "
        "The options are --port and --https-port.\n"
    )


@pytest.mark.parametrize("option", ["--port", "--https-port"])
def test_a_port_that_cannot_exist_is_a_usage_error(option: str) -> None:
    done = CliRunner().invoke(group, ["emulator", option, "65536"])
    assert (done.exit_code, "0<=x<=65535" in done.output) == (2, True)


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "below")
    done = CliRunner().invoke(group, ["emulator", *ANY_PORT, "--state-dir", folder])
    assert done.exit_code == 1
    assert done.output == f"Error: {folder}: {os.strerror(20)}\n"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_start_screen_has_at_most_24_lines_with_urls_ids_and_code(columns: int) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, width=columns, highlight=False)
    with Emulator(https=True) as entra:
        content = prepare(entra, state=None, seed=None, identity=None)
        show(Screen(console), entra, content, https=True, page=f"{entra.url}/")
        output, samples = written.getvalue(), content.samples
        assert samples
        assert len(output.splitlines()) <= 24
        assert max(map(len, output.splitlines())) <= columns
        for piece in (
            f"authority        {entra.authority}",
            f"https authority  {entra.https_url}/{entra.tenant_id}",
            f"pages            {entra.url}/",
            samples.api.client_id,
            samples.daemon.client_id,
            samples.secret.value,
            "has            role Orders.Read",
            f'audience="{samples.api.client_id}"',
            f'app register "Orders API" --api --emulator {entra.url}',
            "Ctrl-C",
        ):
            assert piece in output


def test_a_link_to_a_state_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    for expected in ("the samples", "the last run"):
        content = prepare(Emulator(), state=link, seed=None, identity=None)
        assert expected in content.origin
        content.save()
        assert (link.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o600)


def test_two_emulators_do_not_overwrite_each_others_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state.json"
    first = prepare(Emulator(), state=file, seed=None, identity=None)
    first.save()
    second = prepare(Emulator(), state=file, seed=None, identity=None)
    second.entra.add_user("zoe")
    second.save()
    first.entra.add_user("adam")
    for _ in range(2):
        first.save()
    assert capsys.readouterr().err.count("another emulator has changed the file") == 1
    kept = prepare(Emulator(), state=file, seed=None, identity=None)
    assert kept.entra.find_user("zoe")
    second.entra.add_user("yann")
    second.save()
    assert capsys.readouterr().err == ""


def test_names_cannot_control_the_terminal_of_the_start_screen(tmp_path: Path) -> None:
    app = {"name": "Orders\x1b[2J\u202e", "roles": ["Orders.Read"]}
    tenant = {"name": "Con\x1b[31mtoso", "users": [{"name": "al", "display_name": "Al\nfake"}], "apps": [app]}
    seed, written = tmp_path / "seed.json", io.StringIO()
    seed.write_text(json.dumps({"tenants": [tenant]}))
    console = Console(file=written, force_terminal=True, color_system=None, width=80, highlight=False)
    entra = Emulator()
    show(Screen(console), entra, prepare(entra, state=None, seed=seed, identity=None), https=False, page="")
    output = written.getvalue()
    assert "Con\\x1b[31mtoso" in output
    assert "Al\\nfake" in output
    assert "1 app:" in output
    assert set(output) & set("\x1b\u202e") == set()


def test_a_seed_a_state_and_an_export_carry_the_content_on(start: Start, tmp_path: Path) -> None:
    seed, state, other = tmp_path / "seed.yaml", tmp_path / "state.json", tmp_path / "export.yaml"
    seed.write_text(
        "tenants: [{name: Contoso, apps: [{name: Seeded, roles: [Orders.Read]}], identities: [vm]}]"
    )
    options = ("--port", "0", "--no-https", "--json", "--mcp")
    process = start("emulator", *options, "--state", str(state), "--seed", str(seed), "--identity", "box")
    assert process.stdout
    url = json.loads(process.stdout.read())["url"]
    metadata = httpx.get(f"{url}/.well-known/oauth-authorization-server/{CONTOSO}/v2.0").json()
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    made = CliRunner().invoke(group, ["app", "register", "Added", "--emulator", url])
    assert made.exit_code == 0, made.output
    exported = CliRunner().invoke(group, ["emulator", "export", str(other), "--emulator", url])
    assert exported.exit_code == 0, exported.output
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert state.stat().st_mode & 0o777 == other.stat().st_mode & 0o777 == 0o600
    names: list[list[str]] = []
    for again in ({"state": state, "seed": None}, {"state": None, "seed": other}):
        entra = Emulator()
        prepare(entra, **again, identity=None)
        names.append(sorted(app.name for app in entra.directory.apps.values() if app.tenant_id))
        assert sorted(identity.name for identity in entra.directory.identities.values()) == ["box", "vm"]
    assert names == [["Added", "Seeded"]] * 2


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--seed", None, "cannot be read"),
        ("--seed", "tenants: []", "no tenants"),
        ("--state", "{}", "not a state of this version"),
        ("--state", None, "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, option: str, content: str | None, words: str
) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_text(content)
    elif option == "--state":
        path = tmp_path / "no such folder" / "file"
    done = CliRunner().invoke(group, ["emulator", *ANY_PORT, option, str(path)])
    assert done.exit_code == 1
    assert words in done.output
    assert len(done.output.splitlines()) == 3


def test_an_option_that_cannot_be_used_stops_the_start_in_three_lines(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    for options in (
        ["--state", str(link)],
        ["--identity", " "],
        ["--https", "--ca-file", str(tmp_path / "missing" / "ca.pem")],
    ):
        done = CliRunner().invoke(group, ["emulator", *ANY_PORT, "--state-dir", str(tmp_path), *options])
        assert (done.exit_code, len(done.stderr.splitlines())) == (1, 3), options


def test_a_number_as_seed_gets_the_new_name() -> None:
    done = CliRunner().invoke(group, ["emulator", "--seed", "7"])
    assert "--random-seed" in done.output


def test_each_request_is_one_line(
    terminal: tuple[Screen, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    screen, _ = terminal
    entra = Emulator()
    entra.request_log.on_exchange(log_to(screen))
    with httpx.Client(transport=entra.transport, base_url=entra.url) as web:
        web.post("/common/oauth2/v2.0/token", data={"grant_type": "x"})
        web.get(f"/{CONTOSO}/v2.0/.well-known/openid-configuration")
        web.get("/portal")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "AADSTS" in lines[0]
    assert all(len(click.unstyle(line)) <= 100 for line in lines)


def test_rfc_8414_metadata_is_off_by_default() -> None:
    entra = Emulator()
    with httpx.Client(transport=entra.transport, base_url=entra.url) as web:
        refused = web.get(f"/.well-known/oauth-authorization-server/{CONTOSO}/v2.0")
    assert (refused.status_code, "--mcp" in refused.text) == (404, True)
