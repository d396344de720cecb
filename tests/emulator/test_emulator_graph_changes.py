"""Graph changes users, groups, service principals, grants, and applications by their unique name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.emulator import FABRIKAM, GRAPH

if TYPE_CHECKING:
    import httpx

    from entra_guard.testing import Entra

ROLES = (
    *("User.ReadWrite.All", "Group.ReadWrite.All", "Application.ReadWrite.All", "Directory.Read.All"),
    *("AppRoleAssignment.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All"),
)
DAN = {
    "accountEnabled": True,
    "displayName": "Dan Dunn",
    "mailNickname": "dan",
    "userPrincipalName": "dan@contoso.onmicrosoft.com",
    "passwordProfile": {"password": "not kept"},
}
GROUP = {"displayName": "Team", "mailEnabled": False, "mailNickname": "team", "securityEnabled": True}


def call(
    entra: Entra, method: str, path: str, json: Any = None, *, roles: tuple[str, ...] = ROLES, **headers: str
) -> httpx.Response:
    token = entra.issue_token(entra.caller, audience=GRAPH, roles=roles)
    usual = {"authorization": f"Bearer {token}", **headers}
    return entra.http_client.request(method, f"/v1.0{path}", json=json, headers=usual)


def message(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


def test_a_user_is_created_changed_and_deleted_with_everything_it_had(entra: Entra) -> None:
    made = call(entra, "POST", "/users", DAN)
    assert (made.status_code, made.json()["displayName"]) == (201, "Dan Dunn")
    path = f"/users/{made.json()['id']}"
    entra.assign("dan", entra.api, "Orders.Read")
    assert len(call(entra, "GET", f"{path}/appRoleAssignments").json()["value"]) == 1
    group = call(
        entra, "POST", "/groups", {**GROUP, "members@odata.bind": [f"{entra.url}/v1.0{path}"]}
    ).json()
    change = {"jobTitle": "Cook", "accountEnabled": False}
    assert call(entra, "PATCH", "/users/DAN@contoso.onmicrosoft.com", change).status_code == 204
    shown = call(entra, "GET", f"{path}?$select=jobTitle,accountEnabled").json()
    assert (shown["jobTitle"], shown["accountEnabled"]) == ("Cook", False)
    assert call(entra, "DELETE", path).status_code == 204
    assert call(entra, "GET", path).status_code == 404
    assert call(entra, "GET", f"/groups/{group['id']}/members").json()["value"] == []
    assert made.json()["id"] not in {a.principal_id for a in entra.directory.assignments.values()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"passwordProfile": None}, "A value is required for property 'passwordProfile'"),
        ({"userPrincipalName": "dan@fabrikam.onmicrosoft.com"}, "domain portion"),
        ({"userPrincipalName": "ALICE@contoso.onmicrosoft.com"}, "Another object with the same value"),
        ({"userPrincipalName": "d\x1b[31m n@contoso.onmicrosoft.com"}, "property 'userPrincipalName'"),
        ({"userPrincipalName": "m\u00fcller@contoso.onmicrosoft.com"}, "property 'userPrincipalName'"),
        ({"mailNickname": "a b"}, "property 'mailNickname'"),
        ({"displayName": 7}, "Invalid value specified for property 'displayName'"),
        ({"accountEnabled": "yes"}, "Invalid value specified for property 'accountEnabled'"),
        ({"hobby": "chess"}, "cannot set the property 'hobby'"),
    ],
)
def test_a_user_that_graph_would_refuse_is_refused(entra: Entra, change: dict[str, Any], words: str) -> None:
    refused = call(entra, "POST", "/users", {**DAN, **change})
    assert (refused.status_code, words in message(refused)) == (400, True)


def test_a_group_is_created_filled_renamed_and_deleted(entra: Entra) -> None:
    group = call(entra, "POST", "/groups", GROUP).json()
    path, bob = f"/groups/{group['id']}", entra.find_user("bob").id
    reference = {"@odata.id": f"{entra.url}/v1.0/directoryObjects/{bob}"}
    assert call(entra, "POST", f"{path}/members/$ref", reference).status_code == 204
    assert "already exist" in message(call(entra, "POST", f"{path}/members/$ref", reference))
    assert [m["displayName"] for m in call(entra, "GET", f"{path}/members").json()["value"]] == ["Bob Brown"]
    assert call(entra, "PATCH", path, {"displayName": "Team 2"}).status_code == 204
    assert call(entra, "GET", path).json()["displayName"] == "Team 2"
    assert call(entra, "DELETE", f"{path}/members/{bob}/$ref").status_code == 204
    assert call(entra, "DELETE", f"{path}/members/{bob}/$ref").status_code == 404
    assert call(entra, "DELETE", path).status_code == 204
    assert call(entra, "GET", path).status_code == 404
    mail = call(entra, "POST", "/groups", {**GROUP, "mailEnabled": True})
    assert "security groups only" in message(mail)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", DAN),
        ("DELETE", "/users/alice@contoso.onmicrosoft.com", None),
        ("POST", "/groups", GROUP),
        ("PATCH", "/oauth2PermissionGrants/x", {"scope": "x"}),
    ],
)
def test_a_change_needs_its_own_permission(entra: Entra, method: str, path: str, body: Any) -> None:
    assert call(entra, method, path, body, roles=("Directory.Read.All",)).status_code == 403


def test_people_of_another_tenant_cannot_be_changed(entra: Entra) -> None:
    other = entra.find_user("carol", FABRIKAM)
    assert call(entra, "DELETE", f"/users/{other.id}").status_code == 404
    group = call(entra, "POST", "/groups", GROUP).json()
    reference = {"@odata.id": f"{entra.url}/v1.0/directoryObjects/{other.id}"}
    assert call(entra, "POST", f"/groups/{group['id']}/members/$ref", reference).status_code == 404


def test_counts_are_plain_text_and_need_the_header(entra: Entra) -> None:
    assert "ConsistencyLevel" in message(call(entra, "GET", "/users/$count"))
    for collection in ("users", "groups", "applications", "servicePrincipals"):
        counted = call(entra, "GET", f"/{collection}/$count", ConsistencyLevel="eventual")
        assert counted.headers["content-type"] == "text/plain"
        assert int(counted.text) == len(call(entra, "GET", f"/{collection}").json()["value"])
    filtered = call(entra, "GET", "/users/$count?$filter=userType eq 'Guest'", ConsistencyLevel="eventual")
    assert filtered.text == "1"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/me/messages", 501, "no mail"),
        ("GET", "/users/alice@contoso.onmicrosoft.com/drive/root", 501, "no mail, calendars, files"),
        ("PUT", "/users", 405, "method is not allowed"),
        ("GET", "/nonsense", 400, "segment 'nonsense'"),
    ],
)
def test_what_is_not_there_is_named(entra: Entra, method: str, path: str, status: int, words: str) -> None:
    refused = call(entra, method, path)
    assert (refused.status_code, words in message(refused)) == (status, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("displayName", 5),
        ("displayName", ["x"]),
        ("signInAudience", None),
        ("identifierUris", "api://x"),
        ("appRoles", {}),
        ("isFallbackPublicClient", "no"),
        ("groupMembershipClaims", 1),
    ],
)
def test_a_property_of_another_type_is_refused_by_its_name(entra: Entra, name: str, value: Any) -> None:
    before = entra.directory
    response = call(entra, "POST", "/applications", {"displayName": "Q", name: value})
    assert response.status_code == 400
    assert message(response) == f"Invalid value specified for property '{name}' of resource 'Application'."
    assert entra.directory is before


def test_an_application_is_created_once_by_its_unique_name(entra: Entra) -> None:
    path, body = "/applications(uniqueName='orders-api')", {"displayName": "Orders"}
    assert call(entra, "PATCH", path, body).status_code == 404
    made = call(entra, "PATCH", path, body, Prefer="create-if-missing")
    assert (made.status_code, made.json()["uniqueName"]) == (201, "orders-api")
    again = call(entra, "PATCH", path, {"displayName": "Orders 2"}, Prefer="create-if-missing")
    assert again.status_code == 204
    shown = call(entra, "GET", path).json()
    assert (shown["id"], shown["displayName"]) == (made.json()["id"], "Orders 2")
    refused = call(entra, "POST", "/applications", {"displayName": "x", "uniqueName": "orders-api"})
    assert "read-only" in message(refused)


def test_applications_are_found_by_app_id_uri(entra: Entra) -> None:
    found = call(entra, "GET", f"/applications?$filter=identifierUris/any(x:x eq '{entra.api.app_id_uri}')")
    assert [row["appId"] for row in found.json()["value"]] == [entra.api.client_id]
    nothing = call(entra, "GET", "/applications?$filter=identifierUris/any(x:x eq 'api://other')")
    assert nothing.json()["value"] == []


def test_a_service_principal_can_be_disabled_and_require_assignment(entra: Entra) -> None:
    path = f"/servicePrincipals(appId='{entra.caller.client_id}')"
    change = {"accountEnabled": False, "appRoleAssignmentRequired": True}
    assert call(entra, "PATCH", path, change).status_code == 204
    shown = call(entra, "GET", path).json()
    assert {name: shown[name] for name in change} == change
    assert "cannot set" in message(call(entra, "PATCH", path, {"displayName": "x"}))
    assert "Invalid value" in message(call(entra, "PATCH", path, {"accountEnabled": "no"}))


def test_a_client_has_one_grant_for_each_api_and_principal(entra: Entra) -> None:
    principals = entra.directory.principal_of
    client = principals(entra.caller.client_id, entra.tenant_id)
    graph = principals(GRAPH, entra.tenant_id)
    assert client
    assert graph
    body = {
        "clientId": client.id,
        "consentType": "AllPrincipals",
        "resourceId": graph.id,
        "scope": "User.Read",
    }
    grant = call(entra, "POST", "/oauth2PermissionGrants", body).json()
    again = call(entra, "POST", "/oauth2PermissionGrants", body)
    assert (again.status_code, message(again)) == (409, "Permission entry already exists.")
    path = f"/oauth2PermissionGrants/{grant['id']}"
    assert call(entra, "PATCH", path, {"scope": "User.Read openid"}).status_code == 204
    assert entra.directory.grants[grant["id"]].scopes == ("User.Read", "openid")
    entra.grant_delegated(entra.caller, GRAPH, "profile")
    assert entra.directory.grants[grant["id"]].scopes == ("User.Read", "openid", "profile")


@pytest.mark.parametrize("kind", ["appRoles", "oauth2PermissionScopes"])
def test_an_enabled_role_or_scope_is_changed_but_not_removed(entra: Entra, kind: str) -> None:
    path = f"/applications/{entra.api.object_id}"

    def send(rows: Any) -> httpx.Response:
        return call(entra, "PATCH", path, {kind: rows} if kind == "appRoles" else {"api": {kind: rows}})

    def present() -> Any:
        shown = call(entra, "GET", path).json()
        return shown[kind] if kind == "appRoles" else shown["api"][kind]

    first, *rest = present()
    for attempt in (rest, [{**first, "id": "11111111-2222-3333-4444-555555555555"}, *rest]):
        refused = send(attempt)
        code = refused.json()["error"]["code"]
        assert (refused.status_code, code) == (400, "CannotDeleteOrUpdateEnabledEntitlement")
        assert "unless disabled first" in message(refused)
    assert present() == [first, *rest]
    assert send([{**first, "value": "Other"}, *rest]).status_code == 204
    assert send([{**first, "isEnabled": False}, *rest]).status_code == 204
    assert send(rest).status_code == 204
    assert present() == rest
