"""Managed identity endpoints: the metadata service, App Service, Azure Arc."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import jwt
import msal
import pytest
import requests
from azure.identity import ManagedIdentityCredential, aio
from emulator_requests import verified_claims

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from entra_guard.testing import Entra

IMDS = "/metadata/identity/oauth2/token"


def imds(entra: Entra, *, metadata: str = "true", **query: str) -> httpx.Response:
    asked = {"api-version": "2018-02-01", "resource": entra.api.app_id_uri, **query}
    return entra.http_client.get(
        IMDS, params={k: v for k, v in asked.items() if v}, headers={"metadata": metadata}
    )


def test_the_metadata_service_returns_strings(entra: Entra) -> None:
    identity = entra.add_managed_identity("worker")
    entra.grant(identity, entra.api, "Orders.Read")
    body = imds(entra).json()
    assert sorted(body) == [
        *(
            "access_token",
            "client_id",
            "expires_in",
            "expires_on",
            "ext_expires_in",
            "not_before",
            "resource",
        ),
        "token_type",
    ]
    assert {type(value) for value in body.values()} == {str}
    claims = verified_claims(entra, body["access_token"])
    assert (claims["roles"], claims["azp"], claims["azpacr"]) == (["Orders.Read"], identity.client_id, "2")
    assert claims["oid"] == claims["sub"] == identity.principal_id
    assert claims["xms_mirid"] == identity.resource_path
    assert int(body["expires_on"]) - claims["iat"] == 24 * 3600 + 300


def test_an_identity_is_selected_by_any_of_its_ids(entra: Entra) -> None:
    assert imds(entra).json()["error_description"] == "Identity not found"
    worker, machine = (
        entra.add_managed_identity("worker"),
        entra.add_managed_identity("vm", system_assigned=True),
    )
    other = entra.add_managed_identity("other")
    assert imds(entra).json()["client_id"] == machine.client_id
    for name, value in (
        ("client_id", worker.client_id),
        ("object_id", worker.principal_id),
        ("msi_res_id", worker.resource_path),
    ):
        assert imds(entra, **{name: value}).json()["client_id"] == worker.client_id
    assert imds(entra, client_id="nobody").status_code == 400
    assert other.resource_path != worker.resource_path


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ({"metadata": ""}, "invalid_request", "Required metadata header not specified"),
        ({"api-version": ""}, "invalid_request", "'api-version' is missing"),
        ({"resource": ""}, "invalid_resource", "AADSTS500011"),
        (
            {"resource": "api://nothing"},
            "invalid_resource",
            "AADSTS500011: The resource principal named api://nothing",
        ),
    ],
)
def test_the_metadata_service_returns_azures_errors(
    entra: Entra, query: dict[str, str], error: str, words: str
) -> None:
    entra.add_managed_identity("worker")
    response = imds(entra, **query)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert words in response.json()["error_description"]


def test_the_metadata_service_accepts_a_trailing_slash(entra: Entra) -> None:
    entra.add_managed_identity("worker")
    query = {"api-version": "2018-02-01", "resource": entra.api.app_id_uri}
    for path in ("/metadata/identity/oauth2/token", "/metadata/identity/oauth2/token/"):
        assert entra.http_client.get(path, params=query, headers={"Metadata": "true"}).status_code == 200


def test_app_service_requires_its_header(entra: Entra) -> None:
    entra.add_managed_identity("worker")
    environment = entra.managed_identity_environment("app-service")
    query = {"api-version": "2019-08-01", "resource": entra.api.app_id_uri}
    for header, status in ((environment["IDENTITY_HEADER"], 200), ("wrong", 401), ("", 401)):
        response = entra.http_client.get(
            environment["IDENTITY_ENDPOINT"], params=query, headers={"X-IDENTITY-HEADER": header}
        )
        assert response.status_code == status
    assert environment == entra.managed_identity_environment("container-apps")
    assert environment["IDENTITY_HEADER"] not in repr(entra.store.state)


def test_arc_requires_proof_that_a_file_can_be_read(entra: Entra, tmp_path: Path) -> None:
    entra.add_managed_identity("server", system_assigned=True)
    with pytest.raises(ValueError, match="folder="):
        entra.managed_identity_environment("arc")
    assert entra.http_client.get("/arc/metadata/identity/oauth2/token").status_code == 400
    endpoint = entra.managed_identity_environment("arc", folder=tmp_path)["IDENTITY_ENDPOINT"]
    query = {"api-version": "2019-11-01", "resource": entra.api.app_id_uri}
    assert entra.http_client.get(endpoint, params=query).status_code == 400
    asked = entra.http_client.get(endpoint, params=query, headers={"Metadata": "true"})
    assert asked.status_code == 401
    scheme, _, path = asked.headers["www-authenticate"].partition(" realm=")
    (file,) = tmp_path.iterdir()
    assert (scheme, path) == ("Basic", str(file))
    assert file.stat().st_mode & 0o077 == 0
    headers = {"Metadata": "true", "Authorization": f"Basic {file.read_text()}"}
    assert entra.http_client.get(endpoint, params=query, headers=headers).status_code == 200


def test_the_metadata_service_can_be_throttled(entra: Entra) -> None:
    entra.add_managed_identity("worker")
    entra.fail_next("identity", "429", retry_after=1)
    assert imds(entra).status_code == 429
    assert imds(entra).status_code == 200


@pytest.mark.parametrize("host", ["virtual-machine", "app-service"])
def test_released_clients_find_it_through_their_environment(
    monkeypatch: pytest.MonkeyPatch, host: Any
) -> None:
    with Emulator() as entra:
        api = entra.register_app("Orders", app_roles=["Orders.Read"])
        identity = entra.add_managed_identity("worker")
        entra.grant(identity, api, "Orders.Read")
        for name, value in entra.managed_identity_environment(host).items():
            monkeypatch.setenv(name, value)

        async def asynchronously() -> str:
            async with aio.ManagedIdentityCredential(client_id=identity.client_id) as credential:
                return (await credential.get_token(api.default_scope)).token

        with (
            requests.Session() as session,
            ManagedIdentityCredential(client_id=identity.client_id) as credential,
        ):
            who = msal.UserAssignedManagedIdentity(client_id=identity.client_id)
            answer = msal.ManagedIdentityClient(who, http_client=session).acquire_token_for_client(
                resource=api.app_id_uri
            )
            tokens = [answer["access_token"], credential.get_token(api.default_scope).token]
        tokens.append(asyncio.run(asynchronously()))
    for token in tokens:
        assert jwt.decode(token, options={"verify_signature": False})["roles"] == ["Orders.Read"]
