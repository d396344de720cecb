"""Errors name the variables that were used or are missing, and the error of each credential in a chain."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from outbound_entra import claims_of

from entra_guard.credentials import (
    CertificateCredential,
    ChainedCredential,
    ClientSecretCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    TokenAcquisitionError,
    WorkloadIdentityCredential,
)
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra


@pytest.fixture
def application(entra: OutboundEntra) -> dict[str, str]:
    return {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": entra.caller.client_id,
        "AZURE_AUTHORITY_HOST": entra.url,
    }


def settings(entra: OutboundEntra) -> dict[str, Any]:
    return {name: value for name, value in entra.credential_settings.items() if name != "authority"}


def test_a_secret_is_taken_from_the_environment(
    entra: OutboundEntra, get: Get, application: dict[str, str]
) -> None:
    environ = {**application, "AZURE_CLIENT_SECRET": entra.secret.value}
    credential = EnvironmentCredential(environ, **settings(entra))
    assert get(credential, entra.scope)
    assert credential.account == (
        "client secret from AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_AUTHORITY_HOST"
    )


def test_a_certificate_is_taken_from_the_environment(
    entra: OutboundEntra, get: Get, application: dict[str, str], tmp_path: Path
) -> None:
    file = entra.new_certificate(entra.caller).write(tmp_path / "daemon.pem")
    environ = {
        **application,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(file),
        "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": "true",
    }
    credential = EnvironmentCredential(environ, **settings(entra))
    assert get(credential, entra.scope)
    assert "AZURE_CLIENT_CERTIFICATE_PATH, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN" in credential.account
    assert credential.credential._send_chain


@pytest.mark.parametrize(
    ("value", "sent"), [("TRUE", True), ("1", True), ("0", False), ("false\r", False), ("", False)]
)
def test_whether_the_chain_is_sent_is_true_or_false(
    entra: OutboundEntra, application: dict[str, str], tmp_path: Path, value: str, sent: bool
) -> None:
    file = entra.new_certificate(entra.caller).write(tmp_path / "daemon.pem")
    environ = {**application, "AZURE_CLIENT_CERTIFICATE_PATH": str(file)}
    flag = {"AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": value}
    assert EnvironmentCredential(environ | flag, **settings(entra)).credential._send_chain is sent
    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_SEND_CERTIFICATE_CHAIN must be true or false"):
        EnvironmentCredential(environ | {"AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": "yes"}, **settings(entra))


def test_a_federated_token_is_taken_from_the_environment(
    entra: OutboundEntra, get: Get, application: dict[str, str], tmp_path: Path
) -> None:
    entra.add_federated_credential(entra.caller, entra.workload_issuer, "orders")
    file = tmp_path / "token"
    file.write_text(entra.workload_token("orders"))
    environ = {**application, "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    assert get(EnvironmentCredential(environ, **settings(entra)), entra.scope)


def test_the_first_proof_counts_and_the_account_names_the_others(application: dict[str, str]) -> None:
    proofs = {"AZURE_CLIENT_SECRET": "a-secret", "AZURE_CLIENT_CERTIFICATE_PATH": "/x.pem"}
    environ = {**application, **proofs, "AZURE_FEDERATED_TOKEN_FILE": "/token"}
    account = EnvironmentCredential(environ).account
    assert account.endswith("; not used: AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE")


def test_an_empty_environment_reports_the_missing_variables(get: Get) -> None:
    credential = EnvironmentCredential({"AZURE_TENANT_ID": "contoso.onmicrosoft.com"})
    with pytest.raises(TokenAcquisitionError) as caught:
        get(credential, "api://orders/.default")
    assert str(caught.value) == (
        "No token: the environment does not describe an application; missing: AZURE_CLIENT_ID, one of "
        "AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE."
    )


@pytest.mark.parametrize(
    "proof", ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"]
)
def test_a_proof_without_its_application_fails_when_it_is_built(proof: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{proof} is set: set AZURE_CLIENT_ID, too"):
        EnvironmentCredential({"AZURE_TENANT_ID": "contoso.onmicrosoft.com", proof: "x"})


def test_no_value_of_a_variable_is_shown(
    application: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credential = EnvironmentCredential({**application, "AZURE_CLIENT_SECRET": "hunter2-hunter2"})
    assert "AZURE_CLIENT_SECRET" in repr(credential)
    assert "AZURE_CLIENT_SECRET" in caplog.text
    assert "hunter2" not in repr(credential) + caplog.text


# --- azure-identity reads the same -------------------------------------------------------------------


def test_azure_identity_takes_the_same_kind_of_credential_from_the_same_variables(
    entra: OutboundEntra, application: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure = pytest.importorskip("azure.identity")
    file = entra.new_certificate(entra.caller).write(tmp_path / "daemon.pem")
    kinds = {
        ClientSecretCredential: {"AZURE_CLIENT_SECRET": entra.secret.value},
        CertificateCredential: {"AZURE_CLIENT_CERTIFICATE_PATH": str(file)},
    }
    for kind, proof in kinds.items():
        environ = {**application, "AZURE_AUTHORITY_HOST": "login.microsoftonline.us", **proof}
        with monkeypatch.context() as patched:
            for name, value in environ.items():
                patched.setenv(name, value)
            theirs = azure.EnvironmentCredential()._credential
            ours = EnvironmentCredential().credential
        assert type(ours) is kind
        assert type(theirs).__name__ == kind.__name__
        assert ours.authority == "https://login.microsoftonline.us"


# --- chains ------------------------------------------------------------------------------------------


def test_the_first_that_gets_a_token_is_used(entra: OutboundEntra, get: Get) -> None:
    chain = ChainedCredential(EnvironmentCredential({}), entra.credential())
    assert claims_of(get(chain, entra.scope))["azp"] == entra.caller.client_id


def test_the_error_of_a_chain_quotes_each_credential(entra: OutboundEntra, get: Get) -> None:
    entra.fail("identity", "refused")
    environ = entra.managed_identity_environment("virtual-machine")
    chain = ChainedCredential(
        EnvironmentCredential({}),
        ManagedIdentityCredential(environ=environ, http_client=entra.http_client),
        entra.credential(client_secret="not-the-secret-at-all"),
    )
    with pytest.raises(TokenAcquisitionError) as caught:
        get(chain, entra.scope)
    first, *lines = str(caught.value).split("\n")
    assert first == "No token from the one that is configured of 3 credentials."
    for line, words in zip(
        lines, ["missing: AZURE_TENANT_ID", "not a host of Azure", "7000215"], strict=True
    ):
        assert words in line
    assert caught.value.codes == (7000215,)
    assert caught.value.error == "invalid_client"
    assert "send the secret's Value" in caught.value.hint
    assert not caught.value.retryable  # the one that is there was refused


def test_once_one_has_succeeded_its_failures_do_not_change_who_is_calling(
    entra: OutboundEntra, get: Get
) -> None:
    other = entra.register_app("Other")
    spare = entra.credential(client_id=other.client_id, client_secret=entra.add_secret(other).value)
    chain = ChainedCredential(entra.credential(), spare)
    get(chain, entra.scope)
    entra.remove_secret(entra.caller, entra.secret.key_id)
    entra.advance(7200)
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        get(chain, entra.scope)


@pytest.fixture
def other(entra: OutboundEntra) -> Any:
    """A credential of another application."""
    app = entra.register_app("Other")
    return entra.credential(client_id=app.client_id, client_secret=entra.add_secret(app).value)


def test_an_outage_does_not_change_who_is_calling_from_the_start(
    entra: OutboundEntra, get: Get, other: Any
) -> None:
    chain = ChainedCredential(entra.credential(), other)
    with entra.failing("token", "503"), pytest.raises(TokenAcquisitionError) as caught:
        get(chain, entra.scope)
    assert caught.value.retryable
    assert str(caught.value).startswith("No token from the one that is configured of 2 credentials.")
    entra.advance(60)
    assert claims_of(get(chain, entra.scope))["azp"] == entra.caller.client_id


@pytest.mark.parametrize("fault", ["refused", "500"])
def test_a_host_that_has_an_identity_and_cannot_give_it_is_not_passed_over(
    entra: OutboundEntra, get: Get, other: Any, fault: str
) -> None:
    environ = entra.managed_identity_environment("app-service")
    identity = ManagedIdentityCredential(environ=environ, http_client=entra.http_client)
    with entra.failing("identity", fault), pytest.raises(TokenAcquisitionError):
        get(ChainedCredential(identity, other), entra.scope)
    assert entra.token_requests == 0


def test_the_first_of_several_callers_decides_for_all(entra: OutboundEntra, other: Any) -> None:
    mine = entra.credential()
    chain = ChainedCredential(mine, other)
    appeared = mine.get_token

    def slow(*scopes: str, **options: Any) -> Any:
        mine.get_token = appeared
        chain.get_token(*scopes, **options)  # meanwhile another caller finds the first there
        raise CredentialUnavailableError("No token: not there yet.", error="file")

    mine.get_token = slow
    assert claims_of(chain.get_token(entra.scope))["azp"] == entra.caller.client_id
    assert claims_of(chain.get_token(entra.scope))["azp"] == entra.caller.client_id


def test_a_chain_has_the_tenant_and_authority_that_its_members_share(
    entra: OutboundEntra, other: Any
) -> None:
    ids = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", entra.caller.client_id)
    china = ClientSecretCredential(*ids, "a-secret", authority="china")
    agreeing = ChainedCredential(EnvironmentCredential({}), entra.credential(), ChainedCredential(other))
    assert (agreeing.tenant_id, agreeing.authority) == (entra.tenant_id, entra.url)
    differing = ChainedCredential(other, china)
    assert (differing.tenant_id, differing.authority) == ("", "")


def test_a_cold_herd_on_a_chain_sends_one_request(entra: OutboundEntra) -> None:
    import asyncio

    entra.fail("token", "slow", delay=0.1)
    chain = ChainedCredential(EnvironmentCredential({}), entra.credential())

    async def concurrent_calls() -> set[Any]:
        return set(await asyncio.gather(*(chain.aget_token(entra.scope) for _ in range(50))))

    with entra.expect_token_requests(1):
        assert len(asyncio.run(concurrent_calls())) == 1


def test_an_empty_chain_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="at least one credential"):
        ChainedCredential()


def test_a_workload_identity_may_be_in_a_chain_that_is_closed_as_one(entra: OutboundEntra) -> None:
    environ = {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": entra.caller.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token",
    }
    with ChainedCredential(WorkloadIdentityCredential(environ=environ), entra.credential()) as chain:
        assert chain.get_token(entra.scope)
