"""Tokens of other issuers prove an application: from a function, or from a file that a cluster mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from outbound_office import settled

from entra_guard.credentials import (
    ClientAssertionCredential,
    ManagedIdentityCredential,
    TokenAcquisitionError,
    WorkloadIdentityCredential,
)
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_office import Get, Office

SUBJECT = "system:serviceaccount:orders:daemon"


@pytest.fixture
def environ(office: Office, tmp_path: Path) -> dict[str, str]:
    """What a cluster sets for the application."""
    office.entra.add_federated_credential(office.daemon, office.entra.workload_issuer, SUBJECT)
    file = tmp_path / "token"
    file.write_text(office.entra.workload_token(SUBJECT))
    return {
        "AZURE_TENANT_ID": office.entra.tenant_id,
        "AZURE_CLIENT_ID": office.daemon.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_AUTHORITY_HOST": f"{office.entra.url}/",
    }


def settings(office: Office) -> dict[str, Any]:
    return {name: value for name, value in office.settings.items() if name != "authority"}


def test_the_cluster_sets_everything(office: Office, get: Get, environ: dict[str, str]) -> None:
    token = get(WorkloadIdentityCredential(environ=environ, **settings(office)), office.scope)
    assert office.claims(token)["azp"] == office.daemon.client_id


def test_the_token_file_is_read_again_at_every_exchange(
    office: Office, get: Get, environ: dict[str, str], tmp_path: Path
) -> None:
    credential = WorkloadIdentityCredential(environ=environ, **settings(office))
    get(credential, office.scope)
    office.advance(2 * 3600)
    with pytest.raises(TokenAcquisitionError, match="700024"):
        get(credential, office.scope)
    (tmp_path / "token").write_text(office.entra.workload_token(SUBJECT) + "\n")
    assert get(credential, office.scope)


def test_arguments_win_over_variables(office: Office, get: Get, environ: dict[str, str]) -> None:
    variables = dict.fromkeys(environ, "nonsense")
    credential = WorkloadIdentityCredential(
        office.entra.tenant_id,
        office.daemon.client_id,
        environ["AZURE_FEDERATED_TOKEN_FILE"],
        environ=variables,
        **office.settings,
    )
    assert get(credential, office.scope)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE"):
        WorkloadIdentityCredential(environ={"AZURE_TENANT_ID": "contoso.onmicrosoft.com"})


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_file_that_cannot_be_read_may_be_there_later(
    office: Office, get: Get, environ: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    file.unlink() if content is None else file.write_bytes(content)
    credential = WorkloadIdentityCredential(environ=environ, **settings(office))
    with office.counting(0), pytest.raises(TokenAcquisitionError, match="federated token") as caught:
        get(credential, office.scope)
    assert caught.value.retryable


def test_a_function_is_called_for_each_request(office: Office, get: Get) -> None:
    office.entra.add_federated_credential(office.daemon, office.entra.workload_issuer, SUBJECT)
    asked = []

    def assertion() -> str:
        asked.append(1)
        return office.entra.workload_token(SUBJECT)

    credential = ClientAssertionCredential(
        office.entra.tenant_id, office.daemon.client_id, assertion, **office.settings
    )
    for _ in range(2):
        get(credential, office.scope)
        get(credential, office.scope)
        office.advance(7200)
    assert len(asked) == 2


def test_a_managed_identity_replaces_an_applications_secret(office: Office, get: Get) -> None:
    entra = office.entra
    identity = entra.add_managed_identity("vm", system_assigned=True)
    issuer = f"{entra.url}/{entra.tenant_id}/v2.0"
    entra.add_federated_credential(office.daemon, issuer, identity.principal_id)
    settings = {name: office.settings[name] for name in ("http_client", "clock", "monotonic")}
    vm = ManagedIdentityCredential(environ=entra.managed_identity_environment(), **settings)
    credential = ClientAssertionCredential(
        entra.tenant_id,
        office.daemon.client_id,
        lambda: vm.get_token("api://AzureADTokenExchange/.default").token,
        **office.settings,
    )
    assert office.claims(get(credential, office.scope))["azp"] == office.daemon.client_id


def test_a_function_that_fails_does_not_take_a_valid_token_away(office: Office, get: Get) -> None:
    office.entra.add_federated_credential(office.daemon, office.entra.workload_issuer, SUBJECT)
    works = [True]

    def assertion() -> str:
        if not works[-1]:
            raise ValueError("the vault is sealed, and the key is hunter2")
        return office.entra.workload_token(SUBJECT)

    credential = ClientAssertionCredential(
        office.entra.tenant_id, office.daemon.client_id, assertion, **office.settings
    )
    first = get(credential, office.scope)
    works.append(False)
    office.advance(3000)
    assert get(credential, office.scope) == first
    settled(credential)
    office.advance(3000)
    with pytest.raises(TokenAcquisitionError, match=r"failed \(ValueError\)") as caught:
        get(credential, office.scope)
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given", ["", None])
def test_a_function_that_returns_no_string_is_reported(office: Office, get: Get, given: Any) -> None:
    credential = ClientAssertionCredential(
        office.entra.tenant_id, office.daemon.client_id, lambda: given, **office.settings
    )
    with office.counting(0), pytest.raises(TokenAcquisitionError, match="must return a str"):
        get(credential, office.scope)


async def _assertion() -> str:
    return ""


@pytest.mark.parametrize("func", ["an assertion", None, _assertion])
def test_only_a_plain_function_will_do(office: Office, func: Any) -> None:
    with pytest.raises(ConfigurationError, match="plain function"):
        ClientAssertionCredential(office.entra.tenant_id, office.daemon.client_id, func, **office.settings)
