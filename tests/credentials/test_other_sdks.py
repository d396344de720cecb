"""Our credentials as msgraph-sdk, azure-core and azure-identity use them: the real libraries, over loopback."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import azure.identity
import azure.identity.aio
import httpx
import pytest
from azure.core.credentials import AccessToken as AzuresToken
from azure.core.credentials import AccessTokenInfo, SupportsTokenInfo
from azure.core.credentials_async import AsyncSupportsTokenInfo

from entra_guard.credentials import (
    AccessToken,
    CertificateCredential,
    ChainedCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    EnvironmentCredential,
    ManagedIdentityCredential,
    OnBehalfOfCredential,
)
from entra_guard.emulator import GRAPH, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

    from entra_guard.credentials import Credential
    from entra_guard.emulator import AppRegistration


# --- msgraph-sdk -------------------------------------------------------------------------------------


@pytest.fixture
def served_entra() -> Iterator[Emulator]:
    """An emulator on a port of this machine: msgraph-sdk makes its own connections."""
    with Emulator() as served_entra:
        yield served_entra


def names_of_users(served_entra: Emulator, credential: Any) -> list[str]:
    """List the names of the users with msgraph-sdk."""
    from kiota_authentication_azure.azure_identity_authentication_provider import (
        AzureIdentityAuthenticationProvider,
    )
    from msgraph import GraphRequestAdapter, GraphServiceClient

    async def users() -> list[str]:
        provider = AzureIdentityAuthenticationProvider(
            credential, scopes=["https://graph.microsoft.com/.default"], allowed_hosts=["127.0.0.1"]
        )
        async with httpx.AsyncClient() as client:  # the adapter's own one cannot be closed
            adapter = GraphRequestAdapter(provider, client=client)
            adapter.base_url = f"{served_entra.url}/v1.0"
            found = await GraphServiceClient(request_adapter=adapter).users.get()
        return [user.display_name for user in found.value]

    return asyncio.run(users())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # kiota's own
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_msgraph_sdk_sends_our_token(served_entra: Emulator, kind: str) -> None:
    daemon = served_entra.register_app("Daemon")
    served_entra.grant(daemon, GRAPH, "User.Read.All")
    secret = served_entra.add_secret(daemon).value
    credential = ClientSecretCredential(
        served_entra.tenant_id, daemon.client_id, secret, authority=served_entra.url
    )
    given = credential if kind == "sync" else credential.as_async()
    assert "Alice Adams" in names_of_users(served_entra, given)
    assert served_entra.count("token") == 1
    credential.close()


# --- azure-core's classes ----------------------------------------------------------------------------


def test_a_token_is_azure_cores_and_ours_and_shows_nothing(entra: OutboundEntra, get: Get) -> None:
    token = get(entra.credential(), entra.scope)
    text, expires_on = token  # a NamedTuple, as azure-core's
    assert isinstance(token, AzuresToken)
    assert isinstance(token, AccessToken)
    assert (text, expires_on) == (token.token, token.expires_on) == (token[0], token[1])
    assert token == AzuresToken(text, expires_on)
    assert {token: 1}[AzuresToken(text, expires_on)] == 1
    assert entra.clock.now < token.refresh_on < expires_on
    for shown in (repr(token), str(token), f"{token}", f"{token!r:.500}"):
        assert text not in shown
        assert text[-20:] not in shown


def test_the_cache_holds_tokens_of_our_own_class(entra: OutboundEntra, get: Get) -> None:
    credential = entra.credential()
    get(credential, entra.scope)
    kept = credential._tokens.get((entra.scope,))
    assert type(kept) is AccessToken


def test_a_token_survives_copies_and_pickles_with_its_class(entra: OutboundEntra) -> None:
    token = entra.credential().get_token(entra.scope)
    for twin in (copy.copy(token), copy.deepcopy(token), pickle.loads(pickle.dumps(token))):
        assert type(twin) is type(token)
        assert (twin, twin.refresh_on) == (token, token.refresh_on)


def test_token_info_is_azure_cores_and_shows_nothing(entra: OutboundEntra) -> None:
    credential = entra.credential()
    assert isinstance(credential, SupportsTokenInfo)
    assert isinstance(credential.as_async(), AsyncSupportsTokenInfo)
    options = {"enable_cae": True, "tenant_id": entra.tenant_id}
    infos = [
        credential.get_token_info(entra.scope),
        credential.get_token_info(entra.scope, options=options),
        asyncio.run(credential.as_async().get_token_info(entra.scope, options=options)),
    ]
    token = credential.get_token(entra.scope)
    for info in infos:
        assert isinstance(info, AccessTokenInfo)
        assert (info.token, info.expires_on, info.token_type) == (token.token, token.expires_on, "Bearer")
        assert info.refresh_on == int(token.refresh_on)
        assert token.token not in repr(info)
        assert pickle.loads(pickle.dumps(info)).token == info.token
    assert entra.token_requests == 1


def test_a_challenge_in_token_info_options_gets_a_new_token(entra: OutboundEntra) -> None:
    credential = entra.credential()
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
    with entra.expect_token_requests(2):
        credential.get_token_info(entra.scope)
        credential.get_token_info(entra.scope, options={"claims": claims})


def test_without_azure_core_a_token_is_ours_and_azure_is_not_imported() -> None:
    program = """
import sys
import httpx
from entra_guard.credentials import AccessToken, ClientSecretCredential, EnvironmentCredential
from entra_guard.credentials import CredentialUnavailableError
from entra_guard.testing import Entra

entra = Entra()
daemon = entra.register_app("Daemon")
credential = ClientSecretCredential(
    entra.tenant_id,
    daemon.client_id,
    entra.add_secret(daemon).value,
    authority=entra.url,
    http_client=httpx.Client(transport=entra.transport),
)
assert type(credential.get_token(entra.api.default_scope)) is AccessToken
assert type(credential.get_token_info(entra.api.default_scope)) is AccessToken
try:
    EnvironmentCredential({}).get_token("api://x/.default")
except CredentialUnavailableError as error:
    assert type(error) is CredentialUnavailableError
assert not [name for name in sys.modules if name.split(".")[0] == "azure"]
import azure.core.credentials
token = credential.get_token(entra.api.default_scope)  # loaded later: the next call knows it
assert isinstance(token, azure.core.credentials.AccessToken)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# --- azure-identity's chain --------------------------------------------------------------------------


def unavailable_credentials() -> list[Any]:
    return [
        EnvironmentCredential({}),
        ManagedIdentityCredential(environ={"MSI_ENDPOINT": "http://127.0.0.1:9/"}),
        ChainedCredential(
            EnvironmentCredential({}), ManagedIdentityCredential(environ={"MSI_ENDPOINT": "x"})
        ),
    ]


@pytest.mark.parametrize("number", range(3))
def test_azures_chain_continues_after_one_of_ours_that_is_not_configured(
    entra: OutboundEntra, number: int
) -> None:
    unavailable = unavailable_credentials()[number]
    chain = azure.identity.ChainedTokenCredential(unavailable, entra.credential())
    assert chain.get_token(entra.scope).token

    async def in_a_loop() -> str:
        chain = azure.identity.aio.ChainedTokenCredential(
            unavailable.as_async(), entra.credential().as_async()
        )
        return (await chain.get_token(entra.scope)).token

    assert asyncio.run(in_a_loop())


def test_azures_chain_ends_with_one_of_ours_that_fails(entra: OutboundEntra) -> None:
    wrong = entra.credential(client_secret="not-the-secret-at-all")
    chain = azure.identity.ChainedTokenCredential(wrong, entra.credential())
    with pytest.raises(azure.identity.CredentialUnavailableError.__mro__[1], match="7000215"):
        chain.get_token(entra.scope)


def test_the_error_is_both_libraries_unavailable(entra: OutboundEntra, get: Get) -> None:
    with pytest.raises(CredentialUnavailableError) as caught:
        get(EnvironmentCredential({}), entra.scope)
    error = caught.value
    assert isinstance(error, azure.identity.CredentialUnavailableError)
    assert error.message == str(error)
    assert "missing: AZURE_TENANT_ID" in error.message
    assert (error.error, error.retryable, error.codes) == ("environment", False, ())
    assert error.exc_traceback is None
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.error == "environment"


# --- pickles and copies ------------------------------------------------------------------------------


def every_credential(served_entra: Emulator, folder: Path, orders: AppRegistration) -> dict[str, Credential]:
    """Return credentials with their own connections, which other processes can recreate."""
    daemon, front = (
        served_entra.register_app("Daemon"),
        served_entra.register_app("Front", scopes=["access_as_user"]),
    )
    served_entra.grant_delegated(front, orders, "Orders.Read")
    ids = (served_entra.tenant_id, daemon.client_id)
    secret, certificate = served_entra.add_secret(daemon).value, served_entra.new_certificate(daemon)
    file = certificate.write(folder / "daemon.pem")
    at = {"authority": served_entra.url}
    environ = {"AZURE_TENANT_ID": ids[0], "AZURE_CLIENT_ID": ids[1], "AZURE_CLIENT_SECRET": secret}
    api = ClientSecretCredential(
        served_entra.tenant_id, front.client_id, served_entra.add_secret(front).value, **at
    )
    sent = served_entra.issue_token(front, user="alice", scopes=["access_as_user"])
    return {
        "secret": ClientSecretCredential(*ids, secret, **at),
        "certificate file": CertificateCredential(*ids, file, **at),
        "certificate": CertificateCredential(*ids, certificate_data=certificate.pem, **at),
        "environment": EnvironmentCredential(environ, **at),
        "chain": ChainedCredential(EnvironmentCredential({}), ClientSecretCredential(*ids, secret, **at)),
        "on behalf of": OnBehalfOfCredential(api, sent),
    }


KINDS = ["secret", "certificate file", "certificate", "environment", "chain", "on behalf of"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_can_be_pickled_and_copied_without_its_tokens(
    served_entra: Emulator, tmp_path: Path, kind: str
) -> None:
    orders = served_entra.register_app("Orders", scopes=["Orders.Read"])
    credentials = every_credential(served_entra, tmp_path, orders)
    assert list(credentials) == KINDS
    credential = credentials[kind]
    scope = orders.default_scope
    twins = [pickle.loads(pickle.dumps(credential)), copy.deepcopy(credential)]
    for each in (credential, *twins):
        before = served_entra.count("token")
        for _ in range(2):
            assert each.get_token(scope).token
        assert served_entra.count("token") == before + 1
        each.close()
    assert [repr(twin) for twin in twins] == [repr(credential)] * 2


def test_a_copy_of_a_certificate_credential_lives_without_its_file(
    served_entra: Emulator, tmp_path: Path
) -> None:
    orders = served_entra.register_app("Orders", scopes=["Orders.Read"])
    credential = every_credential(served_entra, tmp_path, orders)["certificate file"]
    pickled = pickle.dumps(credential)
    (tmp_path / "daemon.pem").unlink()  # as on another host
    with pickle.loads(pickled) as twin:
        assert twin.get_token(orders.default_scope).token


def test_a_pickle_in_another_process_gets_a_token(served_entra: Emulator) -> None:
    daemon = served_entra.register_app("Daemon")
    secret = served_entra.add_secret(daemon).value
    credential = ClientSecretCredential(
        served_entra.tenant_id, daemon.client_id, secret, authority=served_entra.url
    )
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get_token(sys.argv[1]).expires_on)"
    scope = served_entra.register_app("Orders").default_scope
    given = pickle.dumps(credential)
    run = subprocess.run(
        [sys.executable, "-c", program, scope], input=given, capture_output=True, check=True, timeout=120
    )
    assert int(run.stdout) > 0


def test_a_credential_with_a_client_of_the_user_is_copied_with_it_and_not_pickled(
    entra: OutboundEntra,
) -> None:
    credential = entra.credential()
    assert copy.deepcopy(credential).get_token(entra.scope).token
    with pytest.raises(TypeError, match="http_client cannot be pickled"):
        pickle.dumps(credential)
