"""Our credentials in Azure's clients, and Azure's credentials in ours: the real libraries, over loopback."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import azure.identity
import azure.identity.aio
import httpx
import pytest
from azure.core.credentials import AccessToken as AzuresToken
from azure.core.credentials import TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline import AsyncPipeline, Pipeline
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, BearerTokenCredentialPolicy
from azure.core.pipeline.transport import AsyncioRequestsTransport, RequestsTransport
from azure.core.rest import HttpRequest
from loopback_api import Api, serving
from test_bearer_auth import CHALLENGE, CLIENTS

from entra_guard.credentials import (
    BearerAuth,
    ChainedCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    OnBehalfOfCredential,
    TokenAcquisitionError,
)
from entra_guard.emulator import Emulator
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbound_entra import OutboundEntra


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as api:
        yield api


# --- ours in Azure's ---------------------------------------------------------------------------------


def test_every_credential_is_a_token_credential(entra: OutboundEntra) -> None:
    credential = entra.credential()
    for each in (
        credential,
        OnBehalfOfCredential(credential, "a.b.c"),
        ManagedIdentityCredential(environ={}),
        EnvironmentCredential({}),
        ChainedCredential(credential),
    ):
        assert isinstance(each, TokenCredential)
        assert not isinstance(each, AsyncTokenCredential)
        assert isinstance(each.as_async(), AsyncTokenCredential)


def send(credential: Any, scope: str, url: str, **options: Any) -> int:
    """Send a request as every client of the Azure SDK does and return its status."""
    policy = BearerTokenCredentialPolicy(credential, scope)
    with Pipeline(RequestsTransport(), [policy]) as pipeline:
        response = pipeline.run(HttpRequest("GET", url), enforce_https=False, **options)
        return response.http_response.status_code


async def asend(credential: Any, scope: str, url: str, times: int = 1) -> list[int]:
    policy = AsyncBearerTokenCredentialPolicy(credential, scope)
    async with AsyncPipeline(AsyncioRequestsTransport(), [policy]) as pipeline:
        sent = [pipeline.run(HttpRequest("GET", url), enforce_https=False, stream=True) for _ in range(times)]
        return [response.http_response.status_code for response in await asyncio.gather(*sent)]


def test_an_azure_client_takes_our_credential_and_its_cache(entra: OutboundEntra, api: Api) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(1):
        assert send(credential, entra.scope, api.url) == 200
        assert send(credential, entra.scope, api.url) == 200
    assert api.received[0].authorization == f"Bearer {credential.get_token(entra.scope).token}"


def test_an_azure_async_client_takes_it_too(entra: OutboundEntra, api: Api) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(1):
        assert asyncio.run(asend(credential.as_async(), entra.scope, api.url, times=3)) == [200] * 3
    assert api.received[0].authorization == f"Bearer {credential.get_token(entra.scope).token}"


def test_an_azure_client_gets_its_claims_challenge_answered(entra: OutboundEntra, api: Api) -> None:
    api.responses.append((401, CHALLENGE))
    with entra.expect_token_requests(2):
        assert send(entra.credential(), entra.scope, api.url) == 200
    assert api.received[0].authorization != api.received[1].authorization


def test_azures_own_names_for_options_change_nothing(entra: OutboundEntra) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(1):
        for options in (
            {},
            {"enable_cae": True},
            {"tenant_id": entra.tenant_id},
            {"enable_cae": False, "pop": True},
        ):
            assert credential.get_token(entra.scope, **options)


def test_an_async_credential_can_be_closed_and_used_on(entra: OutboundEntra) -> None:
    async def use() -> None:
        async with entra.credential().as_async() as credential:
            await credential.get_token(entra.scope)
        await credential.get_token(entra.scope)

    asyncio.run(use())


# --- Azure's in ours ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def https_entra() -> Iterator[Emulator]:
    """An emulator over https, which azure-identity requires."""
    with Emulator(https=True) as https_entra:
        yield https_entra


@pytest.fixture
def daemon(https_entra: Emulator) -> dict[str, Any]:
    """The arguments of an azure-identity credential for a new application."""
    app = https_entra.register_app("Daemon")
    return {
        "tenant_id": https_entra.tenant_id,
        "client_id": app.client_id,
        "client_secret": https_entra.add_secret(app).value,
        "authority": https_entra.https_url,
        "disable_instance_discovery": True,
        "connection_verify": str(https_entra.ca_bundle),
    }


@pytest.fixture
def scope(https_entra: Emulator) -> str:
    return https_entra.register_app("Orders").default_scope


def test_an_azure_identity_credential_authorizes_requests_of_every_client(
    https_entra: Emulator, daemon: dict[str, Any], scope: str, api: Api
) -> None:
    with azure.identity.ClientSecretCredential(**daemon) as credential:
        before = https_entra.count("token")
        auth = BearerAuth(credential, scope)
        for send in CLIENTS.values():
            assert send(auth, "GET", api.url).status_code == 200
        assert https_entra.count("token") == before + 1
        assert api.received[0].authorization == f"Bearer {credential.get_token(scope, enable_cae=True).token}"
    assert len({seen.authorization for seen in api.received}) == 1


def test_fifty_cold_callers_of_an_azure_identity_credential_send_one_request_through_ours(
    https_entra: Emulator, daemon: dict[str, Any], scope: str, api: Api
) -> None:
    async def concurrent_calls(credential: Any) -> list[int]:
        async with httpx.AsyncClient(auth=BearerAuth(credential, scope), verify=False) as client:
            return [r.status_code for r in await asyncio.gather(*(client.get(api.url) for _ in range(50)))]

    with azure.identity.ClientSecretCredential(**daemon) as credential:
        before = https_entra.count("token")
        assert asyncio.run(concurrent_calls(credential)) == [200] * 50
        assert https_entra.count("token") == before + 1


def test_an_azure_identity_credential_answers_a_claims_challenge(
    daemon: dict[str, Any], scope: str, api: Api
) -> None:
    api.responses.append((401, CHALLENGE))
    with azure.identity.ClientSecretCredential(**daemon) as credential:
        assert CLIENTS["httpx.Client"](BearerAuth(credential, scope), "GET", api.url).status_code == 200
    assert api.received[0].authorization != api.received[1].authorization


def test_an_async_azure_identity_credential_authorizes_async_requests(
    https_entra: Emulator, daemon: dict[str, Any], scope: str, api: Api
) -> None:
    async def call() -> int:
        async with azure.identity.aio.ClientSecretCredential(**daemon) as credential:
            client = httpx.AsyncClient(auth=BearerAuth(credential, scope), verify=False)
            async with client:
                return (await client.get(api.url)).status_code

    assert asyncio.run(call()) == 200
    assert (api.received[0].authorization or "").startswith("Bearer ey")


def test_an_async_credential_in_a_sync_client_is_refused_in_words(daemon: dict[str, Any], scope: str) -> None:
    auth = BearerAuth(azure.identity.aio.ClientSecretCredential(**daemon), scope)
    with pytest.raises(ConfigurationError, match="AsyncClient"):
        CLIENTS["httpx.Client"](auth, "GET", "http://127.0.0.1:9/")


def test_errors_of_azure_identity_are_passed_on(daemon: dict[str, Any], scope: str) -> None:
    wrong = {**daemon, "client_secret": "not-the-secret-at-all"}
    with azure.identity.ClientSecretCredential(**wrong) as credential:
        auth = BearerAuth(credential, scope)
        with pytest.raises(TokenAcquisitionError, match="7000215") as caught:
            CLIENTS["httpx.Client"](auth, "GET", "http://127.0.0.1:9/")
    assert isinstance(caught.value.__cause__, ClientAuthenticationError)
    assert caught.value.codes == (7000215,)
    assert "send the secret's Value" in caught.value.hint
    assert "Trace ID" not in str(caught.value)
    assert "not-the-secret" not in str(caught.value)


class Foreign:
    """A credential that an application defines itself."""

    def __init__(self, *tokens: Any) -> None:
        self.tokens = list(tokens)
        self.tenants: list[str | None] = []

    def get_token(self, *_scopes: str, tenant_id: str | None = None, **_options: Any) -> Any:
        self.tenants.append(tenant_id)
        token = self.tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        return AzuresToken(token, int(time.time()) + 3600)


def test_a_requested_tenant_is_passed_on_and_its_token_cached_apart() -> None:
    foreign = Foreign("home", "away")
    chain = ChainedCredential(foreign)
    for _ in range(2):
        assert chain.get_token("s").token == "home"
        assert chain.get_token("s", tenant_id="other").token == "away"
    assert foreign.tenants == [None, "other"]


def test_a_malformed_token_is_put_on_no_request(api: Api) -> None:
    auth = BearerAuth(Foreign("tok\r\nX: injected"), "s")
    with pytest.raises(TokenAcquisitionError, match="no bearer token") as caught:
        CLIENTS["httpx.Client"](auth, "GET", api.url)
    assert "injected" not in str(caught.value)
    assert api.received == []


@pytest.mark.parametrize("times", [{}, {"expires_on": None}, {"expires_on": "soon"}])
def test_a_token_without_its_time_is_refused(times: dict[str, Any]) -> None:
    class Odd:
        def get_token(self, *_scopes: str, **_options: Any) -> Any:
            return SimpleNamespace(token="a-token", **times)

    class OddAsync:
        async def get_token(self, *_scopes: str, **_options: Any) -> Any:
            return SimpleNamespace(token="a-token", **times)

    with pytest.raises(TokenAcquisitionError, match="no bearer token with its time"):
        ChainedCredential(Odd()).get_token("s")
    with pytest.raises(TokenAcquisitionError, match="no bearer token with its time"):
        asyncio.run(ChainedCredential(OddAsync()).aget_token("s"))


def test_a_token_of_an_async_credential_is_renewed_after_half_of_its_life() -> None:
    class AnHour:
        async def get_token(self, *_scopes: str, **_options: Any) -> Any:
            return AzuresToken("a-token", int(time.time()) + 3600)

    token = asyncio.run(ChainedCredential(AnHour()).aget_token("s"))
    assert time.time() < token.refresh_on < token.expires_on


def test_the_words_of_an_unknown_error_are_not_repeated() -> None:
    with pytest.raises(TokenAcquisitionError, match="ValueError was raised") as caught:
        ChainedCredential(Foreign(ValueError("secret=hunter2"))).get_token("s")
    assert "hunter2" not in str(caught.value)


def test_where_azures_credential_is_unavailable_a_chain_goes_on() -> None:
    absent = azure.identity.CredentialUnavailableError("not here")
    assert ChainedCredential(Foreign(absent), Foreign("token")).get_token("s").token == "token"
    refused = ClientAuthenticationError("AADSTS7000215: wrong")
    with pytest.raises(TokenAcquisitionError, match="7000215"):
        ChainedCredential(Foreign(refused), Foreign("token")).get_token("s")


def test_azures_credentials_may_be_in_a_chain(daemon: dict[str, Any], scope: str) -> None:
    with azure.identity.ClientSecretCredential(**daemon) as credential:
        assert ChainedCredential(EnvironmentCredential({}), credential).get_token(scope)
