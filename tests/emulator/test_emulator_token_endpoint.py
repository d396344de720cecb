"""The token endpoint answers client credentials as Entra does, to the letter of its errors."""

from __future__ import annotations

import re
import threading
import uuid
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from emulator_office import Office

from entra_guard.emulator import CONTOSO, FABRIKAM, GRAPH, Emulator

GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UNKNOWN = "5f3d0c2e-1111-4222-8333-444455556666"


def claims(answer: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(answer["access_token"], options={"verify_signature": False})


def test_an_app_token_comes_with_exactly_four_fields(office: Office) -> None:
    response = office.ask()
    assert response.status_code == 200
    assert list(response.json()) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    assert response.json()["token_type"] == "Bearer"
    assert (response.json()["expires_in"], response.json()["ext_expires_in"]) == (3599, 3599)
    assert response.headers["cache-control"] == "no-store, no-cache"
    assert response.headers["content-type"].startswith("application/json")
    assert office.verified(response.json()["access_token"])["roles"] == ["Orders.Read"]


def test_the_v1_endpoint_answers_in_strings_and_names_the_resource(office: Office) -> None:
    answer = office.ask(path="oauth2/token", scope=None, resource=office.api.app_id_uri).json()
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
    assert answer["resource"] == office.api.app_id_uri
    assert claims(answer)["ver"] == "2.0"


@pytest.mark.parametrize(("version", "told"), [(None, "1.0"), (1, "1.0"), (2, "2.0")])
def test_the_api_decides_the_version_whatever_the_endpoint(office: Office, version: Any, told: str) -> None:
    office.entra.update_app(office.api, token_version=version)
    assert claims(office.ask().json())["ver"] == told


@pytest.mark.parametrize("asked", ["{id}", "api://{id}"])
def test_a_v1_token_repeats_the_name_it_was_asked_for_by_and_a_v2_token_says_the_client_id(
    office: Office, asked: str
) -> None:
    name = asked.format(id=office.api.client_id)
    assert claims(office.ask(scope=f"{name}/.default").json())["aud"] == office.api.client_id
    office.entra.update_app(office.api, token_version=1)
    assert claims(office.ask(scope=f"{name}/.default").json())["aud"] == name


def test_an_app_id_uri_that_ends_in_a_slash_is_asked_for_with_two(office: Office) -> None:
    office.entra.update_app(office.api, identifier_uris=("https://orders.example/",))
    assert office.ask(scope="https://orders.example//.default").status_code == 200


@pytest.mark.parametrize("scope", ["https://graph.microsoft.com/.default", f"{GRAPH}/.default", ".default"])
def test_graph_gets_a_v1_token_nobody_else_can_verify(office: Office, scope: str) -> None:
    answer = office.ask(scope=scope).json()
    assert (claims(answer)["ver"], claims(answer)["aud"]) == ("1.0", "https://graph.microsoft.com")
    assert "nonce" in jwt.get_unverified_header(answer["access_token"])
    with pytest.raises(jwt.InvalidSignatureError):
        office.verified(answer["access_token"], "https://graph.microsoft.com")


def test_a_secret_full_of_punctuation_works_in_body_and_basic(office: Office) -> None:
    secret = office.entra.add_secret(office.daemon, value="+/=&% ~:+/=&% ~:äß").value
    assert office.ask(client_secret=secret).status_code == 200
    pair = f"{quote(office.daemon.client_id, safe='')}:{quote(secret, safe='')}"
    response = office.web.post(
        f"/{CONTOSO}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": office.api.default_scope},
        headers={"authorization": f"basic {b64encode(pair.encode()).decode()}"},
    )
    assert response.status_code == 200


def test_two_secrets_work_side_by_side(office: Office) -> None:
    second = office.entra.add_secret(office.daemon)
    assert office.ask().status_code == 200
    assert office.ask(client_secret=second.value).status_code == 200


def test_what_real_clients_send_besides_is_no_matter(office: Office) -> None:
    extra = {"client_info": "1", "x-client-SKU": "MSAL.Python", "x-client-Ver": "1.39"}
    response = office.ask(
        scope=f"openid {office.api.default_scope} profile offline_access",
        claims='{"access_token":{"xms_cc":{"values":["cp1"]}}}',
        **extra,
    )
    assert response.status_code == 200
    assert "client_info" not in response.json()


@pytest.mark.parametrize("tenant", ["contoso.onmicrosoft.com", CONTOSO.upper(), "organizations"])
def test_the_tenant_may_be_named_by_domain_id_or_the_clients_home(office: Office, tenant: str) -> None:
    assert claims(office.ask(tenant=tenant).json())["tid"] == CONTOSO


def test_roles_are_there_only_when_assigned(office: Office) -> None:
    stranger = office.entra.register_app("Stranger", identifier_uris=())
    secret = office.entra.add_secret(stranger)
    answer = office.ask(client_id=stranger.client_id, client_secret=secret.value).json()
    assert "roles" not in claims(answer)


def test_a_multi_tenant_client_gets_a_token_where_it_was_consented_to(entra: Emulator) -> None:
    api = entra.register_app(
        "Suite", accounts="AzureADMultipleOrgs", app_roles=["Use"], identifier_uris=["api://suite"]
    )
    client = entra.register_app("Robot", accounts="AzureADMultipleOrgs", identifier_uris=())
    secret = entra.add_secret(client)
    office = Office(entra, api, client, secret, _web(entra))
    assert office.ask(tenant=FABRIKAM).json()["error_codes"] == [700016]
    entra.grant(client, api, "Use", tenant=FABRIKAM)
    said = claims(office.ask(tenant=FABRIKAM).json())
    assert (said["tid"], said["roles"]) == (FABRIKAM, ["Use"])
    assert said["oid"] != client.service_principal_id
    office.web.close()


def _web(entra: Emulator) -> Any:
    import httpx

    return httpx.Client(transport=entra.transport, base_url=entra.url)


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
def test_a_refusal_has_entras_status_error_number_and_words(office: Office, refusal: Any) -> None:
    change, status, error, number, words = refusal
    response = office.ask(**change)
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert words in body["error_description"]


def test_the_error_body_has_entras_envelope(office: Office) -> None:
    office.entra.freeze(1_800_000_000)
    body = office.ask(client_secret="wrong").json()
    assert list(body) == [
        *("error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri")
    ]
    end = rf" Trace ID: {GUID} Correlation ID: {GUID} Timestamp: 2027-01-15 08:00:00Z"
    assert re.search(f"{end}$", body["error_description"])
    assert body["error_uri"] == f"{office.entra.url}/error?code=7000215"
    assert "wrong" not in body["error_description"]


@pytest.mark.parametrize("change", [{"grant_type": "magic"}, {"client_id": "not-a-guid"}])
def test_errors_without_a_page_have_no_uri(office: Office, change: dict[str, Any]) -> None:
    assert "error_uri" not in office.ask(**change).json()


@pytest.mark.parametrize("where", ["headers", "params"])
def test_the_callers_request_id_comes_back_as_correlation_id(office: Office, where: str) -> None:
    wanted: dict[str, Any] = {where: {"client-request-id": UNKNOWN}}
    response = office.web.post(f"/{CONTOSO}/oauth2/v2.0/token", data={"grant_type": "magic"}, **wanted)
    assert response.json()["correlation_id"] == UNKNOWN


def test_an_expired_secret_is_told_from_a_wrong_one(office: Office) -> None:
    expired = office.entra.add_secret(office.daemon, expires_in=-1)
    assert office.ask(client_secret=expired.value).json()["error_codes"] == [7000222]
    office.entra.advance(3 * 365 * 24 * 3600)
    assert office.ask().json()["error_codes"] == [7000222]


def test_the_secrets_id_is_not_the_secret(office: Office) -> None:
    assert office.ask(client_secret=office.secret.key_id).json()["error_codes"] == [7000215]


def test_a_public_client_must_not_send_a_secret(office: Office) -> None:
    public = office.entra.register_app("Desktop", public_client=True, identifier_uris=())
    assert office.ask(client_id=public.client_id).json()["error_codes"] == [700025]


def test_a_disabled_app_gets_nothing(office: Office) -> None:
    office.entra.update_app(office.daemon, enabled=False)
    assert office.ask().json()["error_codes"] == [7000112]


def test_an_api_that_requires_assignment_refuses_the_unassigned(office: Office) -> None:
    closed = office.entra.register_app("Closed", app_roles=["Enter"], assignment_required=True)
    refused = office.ask(scope=closed.default_scope)
    assert (refused.json()["error"], refused.json()["error_codes"]) == ("invalid_grant", [501051])
    office.entra.grant(office.daemon, closed, "Enter")
    assert office.ask(scope=closed.default_scope).status_code == 200


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"=&=&=", b"grant_type"])
def test_a_body_that_is_no_form_is_refused_like_an_empty_one(office: Office, body: bytes) -> None:
    response = office.web.post(f"/{CONTOSO}/oauth2/v2.0/token", content=body)
    assert response.json()["error_codes"] == [900144]


def test_only_post_is_answered(office: Office) -> None:
    assert office.web.get(f"/{CONTOSO}/oauth2/v2.0/token").status_code == 404


def test_fifty_at_once_all_get_their_token(office: Office) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(office.ask().status_code)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50
    assert office.entra.count("token") == 50
