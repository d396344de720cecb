"""Error texts are bounded: whatever a client sends, the error that repeats it stays short."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from portal_requests import send_form

from entra_guard.emulator import GRAPH, Emulator, RegistrationError, Scope
from entra_guard.emulator._graph.endpoints import all_endpoints
from entra_guard.emulator._http.messages import Request
from entra_guard.emulator._portal.visit import FieldError

if TYPE_CHECKING:
    from entra_guard.testing import Entra

HUGE = "x" * 50_000
HUGE_VALUES: list[Any] = [HUGE, f"api://{HUGE}", f"https://{HUGE}.example/", f"a b {HUGE}", f"'{HUGE}"]
LONGEST_GRAPH_ERROR = 1500  # in octets, with the ids
LONGEST_ERROR = 2500
GRAPH_BODY = (
    *("displayName", "signInAudience", "identifierUris", "appRoles", "api", "web", "requiredResourceAccess"),
    *("userPrincipalName", "mailNickname", "accountEnabled", "identityParentId", "agentIdentityBlueprintId"),
    *("principalId", "resourceId", "appRoleId", "clientId", "scope", "consentType", "@odata.id", "appId"),
    *("passwordCredential", "keyId", "proof", "issuer", "subject", "name", "audiences", "requests", HUGE),
)
TOKEN_FIELDS = (
    *("client_id", "client_secret", "grant_type", "scope", "resource", "code", "refresh_token", "assertion"),
    *("client_assertion", "client_assertion_type", "username", "redirect_uri", "device_code", "claims"),
    *("requested_token_use", "user_id", "user_federated_identity_credential", HUGE),
)
AUTHORIZE_FIELDS = ("client_id", "redirect_uri", "response_type", "response_mode", "scope", "prompt", "nonce")


def respond(
    entra: Emulator, method: str, path: str, *, query: str = "", body: bytes = b"", **headers: str
) -> Any:
    return entra.request_handler.respond(
        Request(method, "http", "localhost", path, query=query, headers=headers, body=body)
    ).response


@pytest.mark.parametrize(
    "option", ["$select", "$filter", "$orderby", "$expand", "$top", "$skiptoken", "$" + HUGE]
)
@pytest.mark.parametrize("value", HUGE_VALUES, ids=range(len(HUGE_VALUES)))
def test_an_error_about_a_query_of_graph_is_short(entra: Entra, option: str, value: str) -> None:
    token = entra.issue_token(entra.caller, audience=GRAPH, roles=["Directory.Read.All"])
    query = urlencode({option: value})
    response = respond(entra, "GET", "/v1.0/users", query=query, authorization=f"Bearer {token}")
    assert response.status == 400
    assert len(response.body) < LONGEST_GRAPH_ERROR


@pytest.mark.parametrize("endpoint", all_endpoints(), ids=lambda e: f"{e.method} {e.path}")
def test_an_error_of_graph_is_short(entra: Entra, endpoint: Any) -> None:
    token = entra.issue_token(entra.caller, audience=GRAPH, roles=endpoint.roles)
    path = re.sub(r"\{\w+\}", HUGE, endpoint.full_path)
    known = re.sub(r"\{id\}", entra.api.object_id, endpoint.full_path).replace("{", "").replace("}", "")
    sent = [(path, {}), *((known, {"displayName": "x", name: HUGE_VALUES[3]}) for name in GRAPH_BODY)]
    for address, content in sent:
        body = json.dumps(content).encode()
        response = respond(entra, endpoint.method, address, body=body, authorization=f"Bearer {token}")
        assert response.status < 400 or len(response.body) < LONGEST_GRAPH_ERROR, (
            address[:99],
            list(content),
        )


@pytest.mark.parametrize("name", TOKEN_FIELDS, ids=lambda name: name[:30])
@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "refresh_token"])
def test_an_error_of_the_token_endpoint_is_short(entra: Entra, name: str, grant: str) -> None:
    sent = {
        "grant_type": grant,
        "client_id": entra.caller.client_id,
        "client_secret": "x",
        "scope": f"{entra.api.app_id_uri}/.default",
    }
    for value in HUGE_VALUES:
        for version in ("/oauth2/v2.0/token", "/oauth2/token"):
            body = urlencode({**sent, name: value}).encode()
            response = respond(entra, "POST", f"/{entra.api.tenant_id}{version}", body=body)
            assert response.status >= 400
            assert len(response.body) < LONGEST_ERROR
    response = respond(entra, "POST", f"/{HUGE}/oauth2/v2.0/token", body=urlencode(sent).encode())
    assert response.status >= 400
    assert len(response.body) < LONGEST_ERROR


@pytest.mark.parametrize("name", AUTHORIZE_FIELDS)
def test_an_error_that_is_sent_to_the_client_is_short(entra: Entra, name: str) -> None:
    callback = "https://orders.example/cb"
    app = entra.register_app("Web", redirect_uris=[callback])
    sent = {"client_id": app.client_id, "redirect_uri": callback, "response_type": "code", "scope": "openid"}
    for value in HUGE_VALUES:
        query = urlencode({**sent, name: value})
        response = respond(entra, "GET", f"/{app.tenant_id}/oauth2/v2.0/authorize", query=query)
        location = dict(response.headers).get("Location", "")
        assert len(location) < LONGEST_ERROR or not location.startswith(callback), name


@pytest.mark.parametrize(
    "path", ["/_emu/token", "/_emu/faults", "/_emu/identities", "/_emu/agents", "/_emu/import"]
)
def test_an_error_of_the_control_api_is_short(entra: Entra, path: str) -> None:
    names = (
        "client",
        "user",
        "audience",
        "preset",
        "target",
        "how",
        "times",
        "name",
        "tenant",
        "blueprint",
        "tenants",
    )
    for name in (*names, HUGE):
        for value in (*HUGE_VALUES, [HUGE], {HUGE: HUGE}):
            body = json.dumps({name: value}).encode()
            response = respond(entra, "POST", path, body=body, **{"content-type": "application/json"})
            assert response.status < 400 or len(response.body) < LONGEST_ERROR, (path, name[:99])


@pytest.mark.parametrize(
    "options",
    [
        {"name": HUGE},
        {"accounts": HUGE},
        {"app_roles": [HUGE]},
        {"scopes": [HUGE]},
        {"scopes": [Scope(HUGE, "use")]},
        {"identifier_uris": [HUGE]},
        {"identifier_uris": [f"api://{HUGE}"]},
        {"redirect_uris": [HUGE]},
    ],
)
def test_an_error_of_a_registration_is_short(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError) as caught:
        Emulator().register_app(**{"name": "Orders", **options})
    assert len(str(caught.value)) <= LONGEST_ERROR


def test_a_shortened_error_keeps_the_value_and_the_remedy() -> None:
    with pytest.raises(
        RegistrationError, match=r"^App role 'xxx.*xxx' is not valid: use .* no leading dot\.$"
    ):
        Emulator().register_app("Orders", app_roles=[HUGE])


@pytest.mark.parametrize("path", ["/portal/apps/new", "/portal/users/new", "/portal/groups/new"])
def test_an_error_of_a_form_is_short(entra: Entra, path: str) -> None:
    names = ("name", "display_name", "upn", "accounts", "redirect_uri", "uri", "platform", "kind")
    page = send_form(entra, path, dict.fromkeys(names, HUGE))
    errors = re.findall("<li>(.*?)</li>", page.text, re.DOTALL)
    assert errors
    assert all(len(error) < LONGEST_ERROR for error in errors)


def test_the_error_of_a_field_is_short() -> None:
    assert len(FieldError("name", HUGE).text) < LONGEST_ERROR
