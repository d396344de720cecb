"""The public documents have Entra's members, and their URLs stay on the emulator's host."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from emulator_requests import published_keys

from entra_guard.emulator import CONSUMERS, CONTOSO, FABRIKAM

if TYPE_CHECKING:
    from entra_guard.testing import Entra

V2 = "v2.0/.well-known/openid-configuration"
V1 = ".well-known/openid-configuration"


def get(entra: Entra, path: str) -> dict[str, Any]:
    response = entra.http_client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    return response.json()


def test_the_v2_configuration_has_entras_fields_in_entras_order(entra: Entra) -> None:
    assert list(get(entra, f"/{CONTOSO}/{V2}")) == [
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
        "tenant_region_scope",
        "cloud_instance_name",
        "cloud_graph_host_name",
        "msgraph_host",
        "rbac_url",
    ]


def test_the_v1_configuration_has_entras_fields_in_entras_order(entra: Entra) -> None:
    assert list(get(entra, f"/{CONTOSO}/{V1}")) == [
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
def test_urls_have_the_tenant_id_or_the_alias_and_the_issuer_the_tenant(
    entra: Entra, segment: str, tenant_in_urls: str, issuer: str
) -> None:
    document = get(entra, f"/{segment}/{V2}")
    assert document["issuer"] == entra.url + issuer
    assert document["token_endpoint"] == f"{entra.url}/{tenant_in_urls}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{entra.url}/{tenant_in_urls}/discovery/v2.0/keys"


def test_the_v1_issuer_ends_in_a_slash_and_its_keys_are_those_of_common(entra: Entra) -> None:
    document = get(entra, f"/{CONTOSO}/{V1}")
    assert document["issuer"] == f"{entra.url}/{CONTOSO}/"
    assert document["jwks_uri"] == f"{entra.url}/common/discovery/keys"
    assert get(entra, f"/common/{V1}")["issuer"] == f"{entra.url}/{{tenantid}}/"


@pytest.mark.parametrize("version", [V1, V2])
def test_every_endpoint_is_on_the_host_of_the_request(entra: Entra, version: str) -> None:
    document = get(entra, f"https://app.localhost:8443/common/{version}")
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
def test_members_that_entra_does_not_publish_are_absent(entra: Entra, absent: str) -> None:
    assert absent not in get(entra, f"/common/{V2}")


def test_keys_have_entras_members_and_no_algorithm(entra: Entra) -> None:
    names = ["kty", "use", "kid", "x5t", "n", "e", "x5c", "cloud_instance_name", "issuer"]
    newer, older = (get(entra, f"/common/discovery/{path}")["keys"] for path in ("v2.0/keys", "keys"))
    assert len(newer) == len(older) > 0
    assert all(list(key) == names for key in newer)
    assert all(list(key) == names[:-2] for key in older)


def test_a_kid_is_the_fingerprint_of_the_keys_certificate(entra: Entra) -> None:
    keys = get(entra, "/common/discovery/v2.0/keys")["keys"]
    assert entra.signing_key.kid in {key["kid"] for key in keys}
    for key in keys:
        fingerprint = hashlib.sha1(base64.b64decode(key["x5c"][0])).digest()
        assert key["kid"] == key["x5t"] == base64.urlsafe_b64encode(fingerprint).rstrip(b"=").decode()


def test_each_key_has_the_issuer_whose_tokens_it_signs(entra: Entra) -> None:
    base = entra.url
    common = get(entra, "/common/discovery/v2.0/keys")["keys"]
    assert [key["issuer"] for key in common] == [
        f"{base}/{{tenantid}}/v2.0",
        f"{base}/{{tenantid}}/v2.0",
        f"{base}/{CONSUMERS}/v2.0",
        f"{base}/{{tenantid}}/v2.0",
    ]
    assert [key["cloud_instance_name"] for key in common][-1] == "microsoftonline.us"
    own = get(entra, f"/{CONTOSO}/discovery/v2.0/keys")["keys"]
    assert own[0]["issuer"] == f"{base}/{CONTOSO}/v2.0"
    assert [key["issuer"] for key in get(entra, "/consumers/discovery/v2.0/keys")["keys"]] == [
        f"{base}/{CONSUMERS}/v2.0"
    ]


def test_an_apps_own_key_is_published_only_with_its_appid(entra: Entra) -> None:
    own = entra.add_signing_key(entra.api)
    jwks_uri = get(entra, f"/{CONTOSO}/{V2}?appid={entra.api.client_id}")["jwks_uri"]
    assert jwks_uri.endswith(f"/discovery/v2.0/keys?appid={entra.api.client_id}")
    assert [key["kid"] for key in get(entra, jwks_uri)["keys"]] == [own.kid]
    assert own.kid not in published_keys(entra)


def test_an_unknown_tenant_gets_entras_error(entra: Entra) -> None:
    response = entra.http_client.get(f"/nowhere.example/{V2}")
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (400, "invalid_tenant", [90002])
    assert body["error_description"].startswith(
        "AADSTS90002: Tenant 'nowhere.example' not found. Check to make"
    )
    assert body["error_uri"] == f"{entra.url}/error?code=90002"


def test_instance_discovery_keeps_the_port(entra: Entra) -> None:
    asked = f"https://127.0.0.1/{CONTOSO}/oauth2/v2.0/authorize"
    response = entra.http_client.get(
        "https://127.0.0.1:8443/common/discovery/instance",
        params={"api-version": "1.1", "authorization_endpoint": asked},
    )
    document = response.json()
    assert document["tenant_discovery_endpoint"] == f"https://127.0.0.1:8443/{CONTOSO}/{V2}"
    assert document["metadata"][0]["aliases"] == ["127.0.0.1:8443"]
    assert "login.windows.net" in document["metadata"][1]["aliases"]


def test_instance_discovery_refuses_a_foreign_host(entra: Entra) -> None:
    endpoint = "https://login.attacker.example/common/oauth2/v2.0/authorize"
    response = entra.http_client.get(
        "/common/discovery/instance", params={"authorization_endpoint": endpoint}
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_instance")


@pytest.mark.parametrize(
    "host", ["login.microsoftonline.com", "127.0.0.1.attacker.example", "10.0.0.1", "", "[::2]"]
)
def test_a_host_that_is_not_this_machine_is_refused(entra: Entra, host: str) -> None:
    response = entra.http_client.get(f"/common/{V2}", headers={"host": host})
    assert response.status_code == 421
    assert "this machine only" in response.json()["error"]


def test_an_unknown_path_gets_404(entra: Entra) -> None:
    response = entra.http_client.get("/common/nothing/here")
    assert response.status_code == 404
    assert "/common/nothing/here" in response.json()["error"]


@pytest.mark.parametrize("version", ["v2.0/.well-known", ".well-known"])
def test_every_advertised_endpoint_exists(entra: Entra, version: str) -> None:
    document = get(entra, f"{entra.url}/common/{version}/openid-configuration")
    assert document["response_types_supported"] == ["code"]
    urls = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert urls.keys() >= {"authorization_endpoint", "token_endpoint", "jwks_uri"}
    for name, url in urls.items():
        statuses = {entra.http_client.request(method, url).status_code for method in ("GET", "POST")}
        assert statuses != {404}, name


@pytest.mark.parametrize(
    "path",
    [
        "/COMMON/v2.0/.well-known/openid-configuration",
        "/Common/Discovery/V2.0/Keys",
        f"/{CONTOSO.upper()}/V2.0/.Well-Known/OpenID-Configuration",
        "/common/userrealm/alice@contoso.onmicrosoft.com",
        "/Common/UserRealm/alice@contoso.onmicrosoft.com",
    ],
)
def test_paths_are_compared_without_letter_case(entra: Entra, path: str) -> None:
    assert entra.http_client.get(path).status_code == 200


def test_public_documents_have_cache_control_and_a_request_id(entra: Entra) -> None:
    for path in ("/common/v2.0/.well-known/openid-configuration", "/common/discovery/keys"):
        headers = entra.http_client.get(path).headers
        assert headers["cache-control"] == "max-age=86400, private"
        assert len(headers["x-ms-request-id"]) == 36


def test_no_header_makes_browsers_require_https_of_a_name(entra: Entra) -> None:
    for host in ("https://localhost", "https://a.localhost:8788", "http://127.0.0.1:8787"):
        assert (
            "strict-transport-security" not in entra.http_client.get(f"{host}/common/discovery/keys").headers
        )
    headers = entra.http_client.get("https://127.0.0.1:8788/common/discovery/keys").headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
