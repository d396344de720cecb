"""The public documents are those of Entra, field by field, and lead nowhere else."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.emulator import CONSUMERS, CONTOSO, FABRIKAM

if TYPE_CHECKING:
    from emulator_office import Office

V2 = "v2.0/.well-known/openid-configuration"
V1 = ".well-known/openid-configuration"


def get(office: Office, path: str) -> dict[str, Any]:
    response = office.web.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    return response.json()


def test_the_v2_configuration_has_entras_fields_in_entras_order(office: Office) -> None:
    assert list(get(office, f"/{CONTOSO}/{V2}")) == [
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "jwks_uri",
        "response_modes_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "response_types_supported",
        "scopes_supported",
        "issuer",
        "request_uri_parameter_supported",
        "userinfo_endpoint",
        "authorization_endpoint",
        "device_authorization_endpoint",
        "http_logout_supported",
        "frontchannel_logout_supported",
        "end_session_endpoint",
        "claims_supported",
        "kerberos_endpoint",
        "mtls_endpoint_aliases",
        "tls_client_certificate_bound_access_tokens",
        "tenant_region_scope",
        "cloud_instance_name",
        "cloud_graph_host_name",
        "msgraph_host",
        "rbac_url",
    ]


def test_the_v1_configuration_has_entras_fields_in_entras_order(office: Office) -> None:
    assert list(get(office, f"/{CONTOSO}/{V1}")) == [
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "jwks_uri",
        "response_modes_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "response_types_supported",
        "scopes_supported",
        "issuer",
        "microsoft_multi_refresh_token",
        "authorization_endpoint",
        "device_authorization_endpoint",
        "http_logout_supported",
        "frontchannel_logout_supported",
        "end_session_endpoint",
        "claims_supported",
        "check_session_iframe",
        "userinfo_endpoint",
        "kerberos_endpoint",
        "tenant_region_scope",
        "cloud_instance_name",
        "cloud_graph_host_name",
        "msgraph_host",
        "rbac_url",
    ]


@pytest.mark.parametrize(
    ("segment", "tenant_in_urls", "issuer"),
    [
        (CONTOSO, CONTOSO, f"/{CONTOSO}/v2.0"),
        (CONTOSO.upper(), CONTOSO, f"/{CONTOSO}/v2.0"),
        ("contoso.onmicrosoft.com", CONTOSO, f"/{CONTOSO}/v2.0"),
        ("FABRIKAM.onmicrosoft.com", FABRIKAM, f"/{FABRIKAM}/v2.0"),
        ("common", "common", "/{tenantid}/v2.0"),
        ("organizations", "organizations", "/{tenantid}/v2.0"),
        ("consumers", "consumers", f"/{CONSUMERS}/v2.0"),
    ],
)
def test_urls_carry_the_tenant_id_or_the_alias_and_the_issuer_is_its_own(
    office: Office, segment: str, tenant_in_urls: str, issuer: str
) -> None:
    document = get(office, f"/{segment}/{V2}")
    assert document["issuer"] == office.entra.url + issuer
    assert document["token_endpoint"] == f"{office.entra.url}/{tenant_in_urls}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{office.entra.url}/{tenant_in_urls}/discovery/v2.0/keys"


def test_the_v1_issuer_ends_in_a_slash_and_its_keys_are_those_of_common(office: Office) -> None:
    document = get(office, f"/{CONTOSO}/{V1}")
    assert document["issuer"] == f"{office.entra.url}/{CONTOSO}/"
    assert document["jwks_uri"] == f"{office.entra.url}/common/discovery/keys"
    assert get(office, f"/common/{V1}")["issuer"] == f"{office.entra.url}/{{tenantid}}/"


@pytest.mark.parametrize("version", [V1, V2])
def test_every_endpoint_is_on_the_host_that_was_asked(office: Office, version: str) -> None:
    document = get(office, f"https://app.localhost:8443/common/{version}")
    urls = [value for value in document.values() if isinstance(value, str) and "://" in value]
    assert {url.partition("/common")[0].partition("/{")[0].partition("/oidc")[0] for url in urls} == {
        "https://app.localhost:8443",
        "https://pas.windows.net",
    }


@pytest.mark.parametrize(
    "absent",
    [
        "code_challenge_methods_supported",
        "grant_types_supported",
        "registration_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "request_parameter_supported",
    ],
)
def test_what_entra_does_not_publish_is_absent(office: Office, absent: str) -> None:
    assert absent not in get(office, f"/common/{V2}")


def test_keys_have_entras_members_and_never_an_algorithm(office: Office) -> None:
    names = ["kty", "use", "kid", "x5t", "n", "e", "x5c", "cloud_instance_name", "issuer"]
    assert all(list(key) == names for key in get(office, "/common/discovery/v2.0/keys")["keys"])
    assert all(list(key) == names[:-2] for key in get(office, "/common/discovery/keys")["keys"])


def test_a_kid_is_the_fingerprint_of_the_keys_certificate(office: Office) -> None:
    for key in get(office, "/common/discovery/v2.0/keys")["keys"]:
        fingerprint = hashlib.sha1(base64.b64decode(key["x5c"][0])).digest()
        assert key["kid"] == key["x5t"] == base64.urlsafe_b64encode(fingerprint).rstrip(b"=").decode()


def test_each_key_says_whose_tokens_it_signs(office: Office) -> None:
    base = office.entra.url
    common = get(office, "/common/discovery/v2.0/keys")["keys"]
    assert [key["issuer"] for key in common] == [
        f"{base}/{{tenantid}}/v2.0",
        f"{base}/{{tenantid}}/v2.0",
        f"{base}/{CONSUMERS}/v2.0",
        f"{base}/{{tenantid}}/v2.0",
    ]
    assert [key["cloud_instance_name"] for key in common][-1] == "microsoftonline.us"
    own = get(office, f"/{CONTOSO}/discovery/v2.0/keys")["keys"]
    assert own[0]["issuer"] == f"{base}/{CONTOSO}/v2.0"
    assert [key["issuer"] for key in get(office, "/consumers/discovery/v2.0/keys")["keys"]] == [
        f"{base}/{CONSUMERS}/v2.0"
    ]


def test_an_app_with_a_key_of_its_own_is_found_by_its_id_alone(office: Office) -> None:
    own = office.entra.add_signing_key(office.api)
    jwks_uri = get(office, f"/{CONTOSO}/{V2}?appid={office.api.client_id}")["jwks_uri"]
    assert jwks_uri.endswith(f"/discovery/v2.0/keys?appid={office.api.client_id}")
    assert [key["kid"] for key in get(office, jwks_uri)["keys"]] == [own.kid]
    assert own.kid not in office.published()


def test_an_unknown_tenant_is_refused_with_entras_words(office: Office) -> None:
    response = office.web.get(f"/nowhere.example/{V2}")
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (400, "invalid_tenant", [90002])
    assert body["error_description"].startswith(
        "AADSTS90002: Tenant 'nowhere.example' not found. Check to make"
    )
    assert body["error_uri"] == f"{office.entra.url}/error?code=90002"


def test_instance_discovery_keeps_the_port_msal_drops(office: Office) -> None:
    asked = f"https://127.0.0.1/{CONTOSO}/oauth2/v2.0/authorize"
    response = office.web.get(
        "https://127.0.0.1:8443/common/discovery/instance",
        params={"api-version": "1.1", "authorization_endpoint": asked},
    )
    document = response.json()
    assert document["tenant_discovery_endpoint"] == f"https://127.0.0.1:8443/{CONTOSO}/{V2}"
    assert document["metadata"][0]["aliases"] == ["127.0.0.1:8443"]
    assert "login.windows.net" in document["metadata"][1]["aliases"]


def test_instance_discovery_refuses_a_foreign_host(office: Office) -> None:
    endpoint = "https://login.attacker.example/common/oauth2/v2.0/authorize"
    response = office.web.get("/common/discovery/instance", params={"authorization_endpoint": endpoint})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_instance")


@pytest.mark.parametrize(
    "host", ["login.microsoftonline.com", "127.0.0.1.attacker.example", "10.0.0.1", "", "[::2]"]
)
def test_a_host_that_is_not_this_machine_is_refused(office: Office, host: str) -> None:
    response = office.web.get(f"/common/{V2}", headers={"host": host})
    assert response.status_code == 421
    assert "this machine only" in response.json()["error"]


def test_a_path_that_leads_nowhere_says_so(office: Office) -> None:
    response = office.web.get("/common/nothing/here")
    assert response.status_code == 404
    assert "/common/nothing/here" in response.json()["error"]
