"""Graph enforces permissions, uses its own errors, and reads and changes the directory."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from emulator_requests import request_token, verified_claims
from reused_keys import private_key

from entra_guard.emulator import FABRIKAM, GRAPH, Emulator

if TYPE_CHECKING:
    import httpx

    from entra_guard.testing import Entra

EVERYTHING = ["Directory.Read.All", "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"]
EVERYTHING += ["DelegatedPermissionGrant.ReadWrite.All"]
ALICE = "alice@contoso.onmicrosoft.com"


def call(entra: Entra, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
    """Call Graph with all application permissions, or with the given token."""
    bearer = token or entra.issue_token(entra.caller, audience=GRAPH, roles=EVERYTHING)
    return entra.http_client.request(
        method, f"/v1.0{path}", headers={"authorization": f"Bearer {bearer}"}, **options
    )


def app_token(entra: Entra, *roles: str) -> str:
    return entra.issue_token(entra.caller, audience=GRAPH, roles=roles)


def user_token(entra: Entra, *scopes: str, user: str = "alice") -> str:
    return entra.issue_token(entra.caller, audience=GRAPH, scopes=scopes, user=user)


def test_users_have_graphs_default_properties(entra: Entra) -> None:
    body = call(entra, "GET", "/users").json()
    assert list(body) == ["@odata.context", "value"]
    assert body["@odata.context"].endswith("/v1.0/$metadata#users")
    assert list(body["value"][0]) == [
        *("businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation"),
        *("preferredLanguage", "surname", "userPrincipalName", "id"),
    ]
    assert [user["displayName"] for user in body["value"]] == ["Alice Adams", "Bob Brown", "Carol Clark"]


def test_a_user_is_found_by_id_or_principal_name_with_selected_properties(entra: Entra) -> None:
    by_name = call(entra, "GET", f"/users/{ALICE}", params={"$select": "id,UserType"}).json()
    assert (list(by_name)[1:], by_name["userType"]) == (["id", "userType"], "Member")
    assert call(entra, "GET", f"/users/{by_name['id']}").json()["displayName"] == "Alice Adams"


def test_users_are_returned_in_pages_with_next_links(entra: Entra) -> None:
    for number in range(5):
        entra.add_user(f"user{number}")
    names, path = [], "/users?$top=3&$count=true"
    while path:
        body = call(entra, "GET", path).json()
        assert len(body["value"]) <= 3
        assert body["@odata.count"] == 8
        names += [user["displayName"] for user in body["value"]]
        assert body.get("@odata.nextLink", entra.url).startswith(entra.url)
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
def test_users_can_be_filtered(entra: Entra, query: str, names: list[str]) -> None:
    entra.add_user("ohara", display_name="O'Hara")
    body = call(entra, "GET", "/users", params={"$filter": query}).json()
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
def test_an_unsupported_query_is_refused(entra: Entra, query: dict[str, str]) -> None:
    response = call(entra, "GET", "/users", params=query)
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {"Request_BadRequest", "Request_UnsupportedQuery"}


@pytest.mark.parametrize(
    ("token", "status", "code", "words"),
    [
        (lambda _: "", 401, "InvalidAuthenticationToken", "Access token is empty."),
        (lambda _: "x", 401, "InvalidAuthenticationToken", "CompactToken parsing failed"),
        (
            lambda entra: entra.issue_token(entra.caller),
            401,
            "InvalidAuthenticationToken",
            "Invalid audience",
        ),
        (
            lambda o: app_token(o, "User.Read.All")[:-6] + "AAAAAA",
            401,
            "InvalidAuthenticationToken",
            "Signature",
        ),
        (
            lambda entra: entra.issue_token(entra.caller, audience=GRAPH, preset="expired"),
            401,
            "InvalidAuthenticationToken",
            "Lifetime validation failed, the token is expired.",
        ),
        (
            lambda entra: entra.issue_token(entra.caller, audience=GRAPH, preset="unknown-kid"),
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
def test_an_unauthorised_call_gets_graphs_error(
    entra: Entra, token: Any, status: int, code: str, words: str
) -> None:
    headers = {"authorization": f"Bearer {token(entra)}", "client-request-id": "mine"}
    response = entra.http_client.get("/v1.0/users", headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert words in error["message"]
    assert list(error["innerError"]) == ["date", "request-id", "client-request-id"]
    assert response.headers["client-request-id"] == error["innerError"]["client-request-id"] == "mine"
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_users_need_scopes_and_apps_need_roles(entra: Entra) -> None:
    for token in (user_token(entra, "User.ReadBasic.All"), app_token(entra, "User.Read.All")):
        assert call(entra, "GET", "/users", token=token).status_code == 200
    mixed = entra.issue_token(entra.caller, audience=GRAPH, scopes=["User.Read"], roles=["User.Read.All"])
    assert call(entra, "GET", "/users", token=mixed).status_code == 403


def test_only_users_have_a_me(entra: Entra) -> None:
    token = user_token(entra, "User.Read", user="bob")
    assert call(entra, "GET", "/me", token=token).json()["displayName"] == "Bob Brown"
    refused = call(entra, "GET", "/me")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BadRequest")
    assert "delegated authentication flow" in refused.json()["error"]["message"]


def test_userinfo_returns_the_signed_in_user(entra: Entra) -> None:
    token = user_token(entra, "openid", "profile")
    info = entra.http_client.get("/oidc/userinfo", headers={"authorization": f"Bearer {token}"}).json()
    assert (info["name"], info["email"], len(info["sub"])) == ("Alice Adams", ALICE, 43)


def test_groups_and_memberships(entra: Entra) -> None:
    alice = entra.find_user("alice")
    ids = [group.id for group in entra.directory.groups.values()]
    assert [group["displayName"] for group in call(entra, "GET", "/groups").json()["value"]] == ["Engineers"]
    assert call(entra, "GET", f"/groups/{ids[0]}").json()["securityEnabled"] is True
    members = call(entra, "GET", f"/groups/{ids[0]}/members").json()["value"]
    assert (members[0]["@odata.type"], members[0]["id"]) == ("#microsoft.graph.user", alice.id)
    asked = call(entra, "POST", f"/users/{alice.id}/getMemberObjects", json={"securityEnabledOnly": True})
    assert asked.json()["value"] == ids
    assert call(entra, "GET", f"/users/{ALICE}/memberOf").json()["value"][0]["id"] == ids[0]
    mine = user_token(entra, "User.Read")
    assert call(entra, "GET", "/me/memberOf", token=mine).json()["value"][0]["id"] == ids[0]
    assert call(entra, "POST", "/me/getMemberObjects", token=mine, json={}).json()["value"] == ids


def test_the_organisation_is_the_tokens_tenant(entra: Entra) -> None:
    (row,) = call(entra, "GET", "/organization").json()["value"]
    assert (row["displayName"], row["verifiedDomains"][0]["name"]) == ("Contoso", "contoso.onmicrosoft.com")
    abroad = entra.issue_token(entra.caller, audience=GRAPH, roles=["Directory.Read.All"], tenant=FABRIKAM)
    (row,) = call(entra, "GET", "/organization", token=abroad).json()["value"]
    assert row["displayName"] == "Fabrikam"
    names = [user["displayName"] for user in call(entra, "GET", "/users", token=abroad).json()["value"]]
    assert names == ["Carol Clark"]


@pytest.mark.parametrize(
    "path", ["/users/nobody", "/groups/none", "/applications/none", "/servicePrincipals(appId='none')"]
)
def test_a_missing_object_gets_404(entra: Entra, path: str) -> None:
    response = call(entra, "GET", path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "Request_ResourceNotFound")


def test_an_unknown_segment_is_named(entra: Entra) -> None:
    response = call(entra, "GET", "/me/whatever")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Resource not found for the segment 'whatever'."


def test_an_app_is_registered_and_granted_a_role_through_graph(entra: Entra) -> None:
    role = {
        "id": "8f1c0f3e-0000-4000-8000-000000000001",
        "value": "Read",
        "allowedMemberTypes": ["Application"],
    }
    made = call(entra, "POST", "/applications", json={"displayName": "Robot", "appRoles": [role]})
    app = made.json()
    assert made.status_code == 201
    assert (app["signInAudience"], app["api"]["requestedAccessTokenVersion"]) == ("AzureADMyOrg", None)

    password = {"passwordCredential": {"displayName": "first"}}
    secret = call(entra, "POST", f"/applications/{app['id']}/addPassword", json=password).json()
    assert re.fullmatch(r".{16,64}", secret["secretText"])
    assert (secret["hint"], secret["displayName"]) == (secret["secretText"][:3], "first")
    shown = call(entra, "GET", f"/applications(appId='{app['appId']}')").json()["passwordCredentials"]
    assert [(row["keyId"], row["secretText"]) for row in shown] == [(secret["keyId"], None)]

    credentials = {"client_id": app["appId"], "client_secret": secret["secretText"]}
    assert request_token(entra, **credentials).json()["error_codes"] == [7000229]
    principal = call(entra, "POST", "/servicePrincipals", json={"appId": app["appId"]}).json()
    assert principal["servicePrincipalType"] == "Application"

    target = entra.api.service_principal_id
    role_id = entra.api.app_roles[1].id
    assignment = {"principalId": principal["id"], "resourceId": target, "appRoleId": role_id}
    assigned = call(entra, "POST", f"/servicePrincipals/{target}/appRoleAssignedTo", json=assignment)
    assert assigned.status_code == 201
    assert (assigned.json()["principalDisplayName"], assigned.json()["resourceDisplayName"]) == (
        "Robot",
        entra.api.name,
    )
    assert len(assigned.json()["id"]) == 43
    token = request_token(entra, **credentials).json()["access_token"]
    assert verified_claims(entra, token)["roles"] == ["Orders.Write"]

    again = call(entra, "POST", f"/servicePrincipals/{target}/appRoleAssignedTo", json=assignment)
    assert "already exists" in again.json()["error"]["message"]
    listed = call(entra, "GET", f"/servicePrincipals/{principal['id']}/appRoleAssignments").json()["value"]
    assert [row["appRoleId"] for row in listed] == [role_id]
    gone = call(entra, "DELETE", f"/servicePrincipals/{target}/appRoleAssignedTo/{listed[0]['id']}")
    assert gone.status_code == 204
    assert "roles" not in verified_claims(entra, request_token(entra, **credentials).json()["access_token"])

    removed = call(
        entra, "POST", f"/applications/{app['id']}/removePassword", json={"keyId": secret["keyId"]}
    )
    assert removed.status_code == 204
    assert request_token(entra, **credentials).json()["error_codes"] == [7000215]
    assert call(entra, "DELETE", f"/applications/{app['id']}").status_code == 204
    assert request_token(entra, **credentials).json()["error_codes"] == [700016]


def test_a_registration_has_graphs_properties_in_graphs_order(entra: Entra) -> None:
    listed = call(
        entra, "GET", "/applications", params={"$filter": "displayName eq 'The API under test'"}
    ).json()["value"]
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
            "uniqueName",
            "api",
        ),
        *("appRoles", "publicClient", "spa", "info", "keyCredentials", "passwordCredentials"),
        *("parentalControlSettings", "requiredResourceAccess", "web"),
    ]


def test_a_patch_changes_only_the_members_that_are_sent(entra: Entra) -> None:
    path = f"/applications/{entra.api.object_id}"
    entra.update_app(entra.api, scopes=())
    change = {
        "displayName": "Orders 2",
        "api": {
            "requestedAccessTokenVersion": 1,
            "oauth2PermissionScopes": [{"id": str(uuid.uuid4()), "value": "read", "type": "Admin"}],
        },
        "web": {"redirectUris": ["https://orders.example/cb"]},
        "optionalClaims": {"accessToken": [{"name": "idtyp"}]},
        "requiredResourceAccess": [{"resourceAppId": GRAPH, "resourceAccess": []}],
    }
    assert call(entra, "PATCH", path, json=change).status_code == 204
    app = entra.find_app(entra.api)
    assert (app.name, app.token_version, app.optional_claims) == ("Orders 2", 1, ("idtyp",))
    assert [role.value for role in app.app_roles] == ["Orders.Read", "Orders.Write"]
    assert app.scopes[0].type == "Admin"
    shown = call(entra, "GET", path).json()
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
def test_a_bad_request_gets_an_explanation(
    entra: Entra, method: str, path: str, body: Any, words: str
) -> None:
    names = {"app": entra.api.object_id, "sp": entra.api.service_principal_id}
    text = json.dumps(body)
    for name, value in names.items():
        path, text = path.replace(f"{{{name}}}", value), text.replace(f"{{{name}}}", value)
    response = call(entra, method, path, content=text)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_certificates_are_set_by_patch_and_added_with_proof(entra: Entra) -> None:
    api = entra.api
    spare = entra.register_app("Spare")
    first, second = entra.new_certificate(spare), entra.new_certificate(spare)
    der = [
        base64.b64encode(c.der).decode() for c in entra.directory.credentials_of(spare.client_id).certificates
    ]
    path = f"/applications/{api.object_id}"
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der[0]}
    assert call(entra, "PATCH", path, json={"keyCredentials": [key]}).status_code == 204
    (row,) = call(entra, "GET", path).json()["keyCredentials"]
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
        proof = jwt.encode(claims, private_key(signer.key), "RS256")
        added = call(entra, "POST", f"{path}/addKey", json={**body, "proof": proof})
        assert added.status_code == status
    proof = jwt.encode(claims, private_key(second.key), "RS256")
    gone = call(entra, "POST", f"{path}/removeKey", json={"keyId": row["keyId"], "proof": proof})
    assert gone.status_code == 204
    assert len(call(entra, "GET", path).json()["keyCredentials"]) == 1
    assert call(entra, "POST", f"{path}/addKey", json={**body, "proof": "x"}).status_code == 401


def test_federated_credentials_are_added_and_removed(entra: Entra) -> None:
    path = f"/applications/{entra.api.object_id}/federatedIdentityCredentials"
    body = {
        "name": "deploy",
        "issuer": "https://i.example",
        "subject": "s",
        "audiences": ["api://AzureADTokenExchange"],
    }
    made = call(entra, "POST", path, json=body)
    assert made.status_code == 201
    assert call(entra, "GET", path).json()["value"][0]["audiences"] == body["audiences"]
    assert call(entra, "DELETE", f"{path}/deploy").status_code == 204
    assert call(entra, "DELETE", f"{path}/deploy").status_code == 404


def test_delegated_grants_are_created_and_deleted(entra: Entra) -> None:
    client, resource = entra.caller.service_principal_id, entra.api.service_principal_id
    grant = {
        "clientId": client,
        "consentType": "AllPrincipals",
        "resourceId": resource,
        "scope": "access_as_user",
    }
    made = call(entra, "POST", "/oauth2PermissionGrants", json=grant).json()
    assert (made["consentType"], made["principalId"]) == ("AllPrincipals", None)
    for path in ("/oauth2PermissionGrants", f"/servicePrincipals/{client}/oauth2PermissionGrants"):
        assert [row["id"] for row in call(entra, "GET", path).json()["value"]] == [made["id"]]
    assert call(entra, "DELETE", f"/oauth2PermissionGrants/{made['id']}").status_code == 204
    assert call(entra, "DELETE", f"/oauth2PermissionGrants/{made['id']}").status_code == 404


def test_deleting_a_service_principal_deletes_its_assignments(entra: Entra) -> None:
    principal = entra.caller.service_principal_id
    assert call(entra, "DELETE", f"/servicePrincipals/{principal}").status_code == 204
    assert not entra.directory.assignments
    assert call(entra, "GET", f"/servicePrincipals/{principal}").status_code == 404


def test_a_batch_has_up_to_twenty_requests(entra: Entra) -> None:
    requests = [{"id": str(n), "method": "GET", "url": "/users?$top=1"} for n in range(18)]
    requests += [{"id": "18", "method": "GET", "url": "/users/nobody"}]
    requests += [{"id": "19", "method": "DELETE", "url": f"/applications/{entra.api.object_id}"}]
    answers = call(entra, "POST", "/$batch", json={"requests": requests}).json()["responses"]
    assert [answer["status"] for answer in answers] == [200] * 18 + [404, 204]
    assert answers[0]["body"]["value"][0]["displayName"] == "Alice Adams"
    assert answers[19]["body"] is None


def test_a_revoked_token_is_challenged_if_its_client_supports_it(entra: Entra) -> None:
    capable = {"claims": '{"access_token":{"xms_cc":{"values":["cp1"]}}}'}
    entra.grant(entra.caller, GRAPH, "User.Read.All")
    ask = {"scope": f"{GRAPH}/.default"}
    token = request_token(entra, **ask, **capable).json()
    plain = request_token(entra, **ask).json()["access_token"]
    assert 20 * 3600 <= token["expires_in"] < 28 * 3600
    assert call(entra, "GET", "/users", token=token["access_token"]).status_code == 200
    entra.revoke(entra.caller)
    refused = call(entra, "GET", "/users", token=token["access_token"])
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
    fresh = request_token(entra, **ask, **merged).json()["access_token"]
    assert call(entra, "GET", "/users", token=fresh).status_code == 200
    assert call(entra, "GET", "/users", token=plain).status_code == 200


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("429", 429, "TooManyRequests"),
        ("503", 503, "ServiceUnavailable"),
        ("500", 500, "InternalServerError"),
        ("claims-challenge", 401, "InvalidAuthenticationToken"),
    ],
)
def test_graph_fails_with_its_own_errors(entra: Entra, how: str, status: int, code: str) -> None:
    entra.fail_next("graph", how, retry_after=2)
    response = call(entra, "GET", "/users")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers.get("retry-after", "2") == "2"
    assert call(entra, "GET", "/users").status_code == 200


def test_a_group_overage_is_resolved_through_graph(entra: Emulator) -> None:
    api = entra.register_app("Orders", group_claims=True, scopes=["use"])
    for number in range(201):
        entra.add_group(f"Group {number}", "bob")
    token = entra.issue_token(api, user="bob")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert "groups" not in claims
    assert claims["_claim_sources"]["src1"]["endpoint"].endswith(f"/users/{claims['oid']}/getMemberObjects")


def test_responses_have_the_odata_version(entra: Entra) -> None:
    assert call(entra, "GET", "/users").headers["odata-version"] == "4.0"
    assert entra.http_client.get("/v1.0/users").headers["odata-version"] == "4.0"


def test_permissions_of_graph_have_microsofts_ids(entra: Entra) -> None:
    shown = call(entra, "GET", f"/servicePrincipals(appId='{GRAPH}')").json()
    roles = {role["value"]: role["id"] for role in shown["appRoles"]}
    scopes = {scope["value"]: scope["id"] for scope in shown["oauth2PermissionScopes"]}
    assert roles["User.Read.All"] == "df021288-bdef-4463-88db-98f22de89214"
    assert scopes["User.Read"] == "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
    assert len({*roles.values(), *scopes.values()}) == len(roles) + len(scopes)


@pytest.mark.parametrize(
    ("api", "permission", "words"),
    [
        (GRAPH, "465a38f9-76ea-45b9-9f34-9e8b0d4b0b42", "Microsoft Graph has no permission '465a38f9-"),
        ("11111111-2222-4333-8444-555555555555", "x", "there is no API '11111111-"),
    ],
)
def test_an_unknown_permission_is_refused_and_not_dropped(
    entra: Entra, api: str, permission: str, words: str
) -> None:
    access = [{"resourceAppId": api, "resourceAccess": [{"id": permission, "type": "Scope"}]}]
    body = {"displayName": "Robot", "requiredResourceAccess": access}
    response = call(entra, "POST", "/applications", json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [
        lambda value: {"appRoles": [{"id": value, "value": "Read", "allowedMemberTypes": ["User"]}]},
        lambda value: {"api": {"oauth2PermissionScopes": [{"id": value, "value": "read", "type": "User"}]}},
        lambda value: {
            "requiredResourceAccess": [
                {"resourceAppId": GRAPH, "resourceAccess": [{"id": value, "type": "Scope"}]}
            ]
        },
    ],
)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("read", "the literal 'read'"),
        ("", "the literal ''"),
        ("e1fe6dd8-ba31-4d61-89e7-88639da4683d\n", "the literal 'e1fe6dd8-"),
        ("{e1fe6dd8-ba31-4d61-89e7-88639da4683d}", "the literal '{e1fe6dd8-"),
        (7, "a primitive value"),
        (None, "a primitive value"),
    ],
)
def test_the_id_of_a_permission_is_a_guid(entra: Entra, change: Any, value: Any, words: str) -> None:
    response = call(entra, "POST", "/applications", json={"displayName": "Robot", **change(value)})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "Request_BadRequest")
    assert error["message"].startswith(f"Cannot convert {words}")
    assert error["message"].endswith("to the expected type 'Edm.Guid'.")


def test_the_ids_of_permissions_are_returned_in_lower_case(entra: Entra) -> None:
    identifier = "E1FE6DD8-BA31-4D61-89E7-88639DA4683D"
    access = {"resourceAppId": GRAPH, "resourceAccess": [{"id": identifier, "type": "Scope"}]}
    role = {"id": identifier, "value": "Read", "allowedMemberTypes": ["User"]}
    body = {"displayName": "Robot", "appRoles": [role], "requiredResourceAccess": [access]}
    made = call(entra, "POST", "/applications", json=body).json()
    assert made["appRoles"][0]["id"] == identifier.lower()
    assert made["requiredResourceAccess"][0]["resourceAccess"][0]["id"] == identifier.lower()


def test_required_permissions_are_returned_with_their_ids(entra: Entra) -> None:
    read = "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
    access = [{"resourceAppId": GRAPH, "resourceAccess": [{"id": read, "type": "Scope"}]}]
    body = {"displayName": "Robot", "requiredResourceAccess": access}
    assert call(entra, "POST", "/applications", json=body).json()["requiredResourceAccess"] == access


def test_registration_errors_use_graphs_names(entra: Entra) -> None:
    body = {"displayName": "Robot", "signInAudience": "PersonalMicrosoftAccount"}
    message = call(entra, "POST", "/applications", json=body).json()["error"]["message"]
    assert "use api.requestedAccessTokenVersion=2" in message
    assert "token_version" not in message
    body = {"displayName": "Robot", "signInAudience": "Everyone"}
    message = call(entra, "POST", "/applications", json=body).json()["error"]["message"]
    assert message.startswith("signInAudience='Everyone' is not valid")


def test_tokens_for_graph_have_graphs_own_claims(entra: Entra) -> None:
    claims = jwt.decode(app_token(entra), options={"verify_signature": False})
    assert claims["app_displayname"] == entra.caller.name
    assert (claims["idtyp"], claims["tenant_region_scope"]) == ("app", "EU")
    assert {"wids", "xms_tcdt"} <= claims.keys()
    assert jwt.decode(user_token(entra, "User.Read"), options={"verify_signature": False})["idtyp"] == "user"
    other = jwt.decode(entra.token(), options={"verify_signature": False})
    assert not {"app_displayname", "wids", "idtyp"} & other.keys()


def test_a_permission_keeps_its_kind_and_stays_when_its_api_removes_it(entra: Entra) -> None:
    both = "User.Read.All"  # an app role and a scope of Graph
    with pytest.raises(ValueError, match="both an app role and a scope"):
        entra.register_app("Robot", permissions={GRAPH: [both]})
    app = entra.register_app("Robot", permissions={GRAPH: [f"role:{both}"], entra.api: ["Orders.Read"]})
    entra.update_app(entra.api, app_roles=())
    path = f"/applications/{app.object_id}"
    access = call(entra, "GET", path).json()["requiredResourceAccess"]
    assert [(a["resourceAppId"], [p["type"] for p in a["resourceAccess"]]) for a in access] == [
        (GRAPH, ["Role"]),
        (entra.api.client_id, ["Role"]),
    ]
    assert call(entra, "PATCH", path, json={"requiredResourceAccess": access}).status_code == 204
    assert call(entra, "GET", path).json()["requiredResourceAccess"] == access
    access[0]["resourceAccess"][0]["type"] = "Scope"
    assert call(entra, "PATCH", path, json={"requiredResourceAccess": access}).status_code == 400


@pytest.mark.parametrize("kind", ["applications", "servicePrincipals"])
def test_a_deleted_blueprint_takes_its_agents_and_their_accounts_with_it(entra: Entra, kind: str) -> None:
    blueprint = entra.register_app("Assistants", is_blueprint=True)
    agent = entra.add_agent("North", blueprint)
    account = entra.add_user("north", agent=agent)
    group = entra.add_group("Everyone", "alice", account)
    other = entra.add_agent("South", entra.register_app("Others", is_blueprint=True))
    other_account = entra.add_user("south", agent=other)
    deleted = call(entra, "DELETE", f"/{kind}(appId='{blueprint.client_id}')")
    assert deleted.status_code == 204
    assert not {agent.id} & {*entra.directory.agents, *entra.directory.principals}
    assert account.id not in entra.directory.users
    assert entra.directory.groups[group.id].members == (entra.find_user("alice").id,)
    assert other.id in entra.directory.agents
    assert other_account.id in entra.directory.users
    assert (blueprint.client_id in entra.directory.apps) == (kind == "servicePrincipals")


def test_the_account_of_an_agent_that_is_deleted_alone_stays(entra: Entra) -> None:
    agent = entra.add_agent("North", entra.register_app("Assistants", is_blueprint=True))
    account = entra.add_user("north", agent=agent)
    assert call(entra, "DELETE", f"/servicePrincipals/{agent.id}").status_code == 204
    assert account.id in entra.directory.users
