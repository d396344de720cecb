"""`entra-guard token`: secrets from environment, file or prompt; a view for people, the token for a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from served_entra import served

from entra_guard.cli._group import group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outbound_entra import OutboundEntra

    Run = Callable[..., Result]

SETTINGS = ("AZURE_", "ENTRA_GUARD_", "IDENTITY_", "IMDS_", "MSI_")


@pytest.fixture
def run(entra: OutboundEntra, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with only the given environment variables."""
    for name in os.environ:
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    usual = {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": entra.caller.client_id,
        "AZURE_AUTHORITY_HOST": entra.url,
    }

    def run(*options: str, scope: str | None = entra.scope, **environ: str | None) -> Result:
        given = ["--scope", scope] if scope else []
        variables = {name: value for name, value in {**usual, **environ}.items() if value}
        return CliRunner().invoke(
            group, ["token", *given, *options], obj={"http_client": entra.http_client}, env=variables
        )

    return run


def test_the_environments_app_gets_a_token_and_shows_its_claims(entra: OutboundEntra, run: Run) -> None:
    done = run(AZURE_CLIENT_SECRET=entra.secret.value)
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert "alg RS256" in shown
    assert f"azp the client that requested the token {entra.caller.client_id}" in shown
    assert "<" not in done.output
    assert "Orders.Read" in done.output
    assert "in 60 min" in done.output


def test_the_view_shows_neither_the_token_nor_the_secret(entra: OutboundEntra, run: Run) -> None:
    shown = run(AZURE_CLIENT_SECRET=entra.secret.value).output
    token = run("--raw", AZURE_CLIENT_SECRET=entra.secret.value).output.strip()
    assert entra.secret.value not in shown
    for part in token.split(".")[1:]:
        assert part[:40] not in shown
    assert "characters)" in shown


def test_raw_writes_the_token_and_nothing_else(entra: OutboundEntra, run: Run) -> None:
    done = run("--raw", AZURE_CLIENT_SECRET=entra.secret.value)
    header, _payload, _signature = done.stdout.strip().split(".")
    assert header.startswith("ey")
    assert done.stdout.count("\n") == 1


def test_a_secret_may_come_from_a_file(entra: OutboundEntra, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{entra.secret.value}\n")
    assert run("--secret-file", str(file)).exit_code == 0


def test_a_certificate_may_prove_the_app(entra: OutboundEntra, run: Run, tmp_path: Path) -> None:
    file = entra.new_certificate(entra.caller).write(tmp_path / "daemon.pem")
    done = run("--certificate", str(file))
    assert done.exit_code == 0, done.output
    assert "2: a certificate or assertion" in done.output


def test_the_host_may_use_its_managed_identity(entra: OutboundEntra, run: Run) -> None:
    identity = entra.add_managed_identity("vm", system_assigned=True)
    done = run("--managed-identity", **entra.managed_identity_environment())
    assert done.exit_code == 0, done.output
    assert identity.client_id in done.output
    named = entra.add_managed_identity("orders")
    done = run(
        "--managed-identity",
        "--client-id",
        named.client_id,
        **entra.managed_identity_environment(),
    )
    assert f"azp the client that requested the token {named.client_id}" in " ".join(done.output.split())


def test_claims_are_sent_along(entra: OutboundEntra, run: Run) -> None:
    entra.update_app(entra.api, optional_claims=["xms_cc"])
    claims = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1604106651"}}})
    assert run("--claims", claims, AZURE_CLIENT_SECRET=entra.secret.value).exit_code == 0
    done = run("--claims", "no json", AZURE_CLIENT_SECRET=entra.secret.value)
    assert done.exit_code == 2
    assert "claims must be" in done.output


def test_options_win_over_variables(entra: OutboundEntra, run: Run) -> None:
    other = entra.register_app("Other")
    secret = entra.add_secret(other).value
    done = run("--client-id", other.client_id, AZURE_CLIENT_SECRET=secret)
    assert f"azp the client that requested the token {other.client_id}" in " ".join(done.output.split())


def test_a_refusal_is_one_line_with_its_hint(run: Run) -> None:
    done = run(AZURE_CLIENT_SECRET="not-the-secret-at-all")
    assert done.exit_code == 1
    assert "AADSTS7000215" in done.output
    assert "send the secret's Value" in done.output
    assert "Traceback" not in done.output


def test_a_token_that_is_not_a_jwt_is_not_parsed(entra: OutboundEntra, run: Run, monkeypatch: Any) -> None:
    from entra_guard.credentials import AccessToken, ClientSecretCredential

    def opaque(*_args: object, **_more: object) -> AccessToken:
        return AccessToken("an-opaque-token", int(entra.clock.now) + 3600, entra.clock.now)

    monkeypatch.setattr(ClientSecretCredential, "get_token", opaque)
    assert "The token is not a JWT" in run(AZURE_CLIENT_SECRET=entra.secret.value).output


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        ([], {"AZURE_TENANT_ID": None}, "use --tenant, or set AZURE_TENANT_ID"),
        ([], {"AZURE_CLIENT_ID": None}, "use --client-id"),
        ([], {}, "no credential: set AZURE_CLIENT_SECRET"),
        (["--managed-identity", "--certificate", __file__], {}, "use only one of"),
        (["--secret-file", "/nowhere/secret"], {}, "does not exist"),
        (["--client-secret", "hunter2"], {}, "No such option"),
    ],
)
def test_missing_and_wrong_options_are_reported(
    run: Run, options: list[str], environ: dict[str, Any], words: str
) -> None:
    done = run(*options, **environ)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


# --- on a real terminal ------------------------------------------------------------------------------


def on_a_terminal(entra: OutboundEntra, *options: str, typed: str = "") -> tuple[int, str]:
    """Run the command in a pseudo-terminal, type a text, and return what it prints."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    ids = {"AZURE_TENANT_ID": entra.tenant_id, "AZURE_CLIENT_ID": entra.caller.client_id}
    command = "from entra_guard.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "token", "--scope", entra.scope, *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, **ids, "AZURE_AUTHORITY_HOST": entra.url},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while True:
            piece = os.read(ours, 4096)
            if not piece:
                break
            shown += piece
            if typed and b"secret:" in shown:
                os.write(ours, f"{typed}\n".encode())
                typed = ""
    except OSError:  # how a terminal ends on Linux
        pass
    finally:
        os.close(ours)
    return process.wait(120), shown.decode()


def test_raw_is_refused_on_a_terminal(entra: OutboundEntra) -> None:
    with served(entra):
        code, shown = on_a_terminal(entra, "--raw")
    assert code == 2
    assert "this is a terminal" in shown
    assert entra.token_requests == 0


def test_a_secret_is_prompted_for_and_not_shown(entra: OutboundEntra) -> None:
    with served(entra):
        code, shown = on_a_terminal(entra, typed=entra.secret.value)
    assert code == 0, shown
    assert "Client secret:" in shown
    assert entra.secret.value not in shown
    assert entra.caller.client_id in shown
