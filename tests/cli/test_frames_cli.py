"""An error that leaves the command line shows an error tracker no token and no environment."""

from __future__ import annotations

import io

import pytest
from frame_checks import assert_nothing_secret, caught

from entra_guard.cli import main
from entra_guard.testing import Entra

SECRET = "a-secret-in-the-environment"


@pytest.mark.parametrize("command", ["explain", "token"])
def test_a_bug_below_a_command_reaches_no_secret(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def fails(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    entra = Entra(seed=7)
    token = entra.token()
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("AZURE_TENANT_ID", entra.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", entra.caller.client_id)
    monkeypatch.setattr("sys.stdin", io.StringIO(token))
    monkeypatch.setattr("entra_guard.guard.Guard.explain", fails)
    monkeypatch.setattr("entra_guard.credentials._base.CachingCredential.get_token", fails)
    arguments = {
        "explain": ["explain", "--tenant", entra.tenant_id, "--audience", entra.api.client_id],
        "token": ["token", "--scope", "api://orders/.default"],
    }
    monkeypatch.setattr("sys.argv", ["entra-guard", *arguments[command]])
    error = caught(main)
    assert isinstance(error, ZeroDivisionError)
    assert_nothing_secret(error, [SECRET, *token.split(".")])
