"""The client credentials grant responds as Entra does, including its errors."""

from __future__ import annotations

import re
import threading
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jwt
import pytest
from emulator_requests import request_token, verified_claims

from entra_guard.emulator import CONTOSO, FABRIKAM, GRAPH, Emulator

if TYPE_CHECKING:
    from entra_guard.testing import Entra

GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UNKNOWN = "5f3d0c2e-1111-4222-8333-444455556666"


def claims(answer: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(answer["access_token"], options={"verify_signature": False})


def test_an_app_token_response_has_exactly_four_fields(entra: Entra) -> None:
    response = request_token(entra)
    assert response.status_code == 200
    assert list(response.json()) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    assert response.json()["token_type"] == "Bearer"
    assert (response.json()["expires_in"], response.json()["ext_expires_in"]) == (3599, 3599)
    assert response.headers["cache-control"] == "no-store, no-cache"
    assert response.headers["content-type"].startswith("application/json")
    assert verified_claims(entra, response.json()["access_token"])["roles"] == ["Orders.Read"]


def test_the_v1_endpoint_returns_strings_and_the_resource(entra: Entra) -> None:
    answer = request_token(entra, path="oauth2/token", scope=None, resource=entra.api.app_id_uri).json()
    assert list(answer) == [
        *(
            "token_type",
            "expires_in",
            "ext_expires_in",
            "expires_on",
            "not_before",
            "resource",
            "access_token",
        )
    ]
    assert answer["expires_in"] == "3599"
    assert answer["resource"] == entra.api.app_id_uri
    assert claims(answer)["ver"] == "2.0"


@pytest.mark.parametrize(("version", "told"), [(None, "1.0"), (1, "1.0"), (2, "2.0")])
def test_the_api_decides_the_version_whatever_the_endpoint(entra: Entra, version: Any, told: str) -> None:
    entra.update_app(entra.api, token_version=version)
    assert claims(request_token(entra).json())["ver"] == told


@pytest.mark.parametrize("asked", ["{id}", "api://{id}"])
def test_a_v1_token_has_the_requested_name_as_audience_and_a_v2_token_the_client_id(
    entra: Entra, asked: str
) -> None:
    name = asked.format(id=entra.api.client_id)
    assert claims(request_token(entra, scope=f"{name}/.default").json())["aud"] == entra.api.client_id
    entra.update_app(entra.api, token_version=1)
    assert claims(request_token(entra, scope=f"{name}/.default").json())["aud"] == name


def test_an_app_id_uri_that_ends_in_a_slash_is_requested_with_two(entra: Entra) -> None:
    entra.update_app(entra.api, identifier_uris=("https://orders.example/",))
    assert request_token(entra, scope="https://orders.example//.default").status_code == 200


@pytest.mark.parametrize("scope", ["https://graph.microsoft.com/.default", f"{GRAPH}/.default", ".default"])
def test_graph_gets_a_v1_token_that_only_graph_can_verify(entra: Entra, scope: str) -> None:
    answer = request_token(entra, scope=scope).json()
    assert (claims(answer)["ver"], claims(answer)["aud"]) == ("1.0", "https://graph.microsoft.com")
    assert "nonce" in jwt.get_unverified_header(answer["access_token"])
    with pytest.raises(jwt.InvalidSignatureError):
        verified_claims(entra, answer["access_token"], "https://graph.microsoft.com")


def test_a_secret_with_punctuation_works_in_body_and_basic_header(entra: Entra) -> None:
    secret = entra.add_secret(entra.caller, value="+/=&% ~:+/=&% ~:äß").value
    assert request_token(entra, client_secret=secret).status_code == 200
    pair = f"{quote(entra.caller.client_id, safe='')}:{quote(secret, safe='')}"
    response = entra.http_client.post(
        f"/{CONTOSO}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": entra.api.default_scope},
        headers={"authorization": f"basic {b64encode(pair.encode()).decode()}"},
    )
    assert response.status_code == 200


def test_two_secrets_are_valid_at_once(entra: Entra) -> None:
    second = entra.add_secret(entra.caller)
    assert request_token(entra).status_code == 200
    assert request_token(entra, client_secret=second.value).status_code == 200


def test_additional_parameters_of_real_clients_are_ignored(entra: Entra) -> None:
    extra = {"client_info": "1", "x-client-SKU": "MSAL.Python", "x-client-Ver": "1.39"}
    response = request_token(
        entra,
        scope=f"openid {entra.api.default_scope} profile offline_access",
        claims='{"access_token":{"xms_cc":{"values":["cp1"]}}}',
        **extra,
    )
    assert response.status_code == 200
    assert "client_info" not in response.json()


@pytest.mark.parametrize("tenant", ["contoso.onmicrosoft.com", CONTOSO.upper(), "organizations"])
def test_the_tenant_may_be_a_domain_an_id_or_an_alias(entra: Entra, tenant: str) -> None:
    assert claims(request_token(entra, tenant=tenant).json())["tid"] == CONTOSO


def test_roles_are_present_only_if_assigned(entra: Entra) -> None:
    stranger = entra.register_app("Stranger", identifier_uris=())
    secret = entra.add_secret(stranger)
    answer = request_token(entra, client_id=stranger.client_id, client_secret=secret.value).json()
    assert "roles" not in claims(answer)


def test_a_multi_tenant_client_gets_a_token_where_it_was_consented_to(entra: Emulator) -> None:
    api = entra.register_app(
        "Suite", accounts="AzureADMultipleOrgs", app_roles=["Use"], identifier_uris=["api://suite"]
    )
    client = entra.register_app("Robot", accounts="AzureADMultipleOrgs", identifier_uris=())
    secret = entra.add_secret(client)
    own = {"client_id": client.client_id, "client_secret": secret.value, "scope": api.default_scope}
    assert request_token(entra, tenant=FABRIKAM, **own).json()["error_codes"] == [700016]
    entra.grant(client, api, "Use", tenant=FABRIKAM)
    granted = claims(request_token(entra, tenant=FABRIKAM, **own).json())
    assert (granted["tid"], granted["roles"]) == (FABRIKAM, ["Use"])
    assert granted["oid"] != client.service_principal_id


REFUSALS = [
    ({"client_secret": "wrong"}, 401, "invalid_client", 7000215, "Invalid client secret provided. Ensure"),
    ({"client_secret": None}, 401, "invalid_client", 7000218, "The request body must contain the following"),
    ({"client_id": None}, 400, "invalid_request", 900144, "parameter: 'client_id'"),
    (
        {"client_id": "not-a-guid"},
        400,
        "unauthorized_client",
        700038,
        "not-a-guid is not a valid application",
    ),
    ({"client_id": str(uuid.UUID(int=0))}, 400, "unauthorized_client", 700038, "is not a valid application"),
    ({"client_id": UNKNOWN}, 400, "unauthorized_client", 700016, "not found in the directory 'Contoso'"),
    ({"scope": None}, 400, "invalid_request", 900144, "parameter: 'scope'"),
    (
        {"scope": "api://nothing/.default"},
        400,
        "invalid_resource",
        500011,
        "named api://nothing was not found",
    ),
    ({"scope": "api://nothing/Read"}, 400, "invalid_scope", 1002012, "scope api://nothing/Read is not valid"),
    ({"scope": "a/.default b/.default"}, 400, "invalid_scope", 28000, "more than one resource"),
    ({"grant_type": None}, 400, "invalid_request", 900144, "parameter: 'grant_type'"),
    ({"grant_type": "magic"}, 400, "unsupported_grant_type", 70003, "unsupported grant type 'magic'"),
    ({"tenant": "nowhere"}, 400, "invalid_request", 90002, "Tenant 'nowhere' not found"),
    ({"tenant": "common"}, 400, "invalid_request", 9001023, "/organizations or tenant-specific"),
    ({"tenant": "consumers"}, 400, "invalid_request", 9001023, "/organizations or tenant-specific"),
    ({"resource": "api://other"}, 400, "invalid_target", 9010010, "doesn't match with the requested scopes"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_has_entras_status_error_number_and_text(entra: Entra, refusal: Any) -> None:
    change, status, error, number, words = refusal
    response = request_token(entra, **change)
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert words in body["error_description"]


def test_the_error_body_has_entras_members(entra: Entra) -> None:
    entra.freeze(1_800_000_000)
    body = request_token(entra, client_secret="wrong").json()
    assert list(body) == [
        *("error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri")
    ]
    end = rf" Trace ID: {GUID} Correlation ID: {GUID} Timestamp: 2027-01-15 08:00:00Z"
    assert re.search(f"{end}$", body["error_description"])
    assert body["error_uri"] == f"{entra.url}/error?code=7000215"
    assert "wrong" not in body["error_description"]


@pytest.mark.parametrize("change", [{"grant_type": "magic"}, {"client_id": "not-a-guid"}])
def test_errors_without_a_page_have_no_uri(entra: Entra, change: dict[str, Any]) -> None:
    assert "error_uri" not in request_token(entra, **change).json()


@pytest.mark.parametrize("where", ["headers", "params"])
def test_the_clients_request_id_is_returned_as_correlation_id(entra: Entra, where: str) -> None:
    wanted: dict[str, Any] = {where: {"client-request-id": UNKNOWN}}
    response = entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/token", data={"grant_type": "magic"}, **wanted)
    assert response.json()["correlation_id"] == UNKNOWN


def test_an_expired_secret_and_a_wrong_one_have_different_errors(entra: Entra) -> None:
    expired = entra.add_secret(entra.caller, expires_in=-1)
    assert request_token(entra, client_secret=expired.value).json()["error_codes"] == [7000222]
    entra.advance(3 * 365 * 24 * 3600)
    assert request_token(entra).json()["error_codes"] == [7000222]


def test_the_secrets_id_is_not_the_secret(entra: Entra) -> None:
    assert request_token(entra, client_secret=entra.secret.key_id).json()["error_codes"] == [7000215]


def test_a_public_client_must_not_send_a_secret(entra: Entra) -> None:
    public = entra.register_app("Desktop", public_client=True, identifier_uris=())
    assert request_token(entra, client_id=public.client_id).json()["error_codes"] == [700025]


def test_a_disabled_app_gets_nothing(entra: Entra) -> None:
    entra.update_app(entra.caller, enabled=False)
    assert request_token(entra).json()["error_codes"] == [7000112]


def test_an_api_that_requires_assignment_refuses_the_unassigned(entra: Entra) -> None:
    closed = entra.register_app("Closed", app_roles=["Enter"], assignment_required=True)
    refused = request_token(entra, scope=closed.default_scope)
    assert (refused.json()["error"], refused.json()["error_codes"]) == ("invalid_grant", [501051])
    entra.grant(entra.caller, closed, "Enter")
    assert request_token(entra, scope=closed.default_scope).status_code == 200


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"=&=&=", b"grant_type"])
def test_a_body_that_is_not_a_form_is_refused_like_an_empty_one(entra: Entra, body: bytes) -> None:
    response = entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/token", content=body)
    assert response.json()["error_codes"] == [900144]


def test_the_token_endpoint_accepts_only_post(entra: Entra) -> None:
    for path in ("oauth2/v2.0/token", "oauth2/token"):
        response = entra.http_client.get(f"/{CONTOSO}/{path}")
        assert (response.status_code, response.json()["error_codes"]) == (405, [900561])
        assert "The endpoint only accepts POST requests." in response.json()["error_description"]


def test_fifty_concurrent_requests_get_their_tokens(entra: Entra) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(request_token(entra).status_code)) for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50
    assert entra.count("token") == 50


@pytest.mark.parametrize(
    "resource",
    [
        "https://management.azure.com",
        "https://vault.azure.net",
        "https://storage.azure.com",
        "https://graph.microsoft.com",
    ],
)
def test_azure_sdk_clients_get_tokens_for_azures_apis(entra: Entra, resource: str) -> None:
    granted = claims(request_token(entra, scope=f"{resource}/.default").json())
    assert granted["aud"] == resource
