"""Tokens of other issuers prove an application: from a function, or from a file that a cluster mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from outbound_entra import claims_of, wait_until_idle

from entra_guard.credentials import (
    ClientAssertionCredential,
    ManagedIdentityCredential,
    TokenAcquisitionError,
    WorkloadIdentityCredential,
)
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

SUBJECT = "system:serviceaccount:orders:daemon"


@pytest.fixture
def environ(entra: OutboundEntra, tmp_path: Path) -> dict[str, str]:
    """The environment variables that a cluster sets for the application."""
    entra.add_federated_credential(entra.caller, entra.workload_issuer, SUBJECT)
    file = tmp_path / "token"
    file.write_text(entra.workload_token(SUBJECT))
    return {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": entra.caller.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_AUTHORITY_HOST": f"{entra.url}/",
    }


def settings(entra: OutboundEntra) -> dict[str, Any]:
    return {name: value for name, value in entra.credential_settings.items() if name != "authority"}


def test_the_cluster_sets_everything(entra: OutboundEntra, get: Get, environ: dict[str, str]) -> None:
    token = get(WorkloadIdentityCredential(environ=environ, **settings(entra)), entra.scope)
    assert claims_of(token)["azp"] == entra.caller.client_id


def test_the_token_file_is_read_again_at_every_exchange(
    entra: OutboundEntra, get: Get, environ: dict[str, str], tmp_path: Path
) -> None:
    credential = WorkloadIdentityCredential(environ=environ, **settings(entra))
    get(credential, entra.scope)
    entra.advance(2 * 3600)
    with pytest.raises(TokenAcquisitionError, match="700024"):
        get(credential, entra.scope)
    (tmp_path / "token").write_text(entra.workload_token(SUBJECT) + "\n")
    assert get(credential, entra.scope)


def test_arguments_win_over_variables(entra: OutboundEntra, get: Get, environ: dict[str, str]) -> None:
    variables = dict.fromkeys(environ, "nonsense")
    credential = WorkloadIdentityCredential(
        entra.tenant_id,
        entra.caller.client_id,
        environ["AZURE_FEDERATED_TOKEN_FILE"],
        environ=variables,
        **entra.credential_settings,
    )
    assert get(credential, entra.scope)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE"):
        WorkloadIdentityCredential(environ={"AZURE_TENANT_ID": "contoso.onmicrosoft.com"})


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_file_that_cannot_be_read_may_be_there_later(
    entra: OutboundEntra, get: Get, environ: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    file.unlink() if content is None else file.write_bytes(content)
    credential = WorkloadIdentityCredential(environ=environ, **settings(entra))
    with (
        entra.expect_token_requests(0),
        pytest.raises(TokenAcquisitionError, match="federated token") as caught,
    ):
        get(credential, entra.scope)
    assert caught.value.retryable


def test_a_function_is_called_for_each_request(entra: OutboundEntra, get: Get) -> None:
    entra.add_federated_credential(entra.caller, entra.workload_issuer, SUBJECT)
    calls = []

    def assertion() -> str:
        calls.append(1)
        return entra.workload_token(SUBJECT)

    credential = ClientAssertionCredential(
        entra.tenant_id, entra.caller.client_id, assertion, **entra.credential_settings
    )
    for _ in range(2):
        get(credential, entra.scope)
        get(credential, entra.scope)
        entra.advance(7200)
    assert len(calls) == 2


def test_a_managed_identity_replaces_an_applications_secret(entra: OutboundEntra, get: Get) -> None:
    identity = entra.add_managed_identity("vm", system_assigned=True)
    issuer = f"{entra.url}/{entra.tenant_id}/v2.0"
    entra.add_federated_credential(entra.caller, issuer, identity.principal_id)
    settings = {name: entra.credential_settings[name] for name in ("http_client", "clock", "monotonic")}
    vm = ManagedIdentityCredential(environ=entra.managed_identity_environment(), **settings)
    credential = ClientAssertionCredential(
        entra.tenant_id,
        entra.caller.client_id,
        lambda: vm.get_token("api://AzureADTokenExchange/.default").token,
        **entra.credential_settings,
    )
    assert claims_of(get(credential, entra.scope))["azp"] == entra.caller.client_id


def test_a_function_that_fails_does_not_take_a_valid_token_away(entra: OutboundEntra, get: Get) -> None:
    entra.add_federated_credential(entra.caller, entra.workload_issuer, SUBJECT)
    works = [True]

    def assertion() -> str:
        if not works[-1]:
            raise ValueError("the vault is sealed, and the key is hunter2")
        return entra.workload_token(SUBJECT)

    credential = ClientAssertionCredential(
        entra.tenant_id, entra.caller.client_id, assertion, **entra.credential_settings
    )
    first = get(credential, entra.scope)
    works.append(False)
    entra.advance(3000)
    assert get(credential, entra.scope) == first
    wait_until_idle(credential)
    entra.advance(3000)
    with pytest.raises(TokenAcquisitionError, match=r"failed \(ValueError\)") as caught:
        get(credential, entra.scope)
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given", ["", None, b"a.b.c", "a.b.c\n", "a.b.\ud800"])
def test_a_function_that_returns_no_assertion_is_reported(entra: OutboundEntra, get: Get, given: Any) -> None:
    credential = ClientAssertionCredential(
        entra.tenant_id, entra.caller.client_id, lambda: given, **entra.credential_settings
    )
    with (
        entra.expect_token_requests(0),
        pytest.raises(TokenAcquisitionError, match="must return a JWT") as caught,
    ):
        get(credential, entra.scope)
    assert caught.value.__cause__ is None


async def _assertion() -> str:
    return ""


@pytest.mark.parametrize("func", ["an assertion", None, _assertion])
def test_only_a_plain_function_will_do(entra: OutboundEntra, func: Any) -> None:
    with pytest.raises(ConfigurationError, match="plain function"):
        ClientAssertionCredential(entra.tenant_id, entra.caller.client_id, func, **entra.credential_settings)
