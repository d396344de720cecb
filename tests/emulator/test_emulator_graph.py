"""Graph answers who may ask, in Graph's words, and turns the directory over to those who may."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from entra_guard.emulator import FABRIKAM, GRAPH, Emulator

if TYPE_CHECKING:
    import httpx
    from emulator_office import Office

EVERYTHING = ["Directory.Read.All", "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"]
EVERYTHING += ["DelegatedPermissionGrant.ReadWrite.All"]
ALICE = "alice@contoso.onmicrosoft.com"


def call(
    office: Office, method: str, path: str, *, token: str | None = None, **options: Any
) -> httpx.Response:
    """A call with all application permissions, or with the given token."""
    bearer = token or office.entra.issue_token(office.daemon, audience=GRAPH, roles=EVERYTHING)
    return office.web.request(
        method, f"/v1.0{path}", headers={"authorization": f"Bearer {bearer}"}, **options
    )


def app_token(office: Office, *roles: str) -> str:
    return office.entra.issue_token(office.daemon, audience=GRAPH, roles=roles)


def user_token(office: Office, *scopes: str, user: str = "alice") -> str:
    return office.entra.issue_token(office.daemon, audience=GRAPH, scopes=scopes, user=user)


def test_users_have_graphs_default_properties(office: Office) -> None:
    body = call(office, "GET", "/users").json()
    assert list(body) == ["@odata.context", "value"]
    assert body["@odata.context"].endswith("/v1.0/$metadata#users")
    assert list(body["value"][0]) == [
        *("businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation"),
        *("preferredLanguage", "surname", "userPrincipalName", "id"),
    ]
    assert [user["displayName"] for user in body["value"]] == ["Alice Adams", "Bob Brown", "Carol Clark"]


def test_a_user_is_found_by_id_or_principal_name_and_shown_as_selected(office: Office) -> None:
    by_name = call(office, "GET", f"/users/{ALICE}", params={"$select": "id,userType,nothing"}).json()
    assert (list(by_name)[1:], by_name["userType"]) == (["id", "userType"], "Member")
    assert call(office, "GET", f"/users/{by_name['id']}").json()["displayName"] == "Alice Adams"


def test_users_come_in_pages_that_lead_to_the_next(office: Office) -> None:
    for number in range(5):
        office.entra.add_user(f"user{number}")
    names, path = [], "/users?$top=3&$count=true"
    while path:
        body = call(office, "GET", path).json()
        assert len(body["value"]) <= 3
        assert body["@odata.count"] == 8
        names += [user["displayName"] for user in body["value"]]
        assert body.get("@odata.nextLink", office.entra.url).startswith(office.entra.url)
        path = body.get("@odata.nextLink", "").partition("/v1.0")[2]
    assert names[2:5] == ["Carol Clark", "User0", "User1"]
    assert len(names) == len(set(names)) == 8


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("displayName eq 'Bob Brown'", ["Bob Brown"]),
        ("startswith(displayName,'a')", ["Alice Adams"]),
        ("startswith(mail, 'c') and userType eq 'Guest'", ["Carol Clark"]),
        ("accountEnabled eq false", []),
        ("mobilePhone eq null and surname eq 'Adams'", ["Alice Adams"]),
        ("displayName eq 'O''Hara'", ["O'Hara"]),
    ],
)
def test_users_can_be_filtered(office: Office, query: str, names: list[str]) -> None:
    office.entra.add_user("ohara", display_name="O'Hara")
    body = call(office, "GET", "/users", params={"$filter": query}).json()
    assert [user["displayName"] for user in body["value"]] == names


@pytest.mark.parametrize(
    "query",
    [
        {"$filter": "displayName ne 'x'"},
        {"$search": "x"},
        {"$top": "0"},
        {"$top": "1000"},
        {"$top": "x"},
        {"$skiptoken": "!"},
    ],
)
def test_a_query_graph_would_not_take_is_refused(office: Office, query: dict[str, str]) -> None:
    response = call(office, "GET", "/users", params=query)
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {"Request_BadRequest", "Request_UnsupportedQuery"}


@pytest.mark.parametrize(
    ("token", "status", "code", "words"),
    [
        (lambda _: "", 401, "InvalidAuthenticationToken", "Access token is empty."),
        (lambda _: "x", 401, "InvalidAuthenticationToken", "CompactToken parsing failed"),
        (lambda o: o.entra.issue_token(o.daemon), 401, "InvalidAuthenticationToken", "Invalid audience"),
        (
            lambda o: app_token(o, "User.Read.All")[:-6] + "AAAAAA",
            401,
            "InvalidAuthenticationToken",
            "Signature",
        ),
        (
            lambda o: o.entra.issue_token(o.daemon, audience=GRAPH, preset="expired"),
            401,
            "InvalidAuthenticationToken",
            "Lifetime validation failed, the token is expired.",
        ),
        (
            lambda o: o.entra.issue_token(o.daemon, audience=GRAPH, preset="unknown-kid"),
            401,
            "InvalidAuthenticationToken",
            "Signature validation failed",
        ),
        (app_token, 403, "Authorization_RequestDenied", "Insufficient privileges"),
        (
            lambda o: app_token(o, "Group.Read.All"),
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges",
        ),
        (lambda o: user_token(o, "User.Read"), 403, "Authorization_RequestDenied", "Insufficient privileges"),
    ],
)
def test_who_may_not_ask_is_told_so_in_graphs_words(
    office: Office, token: Any, status: int, code: str, words: str
) -> None:
    headers = {"authorization": f"Bearer {token(office)}", "client-request-id": "mine"}
    response = office.web.get("/v1.0/users", headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert words in error["message"]
    assert list(error["innerError"]) == ["date", "request-id", "client-request-id"]
    assert response.headers["client-request-id"] == error["innerError"]["client-request-id"] == "mine"
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_the_users_scopes_count_for_users_and_the_apps_roles_for_apps(office: Office) -> None:
    for token in (user_token(office, "User.ReadBasic.All"), app_token(office, "User.Read.All")):
        assert call(office, "GET", "/users", token=token).status_code == 200
    mixed = office.entra.issue_token(
        office.daemon, audience=GRAPH, scopes=["User.Read"], roles=["User.Read.All"]
    )
    assert call(office, "GET", "/users", token=mixed).status_code == 403


def test_only_users_have_a_me(office: Office) -> None:
    token = user_token(office, "User.Read", user="bob")
    assert call(office, "GET", "/me", token=token).json()["displayName"] == "Bob Brown"
    refused = call(office, "GET", "/me")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BadRequest")
    assert "delegated authentication flow" in refused.json()["error"]["message"]


def test_userinfo_tells_a_user_who_they_are(office: Office) -> None:
    token = user_token(office, "openid", "profile")
    info = office.web.get("/oidc/userinfo", headers={"authorization": f"Bearer {token}"}).json()
    assert (info["name"], info["email"], len(info["sub"])) == ("Alice Adams", ALICE, 43)


def test_groups_and_memberships(office: Office) -> None:
    alice = office.entra.find_user("alice")
    ids = [group.id for group in office.entra.directory.groups.values()]
    assert [group["displayName"] for group in call(office, "GET", "/groups").json()["value"]] == ["Engineers"]
    assert call(office, "GET", f"/groups/{ids[0]}").json()["securityEnabled"] is True
    members = call(office, "GET", f"/groups/{ids[0]}/members").json()["value"]
    assert (members[0]["@odata.type"], members[0]["id"]) == ("#microsoft.graph.user", alice.id)
    asked = call(office, "POST", f"/users/{alice.id}/getMemberObjects", json={"securityEnabledOnly": True})
    assert asked.json()["value"] == ids
    assert call(office, "GET", f"/users/{ALICE}/memberOf").json()["value"][0]["id"] == ids[0]
    mine = user_token(office, "User.Read")
    assert call(office, "GET", "/me/memberOf", token=mine).json()["value"][0]["id"] == ids[0]
    assert call(office, "POST", "/me/getMemberObjects", token=mine, json={}).json()["value"] == ids


def test_the_organisation_is_the_tokens_own(office: Office) -> None:
    (row,) = call(office, "GET", "/organization").json()["value"]
    assert (row["displayName"], row["verifiedDomains"][0]["name"]) == ("Contoso", "contoso.onmicrosoft.com")
    abroad = office.entra.issue_token(
        office.daemon, audience=GRAPH, roles=["Directory.Read.All"], tenant=FABRIKAM
    )
    (row,) = call(office, "GET", "/organization", token=abroad).json()["value"]
    assert row["displayName"] == "Fabrikam"
    names = [user["displayName"] for user in call(office, "GET", "/users", token=abroad).json()["value"]]
    assert names == ["Carol Clark"]


@pytest.mark.parametrize(
    "path", ["/users/nobody", "/groups/none", "/applications/none", "/servicePrincipals(appId='none')"]
)
def test_what_is_not_there_is_not_found(office: Office, path: str) -> None:
    response = call(office, "GET", path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "Request_ResourceNotFound")


def test_a_segment_graph_does_not_know_is_named(office: Office) -> None:
    response = call(office, "GET", "/me/whatever")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Resource not found for the segment 'whatever'."


def test_an_app_is_registered_consented_to_and_gets_its_token_all_by_graph(office: Office) -> None:
    role = {
        "id": "8f1c0f3e-0000-4000-8000-000000000001",
        "value": "Read",
        "allowedMemberTypes": ["Application"],
    }
    made = call(office, "POST", "/applications", json={"displayName": "Robot", "appRoles": [role]})
    app = made.json()
    assert made.status_code == 201
    assert (app["signInAudience"], app["api"]["requestedAccessTokenVersion"]) == ("AzureADMyOrg", None)

    password = {"passwordCredential": {"displayName": "first"}}
    secret = call(office, "POST", f"/applications/{app['id']}/addPassword", json=password).json()
    assert re.fullmatch(r".{16,64}", secret["secretText"])
    assert (secret["hint"], secret["displayName"]) == (secret["secretText"][:3], "first")
    shown = call(office, "GET", f"/applications(appId='{app['appId']}')").json()["passwordCredentials"]
    assert [(row["keyId"], row["secretText"]) for row in shown] == [(secret["keyId"], None)]

    credentials = {"client_id": app["appId"], "client_secret": secret["secretText"]}
    assert office.ask(**credentials).json()["error_codes"] == [7000229]
    principal = call(office, "POST", "/servicePrincipals", json={"appId": app["appId"]}).json()
    assert principal["servicePrincipalType"] == "Application"

    target = office.api.service_principal_id
    role_id = office.api.app_roles[1].id
    assignment = {"principalId": principal["id"], "resourceId": target, "appRoleId": role_id}
    assigned = call(office, "POST", f"/servicePrincipals/{target}/appRoleAssignedTo", json=assignment)
    assert assigned.status_code == 201
    assert (assigned.json()["principalDisplayName"], assigned.json()["resourceDisplayName"]) == (
        "Robot",
        "Orders",
    )
    assert len(assigned.json()["id"]) == 43
    token = office.ask(**credentials).json()["access_token"]
    assert office.verified(token)["roles"] == ["Orders.Write"]

    again = call(office, "POST", f"/servicePrincipals/{target}/appRoleAssignedTo", json=assignment)
    assert "already exists" in again.json()["error"]["message"]
    listed = call(office, "GET", f"/servicePrincipals/{principal['id']}/appRoleAssignments").json()["value"]
    assert [row["appRoleId"] for row in listed] == [role_id]
    gone = call(office, "DELETE", f"/servicePrincipals/{target}/appRoleAssignedTo/{listed[0]['id']}")
    assert gone.status_code == 204
    assert "roles" not in office.verified(office.ask(**credentials).json()["access_token"])

    removed = call(
        office, "POST", f"/applications/{app['id']}/removePassword", json={"keyId": secret["keyId"]}
    )
    assert removed.status_code == 204
    assert office.ask(**credentials).json()["error_codes"] == [7000215]
    assert call(office, "DELETE", f"/applications/{app['id']}").status_code == 204
    assert office.ask(**credentials).json()["error_codes"] == [700016]


def test_a_registration_has_graphs_properties_in_graphs_order(office: Office) -> None:
    listed = call(office, "GET", "/applications", params={"$filter": "displayName eq 'Orders'"}).json()[
        "value"
    ]
    assert list(listed[0]) == [
        *(
            "id",
            "deletedDateTime",
            "isFallbackPublicClient",
            "appId",
            "applicationTemplateId",
            "identifierUris",
        ),
        *("createdDateTime", "displayName", "isDeviceOnlyAuthSupported", "groupMembershipClaims"),
        *(
            "optionalClaims",
            "addIns",
            "publisherDomain",
            "signInAudience",
            "tags",
            "tokenEncryptionKeyId",
            "api",
        ),
        *("appRoles", "publicClient", "spa", "info", "keyCredentials", "passwordCredentials"),
        *("parentalControlSettings", "requiredResourceAccess", "web"),
    ]


def test_a_registration_is_changed_in_the_parts_that_are_sent(office: Office) -> None:
    path = f"/applications/{office.api.object_id}"
    change = {
        "displayName": "Orders 2",
        "api": {
            "requestedAccessTokenVersion": 1,
            "oauth2PermissionScopes": [{"id": "1", "value": "read", "type": "Admin"}],
        },
        "web": {"redirectUris": ["https://orders.example/cb"]},
        "optionalClaims": {"accessToken": [{"name": "idtyp"}]},
        "requiredResourceAccess": [{"resourceAppId": GRAPH, "resourceAccess": []}],
    }
    assert call(office, "PATCH", path, json=change).status_code == 204
    app = office.entra.find_app(office.api)
    assert (app.name, app.token_version, app.optional_claims) == ("Orders 2", 1, ("idtyp",))
    assert [role.value for role in app.app_roles] == ["Orders.Read", "Orders.Write"]
    assert app.scopes[0].type == "Admin"
    shown = call(office, "GET", path).json()
    assert shown["requiredResourceAccess"] == [{"resourceAppId": GRAPH, "resourceAccess": []}]
    assert shown["optionalClaims"]["accessToken"][0]["name"] == "idtyp"


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/applications", {}, "displayName"),
        ("POST", "/applications", [], "JSON request payload"),
        ("POST", "/applications", {"displayName": "x", "appRoles": [{}]}, "is malformed"),
        ("POST", "/applications", {"displayName": "x", "api": 7}, "'api' must be an object"),
        ("POST", "/applications", {"displayName": "x", "signInAudience": "Everyone"}, "use one of"),
        (
            "PATCH",
            "/applications/{app}",
            {"identifierUris": ["api://x"], "api": {"requestedAccessTokenVersion": 1}},
            "Verified",
        ),
        ("PATCH", "/applications/{app}", {"keyCredentials": ["x"]}, "list of objects"),
        ("PATCH", "/applications/{app}", {"keyCredentials": [{"key": "AAAA"}]}, "not a certificate"),
        ("POST", "/applications/{app}/addPassword", {"passwordCredential": 7}, "must be an object"),
        (
            "POST",
            "/applications/{app}/addPassword",
            {"passwordCredential": {"endDateTime": "soon"}},
            "not a date",
        ),
        ("POST", "/applications/{app}/removePassword", {"keyId": "x"}, "no secret"),
        ("POST", "/applications/{app}/federatedIdentityCredentials", {"name": "abc"}, "exactly one audience"),
        ("POST", "/applications/{app}/federatedIdentityCredentials", {"audiences": ["a"]}, "3 to 120"),
        ("POST", "/servicePrincipals", {"appId": "x"}, "valid application"),
        ("POST", "/servicePrincipals", {"appId": GRAPH}, "exists already"),
        (
            "POST",
            "/servicePrincipals/{sp}/appRoleAssignedTo",
            {"principalId": "x"},
            "principalId does not name",
        ),
        (
            "POST",
            "/servicePrincipals/{sp}/appRoleAssignedTo",
            {"principalId": "{sp}"},
            "resourceId does not name",
        ),
        (
            "POST",
            "/servicePrincipals/{sp}/appRoleAssignedTo",
            {"principalId": "{sp}", "resourceId": "{sp}", "appRoleId": "x"},
            "not found on application",
        ),
        ("POST", "/oauth2PermissionGrants", {"clientId": "x"}, "must name existing objects"),
        ("POST", "/$batch", {"requests": []}, "1 to 20"),
        ("POST", "/$batch", {"requests": ["x"]}, "id, method and url"),
        ("POST", "/$batch", {"requests": [{"id": 1, "method": "POST", "url": "/$batch"}]}, "within a batch"),
    ],
)
def test_a_bad_request_is_explained(office: Office, method: str, path: str, body: Any, words: str) -> None:
    names = {"app": office.api.object_id, "sp": office.api.service_principal_id}
    text = json.dumps(body)
    for name, value in names.items():
        path, text = path.replace(f"{{{name}}}", value), text.replace(f"{{{name}}}", value)
    response = call(office, method, path, content=text)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_certificates_are_set_by_patch_and_added_with_proof(office: Office) -> None:
    entra, api = office.entra, office.api
    spare = entra.register_app("Spare")
    first, second = entra.new_certificate(spare), entra.new_certificate(spare)
    der = [
        base64.b64encode(c.der).decode() for c in entra.directory.credentials_of(spare.client_id).certificates
    ]
    path = f"/applications/{api.object_id}"
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der[0]}
    assert call(office, "PATCH", path, json={"keyCredentials": [key]}).status_code == 204
    (row,) = call(office, "GET", path).json()["keyCredentials"]
    assert base64.b64decode(row["customKeyIdentifier"]).hex().upper() == first.thumbprint

    now = int(time.time())
    claims = {
        "aud": "00000002-0000-0000-c000-000000000000",
        "iss": api.object_id,
        "nbf": now,
        "exp": now + 600,
    }
    body = {"keyCredential": {**key, "key": der[1]}, "passwordCredential": None}
    for signer, status in ((second, 401), (first, 200)):
        proof = jwt.encode(claims, signer.key, "RS256")
        added = call(office, "POST", f"{path}/addKey", json={**body, "proof": proof})
        assert added.status_code == status
    proof = jwt.encode(claims, second.key, "RS256")
    gone = call(office, "POST", f"{path}/removeKey", json={"keyId": row["keyId"], "proof": proof})
    assert gone.status_code == 204
    assert len(call(office, "GET", path).json()["keyCredentials"]) == 1
    assert call(office, "POST", f"{path}/addKey", json={**body, "proof": "x"}).status_code == 401


def test_federated_credentials_come_and_go(office: Office) -> None:
    path = f"/applications/{office.api.object_id}/federatedIdentityCredentials"
    body = {
        "name": "deploy",
        "issuer": "https://i.example",
        "subject": "s",
        "audiences": ["api://AzureADTokenExchange"],
    }
    made = call(office, "POST", path, json=body)
    assert made.status_code == 201
    assert call(office, "GET", path).json()["value"][0]["audiences"] == body["audiences"]
    assert call(office, "DELETE", f"{path}/deploy").status_code == 204
    assert call(office, "DELETE", f"{path}/deploy").status_code == 404


def test_delegated_consent_is_granted_and_withdrawn(office: Office) -> None:
    client, resource = office.daemon.service_principal_id, office.api.service_principal_id
    grant = {
        "clientId": client,
        "consentType": "AllPrincipals",
        "resourceId": resource,
        "scope": "access_as_user",
    }
    made = call(office, "POST", "/oauth2PermissionGrants", json=grant).json()
    assert (made["consentType"], made["principalId"]) == ("AllPrincipals", None)
    for path in ("/oauth2PermissionGrants", f"/servicePrincipals/{client}/oauth2PermissionGrants"):
        assert [row["id"] for row in call(office, "GET", path).json()["value"]] == [made["id"]]
    assert call(office, "DELETE", f"/oauth2PermissionGrants/{made['id']}").status_code == 204
    assert call(office, "DELETE", f"/oauth2PermissionGrants/{made['id']}").status_code == 404


def test_a_service_principal_goes_with_all_that_was_assigned(office: Office) -> None:
    principal = office.daemon.service_principal_id
    assert call(office, "DELETE", f"/servicePrincipals/{principal}").status_code == 204
    assert not office.entra.directory.assignments
    assert call(office, "GET", f"/servicePrincipals/{principal}").status_code == 404


def test_twenty_requests_go_in_one_batch(office: Office) -> None:
    requests = [{"id": str(n), "method": "GET", "url": "/users?$top=1"} for n in range(18)]
    requests += [{"id": "18", "method": "GET", "url": "/users/nobody"}]
    requests += [{"id": "19", "method": "DELETE", "url": f"/applications/{office.api.object_id}"}]
    answers = call(office, "POST", "/$batch", json={"requests": requests}).json()["responses"]
    assert [answer["status"] for answer in answers] == [200] * 18 + [404, 204]
    assert answers[0]["body"]["value"][0]["displayName"] == "Alice Adams"
    assert answers[19]["body"] is None


def test_a_revoked_token_is_challenged_if_its_client_can_handle_that(office: Office) -> None:
    entra = office.entra
    capable = {"claims": '{"access_token":{"xms_cc":{"values":["cp1"]}}}'}
    entra.grant(office.daemon, GRAPH, "User.Read.All")
    ask = {"scope": f"{GRAPH}/.default"}
    token = office.ask(**ask, **capable).json()
    plain = office.ask(**ask).json()["access_token"]
    assert 20 * 3600 <= token["expires_in"] < 28 * 3600
    assert call(office, "GET", "/users", token=token["access_token"]).status_code == 200
    entra.revoke(office.daemon)
    refused = call(office, "GET", "/users", token=token["access_token"])
    assert refused.status_code == 401
    header = refused.headers["www-authenticate"]
    assert header.startswith('PoP realm=""')
    assert ', Bearer realm="", authorization_uri="' in header
    assert 'error="insufficient_claims"' in header
    claims = json.loads(base64.b64decode(re.findall(r'claims="([^"]+)"', header)[0]))
    assert claims["access_token"]["nbf"]["essential"] is True
    merged = {
        "claims": json.dumps({"access_token": {**claims["access_token"], "xms_cc": {"values": ["cp1"]}}})
    }
    fresh = office.ask(**ask, **merged).json()["access_token"]
    assert call(office, "GET", "/users", token=fresh).status_code == 200
    assert call(office, "GET", "/users", token=plain).status_code == 200


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("429", 429, "TooManyRequests"),
        ("503", 503, "ServiceUnavailable"),
        ("500", 500, "InternalServerError"),
        ("claims-challenge", 401, "InvalidAuthenticationToken"),
    ],
)
def test_graph_fails_in_its_own_words(office: Office, how: str, status: int, code: str) -> None:
    office.entra.fail_next("graph", how, retry_after=2)
    response = call(office, "GET", "/users")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers.get("retry-after", "2") == "2"
    assert call(office, "GET", "/users").status_code == 200


def test_an_overage_of_groups_resolves_to_all_of_them(entra: Emulator) -> None:
    api = entra.register_app("Orders", group_claims=True, scopes=["use"])
    for number in range(201):
        entra.add_group(f"Group {number}", "bob")
    token = entra.issue_token(api, user="bob")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert "groups" not in claims
    assert claims["_claim_sources"]["src1"]["endpoint"].endswith(f"/users/{claims['oid']}/getMemberObjects")
