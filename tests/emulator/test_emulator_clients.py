"""Released client libraries work unmodified with the emulator."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import msal
import pytest
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    OnBehalfOfCredential,
    WorkloadIdentityCredential,
    aio,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from emulator_requests import request_token, verified_claims

from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entra_guard.emulator import GeneratedCertificate


@pytest.fixture(scope="module")
def served() -> Iterator[Entra]:
    entra = Entra(app_roles=["Orders.Read"], https=True)
    entra.start()
    entra.secret = entra.add_secret(entra.caller, value="+/=&% ~:+/=&% ~:")
    entra.add_federated_credential(entra.caller, entra.workload_issuer, "job")
    entra.http_client = httpx.Client(verify=entra.ssl_context(), base_url=entra.https_url)
    with entra.http_client:
        yield entra
    entra.stop()


@pytest.fixture(scope="module")
def certificate(served: Entra) -> GeneratedCertificate:
    return served.new_certificate(served.caller)


@pytest.fixture(autouse=True)
def _no_foreign_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    # requests prefers these variables to the settings of msal.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def azure_options(entra: Entra) -> dict[str, Any]:
    return {
        "authority": entra.https_url,
        "disable_instance_discovery": True,
        "connection_verify": str(entra.ca_bundle),
    }


def roles(entra: Entra, token: str) -> Any:
    return verified_claims(entra, token)["roles"]


@pytest.mark.parametrize(
    "switch", [{"instance_discovery": False}, {"validate_authority": False}, {"url": True}]
)
def test_msal_gets_a_token_by_secret_and_caches_it(served: Entra, switch: dict[str, Any]) -> None:
    if "url" in switch:
        switch = {"instance_discovery": f"{served.https_url}/common/discovery/instance"}
    app = msal.ConfidentialClientApplication(
        served.caller.client_id,
        client_credential=served.secret.value,
        authority=f"{served.https_url}/{served.tenant_id}",
        verify=str(served.ca_bundle),
        client_capabilities=["cp1"],
        **switch,
    )
    first = app.acquire_token_for_client([served.api.default_scope])
    second = app.acquire_token_for_client([served.api.default_scope])
    assert roles(served, first["access_token"]) == ["Orders.Read"]
    assert (second["access_token"], second["token_source"]) == (first["access_token"], "cache")


def test_msal_works_with_an_oidc_authority(served: Entra) -> None:
    app = msal.ConfidentialClientApplication(
        served.caller.client_id,
        client_credential=served.secret.value,
        oidc_authority=f"{served.https_url}/{served.tenant_id}/v2.0",
        verify=str(served.ca_bundle),
    )
    answer = app.acquire_token_for_client([served.api.default_scope])
    assert roles(served, answer["access_token"]) == ["Orders.Read"]


def test_msal_returns_the_error_of_the_token_endpoint(served: Entra) -> None:
    app = msal.ConfidentialClientApplication(
        served.caller.client_id,
        client_credential="wrong",
        authority=f"{served.https_url}/{served.tenant_id}",
        verify=str(served.ca_bundle),
        instance_discovery=False,
    )
    answer = app.acquire_token_for_client([served.api.default_scope])
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000215])


def test_msal_raises_for_an_unknown_tenant(served: Entra) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        msal.ConfidentialClientApplication(
            served.caller.client_id,
            client_credential="any",
            authority=f"{served.https_url}/nowhere",
            verify=str(served.ca_bundle),
            instance_discovery=False,
        )


def test_azure_identity_gets_a_token_by_secret_and_caches_it(served: Entra) -> None:
    credential = ClientSecretCredential(
        served.tenant_id, served.caller.client_id, served.secret.value, **azure_options(served)
    )
    with credential:
        before = served.count("token")
        token = credential.get_token(served.api.default_scope).token
        assert credential.get_token(served.api.default_scope).token == token
        assert served.count("token") == before + 1
    assert roles(served, token) == ["Orders.Read"]


def test_azure_identitys_async_credential_gets_a_token_by_secret(served: Entra) -> None:
    async def token() -> str:
        async with aio.ClientSecretCredential(
            served.tenant_id, served.caller.client_id, served.secret.value, **azure_options(served)
        ) as credential:
            return (await credential.get_token(served.api.default_scope)).token

    assert roles(served, asyncio.run(token())) == ["Orders.Read"]


def msal_app(entra: Entra, credential: Any) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        entra.caller.client_id,
        client_credential=credential,
        authority=f"{entra.https_url}/{entra.tenant_id}",
        verify=str(entra.ca_bundle),
        instance_discovery=False,
    )


@pytest.mark.parametrize("how", ["pem", "pem with x5c", "thumbprint", "pfx"])
def test_msal_gets_a_token_by_certificate(
    served: Entra, certificate: GeneratedCertificate, tmp_path: Path, how: str
) -> None:
    private = certificate.key.decode()
    parsed = x509.load_pem_x509_certificate(certificate.certificate)
    pfx = tmp_path / "client.pfx"
    key: Any = load_pem_private_key(certificate.key, None)
    pfx.write_bytes(
        pkcs12.serialize_key_and_certificates(b"c", key, parsed, None, BestAvailableEncryption(b"pw"))
    )
    credential = {
        "pem": {
            "private_key": private,
            "public_certificate": certificate.certificate.decode(),
            "thumbprint": None,
        },
        "pem with x5c": {"private_key": private, "public_certificate": certificate.certificate.decode()},
        "thumbprint": {"private_key": private, "thumbprint": certificate.thumbprint},
        "pfx": {"private_key_pfx_path": str(pfx), "passphrase": "pw", "public_certificate": True},
    }[how]
    answer = msal_app(served, credential).acquire_token_for_client([served.api.default_scope])
    assert roles(served, answer["access_token"]) == ["Orders.Read"], answer


def test_msal_gets_a_token_by_an_assertion_of_another_issuer(served: Entra) -> None:
    credential = {"client_assertion": lambda: served.workload_token("job")}
    answer = msal_app(served, credential).acquire_token_for_client([served.api.default_scope])
    assert roles(served, answer["access_token"]) == ["Orders.Read"], answer


def test_azure_identity_gets_a_token_by_certificate(
    served: Entra, certificate: GeneratedCertificate, tmp_path: Path
) -> None:
    path = str(certificate.write(tmp_path / "client.pem"))
    names = (served.tenant_id, served.caller.client_id)

    async def asynchronously(**chain: Any) -> str:
        async with aio.CertificateCredential(*names, path, **chain, **azure_options(served)) as credential:
            return (await credential.get_token(served.api.default_scope)).token

    for chain in ({}, {"send_certificate_chain": True}):
        with CertificateCredential(*names, path, **chain, **azure_options(served)) as credential:
            assert roles(served, credential.get_token(served.api.default_scope).token) == ["Orders.Read"]
        assert roles(served, asyncio.run(asynchronously(**chain))) == ["Orders.Read"]


def test_azure_identity_gets_a_token_by_a_token_file(served: Entra, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(served.workload_token("job"))
    options = {
        "tenant_id": served.tenant_id,
        "client_id": served.caller.client_id,
        "token_file_path": str(file),
        **azure_options(served),
    }

    async def asynchronously() -> str:
        async with aio.WorkloadIdentityCredential(**options) as credential:
            return (await credential.get_token(served.api.default_scope)).token

    with WorkloadIdentityCredential(**options) as credential:
        assert roles(served, credential.get_token(served.api.default_scope).token) == ["Orders.Read"]
    assert roles(served, asyncio.run(asynchronously())) == ["Orders.Read"]


def test_pyjwts_key_client_finds_the_key_of_a_token(served: Entra) -> None:
    token = request_token(served).json()["access_token"]
    uri = served.http_client.get(f"/{served.tenant_id}/v2.0/.well-known/openid-configuration").json()[
        "jwks_uri"
    ]
    keys = jwt.PyJWKClient(uri, ssl_context=served.ssl_context())
    claims = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=["RS256"],
        audience=served.api.client_id,
        issuer=f"{served.https_url}/{served.tenant_id}/v2.0",
    )
    assert claims["roles"] == ["Orders.Read"]


def test_msal_and_azure_identity_exchange_a_callers_token(served: Entra) -> None:
    entra = served
    entra.grant_delegated(served.caller, served.api, "access_as_user")
    assertion = entra.issue_token(
        served.api, audience=served.caller.client_id, scopes=["use"], user="bob", base_url=entra.https_url
    )
    by_msal = msal_app(served, served.secret.value).acquire_token_on_behalf_of(
        assertion, [f"{served.api.app_id_uri}/access_as_user"]
    )
    with OnBehalfOfCredential(
        entra.tenant_id,
        served.caller.client_id,
        client_secret=served.secret.value,
        user_assertion=assertion,
        **azure_options(served),
    ) as credential:
        by_azure = credential.get_token(f"{served.api.app_id_uri}/access_as_user").token
    for token in (by_msal["access_token"], by_azure):
        assert verified_claims(served, token)["name"] == "Bob Brown"


def test_msal_redeems_a_code_with_pkce_and_refreshes(served: Entra) -> None:
    entra = served
    shop = entra.register_app("Shop", identifier_uris=(), redirect_uris=["https://shop.example/cb"])
    app = msal.ConfidentialClientApplication(
        shop.client_id,
        client_credential=entra.add_secret(shop).value,
        authority=f"{entra.https_url}/{entra.tenant_id}",
        verify=str(entra.ca_bundle),
        instance_discovery=False,
    )
    wanted = [f"{served.api.app_id_uri}/access_as_user"]
    flow = app.initiate_auth_code_flow(
        wanted, redirect_uri="https://shop.example/cb", login_hint="alice", response_mode="form_post"
    )
    entra.grant_delegated(shop, served.api, "access_as_user")
    query = dict(parse_qsl(urlsplit(flow["auth_uri"]).query))
    back = served.http_client.get(
        f"/{entra.tenant_id}/oauth2/v2.0/authorize", params={**query, "prompt": "none"}
    )
    answer = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', back.text))
    tokens = app.acquire_token_by_auth_code_flow(flow, answer)
    assert tokens["id_token_claims"]["name"] == "Alice Adams", tokens
    (account,) = app.get_accounts()
    again = app.acquire_token_silent(wanted, account, force_refresh=True)
    assert verified_claims(served, again["access_token"])["scp"] == "access_as_user"


def test_msal_signs_in_on_a_device(served: Entra) -> None:
    entra = served
    television = entra.register_app("Television", identifier_uris=(), public_client=True)
    app = msal.PublicClientApplication(
        television.client_id,
        authority=f"{entra.https_url}/{entra.tenant_id}",
        verify=str(entra.ca_bundle),
        instance_discovery=False,
    )
    flow = app.initiate_device_flow([f"{served.api.app_id_uri}/access_as_user"])
    entra.approve_device(flow["user_code"], "bob")
    tokens = app.acquire_token_by_device_flow(flow)
    assert verified_claims(served, tokens["access_token"])["name"] == "Bob Brown", tokens
