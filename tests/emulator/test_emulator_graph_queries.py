"""Queries of Graph: what `$select`, `$filter`, `$orderby` and `$expand` may name, and Graph's errors for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.emulator import GRAPH
from entra_guard.emulator._graph import objects
from entra_guard.emulator._graph.resource_types import resource_type

if TYPE_CHECKING:
    import httpx

    from entra_guard.testing import Entra

EVERYTHING = [
    *("Directory.Read.All", "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"),
    "DelegatedPermissionGrant.ReadWrite.All",
]
ADVANCED = {"ConsistencyLevel": "eventual"}
NOT_PARSED = "Parsing OData Select and Expand failed:"
COLLECTIONS = {
    "users": ("user", "User"),
    "groups": ("group", "Group"),
    "applications": ("application", "Application"),
    "servicePrincipals": ("servicePrincipal", "ServicePrincipal"),
    "organization": ("organization", "Organization"),
}


def get(entra: Entra, path: str, query: dict[str, str], **headers: str) -> httpx.Response:
    bearer = entra.issue_token(entra.caller, audience=GRAPH, roles=EVERYTHING)
    headers = {"authorization": f"Bearer {bearer}", **headers}
    return entra.http_client.get(f"/v1.0{path}", params=query, headers=headers)


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


def names_of(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [row["displayName"] for row in response.json()["value"]]


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_unknown_property_is_refused_in_every_option(entra: Entra, collection: str) -> None:
    kind, directory_name = COLLECTIONS[collection]
    missing = f"{NOT_PARSED} Could not find a property named 'dispalyName' on type 'microsoft.graph.{kind}'."
    for option in ("$select", "$expand"):
        response = get(entra, f"/{collection}", {option: "dispalyName"})
        assert refusal(response) == (400, "BadRequest", missing)
    unfiltered = (
        "Unsupported or invalid query filter clause specified for property 'dispalyName' of resource "
        f"'{directory_name}'."
    )
    for condition in ("dispalyName eq 'x'", "startswith(dispalyName,'x')", "dispalyName/any(x:x eq 'x')"):
        response = get(entra, f"/{collection}", {"$filter": condition})
        assert refusal(response) == (400, "Request_UnsupportedQuery", unfiltered)
    response = get(entra, f"/{collection}", {"$orderby": "dispalyName desc"})
    unsorted = f"Unsupported sort property 'dispalyName' for '{directory_name}'."
    assert refusal(response) == (400, "Request_UnsupportedQuery", unsorted)


def test_an_unknown_property_of_one_object_or_a_count_is_refused(entra: Entra) -> None:
    user = entra.find_user("alice")
    for path in (
        f"/users/{user.id}",
        f"/users/{user.id}/memberOf",
        f"/applications(appId='{entra.api.client_id}')",
    ):
        for option in ("$select", "$expand"):
            assert refusal(get(entra, path, {option: "dispalyName"}))[:2] == (400, "BadRequest"), path
    counted = get(entra, "/users/$count", {"$filter": "dispalyName eq 'x'"}, **ADVANCED)
    assert refusal(counted)[:2] == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize("path", ["appRoleAssignedTo", "appRoleAssignments"])
def test_a_type_that_is_not_open_names_itself_in_filters(entra: Entra, path: str) -> None:
    principal = entra.directory.principal_of(entra.api.client_id, entra.api.tenant_id)
    assert principal is not None
    address = f"/servicePrincipals/{principal.id}/{path}"
    words = "Could not find a property named 'nothing' on type 'microsoft.graph.appRoleAssignment'."
    response = get(entra, address, {"$filter": "nothing eq 'x'"})
    assert refusal(response) == (400, "BadRequest", f"Invalid filter clause: {words}")
    assert refusal(get(entra, address, {"$orderby": "nothing"})) == (400, "BadRequest", words)
    extension = get(entra, address, {"$select": "extension_0"})
    assert refusal(extension)[:2] == (400, "BadRequest")


def test_a_guid_has_no_quotes_in_a_filter(entra: Entra) -> None:
    principal = entra.directory.principal_of(entra.api.client_id, entra.api.tenant_id)
    assert principal is not None
    address = f"/servicePrincipals/{principal.id}/appRoleAssignedTo"
    rows = get(entra, address, {}).json()["value"]
    assert rows
    found = get(entra, address, {"$filter": f"principalId eq {rows[0]['principalId']}"}).json()["value"]
    assert rows[0] in found
    other = get(
        entra, address, {"$filter": f"principalId eq {'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}"}
    )
    assert other.json()["value"] == []
    quoted = refusal(get(entra, address, {"$filter": f"principalId eq '{rows[0]['principalId']}'"}))
    assert quoted[:2] == (400, "BadRequest")
    assert "Found operand types 'Edm.Guid' and 'Edm.String' for operator kind 'Equal'." in quoted[2]


def test_a_property_that_is_not_stored_is_null_or_an_empty_list(entra: Entra) -> None:
    row = get(
        entra, "/users/alice@contoso.onmicrosoft.com", {"$select": "department,otherMails,manager"}
    ).json()
    assert row == {
        "@odata.context": f"{entra.url}/v1.0/$metadata#users(department,otherMails,manager)/$entity",
        "department": None,
        "otherMails": [],
    }


def test_every_declared_property_can_be_selected(entra: Entra) -> None:
    for collection in COLLECTIONS:
        kind = resource_type(collection)
        names = sorted(kind.values | kind.lists)
        (row, *_) = get(entra, f"/{collection}", {"$select": ",".join(names)}).json()["value"]
        assert sorted(row.keys() - {"@odata.type"}) == names
        assert all(row[name] is not None for name in kind.lists), collection


def test_every_property_of_a_row_is_declared(entra: Entra) -> None:
    for collection in COLLECTIONS:
        kind = resource_type(collection)
        for row in get(entra, f"/{collection}", {}).json()["value"]:
            assert {n for n in row if not n.startswith("@")} <= kind.values | kind.lists, collection
    assert set(objects.USER_DEFAULT) <= resource_type("users").values | resource_type("users").lists


@pytest.mark.parametrize("name", ["extension_b7d8e648520f41d3b9c0fdeb91768a0a_jobGroup", "extkvbmkofy_color"])
def test_an_extension_can_be_selected_and_has_no_value(entra: Entra, name: str) -> None:
    (row, *_) = get(entra, "/users", {"$select": f"id,{name}"}).json()["value"]
    assert list(row) == ["id"]


@pytest.mark.parametrize("term", ["@odata.type", "a b", "display-name", "'id'"])
def test_a_malformed_name_is_refused(entra: Entra, term: str) -> None:
    words = f"{NOT_PARSED} Term '{term}' is not valid in a $select or $expand expression."
    assert refusal(get(entra, "/users", {"$select": f"id,{term}"})) == (400, "BadRequest", words)


def test_all_properties_are_selected_by_a_star(entra: Entra) -> None:
    (row, *_) = get(entra, "/applications", {"$select": "*"}).json()["value"]
    assert {"appId", "displayName", "api"} <= row.keys()


def test_members_keep_their_type_and_have_their_own_properties(entra: Entra) -> None:
    (group, *_) = entra.directory.groups.values()
    query = {"$select": "displayName,department,securityEnabled"}
    (member, *_) = get(entra, f"/groups/{group.id}/members", query).json()["value"]
    assert member == {
        "@odata.type": "#microsoft.graph.user",
        "displayName": "Alice Adams",
        "department": None,
    }


def test_what_can_be_expanded_but_is_not_emulated_is_named(entra: Entra) -> None:
    expanded = refusal(get(entra, "/groups", {"$expand": "members($select=id)"}))
    assert expanded[1] == "Request_UnsupportedQuery"
    assert "does not support $expand" in expanded[2]
    words = (
        f"{NOT_PARSED} Property 'displayName' on type 'microsoft.graph.group' is not a navigation property or "
        "complex property. Only navigation properties can be expanded."
    )
    assert refusal(get(entra, "/groups", {"$expand": "displayName"})) == (400, "BadRequest", words)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("displayName", ["Alice Adams", "Bob Brown", "Carol Clark"]),
        ("displayName desc", ["Carol Clark", "Bob Brown", "Alice Adams"]),
        ("userPrincipalName desc, displayName asc", ["Carol Clark", "Bob Brown", "Alice Adams"]),
    ],
)
def test_users_are_sorted(entra: Entra, order: str, names: list[str]) -> None:
    assert names_of(get(entra, "/users", {"$orderby": order})) == names


def test_a_filter_and_an_order_need_an_advanced_query(entra: Entra) -> None:
    query = {
        "$filter": "startswith(userPrincipalName,'a') or userType eq 'Guest'",
        "$orderby": "displayName desc",
    }
    response = refusal(get(entra, "/users", query))
    assert response == (400, "Request_UnsupportedQuery", "Sorting not supported for current query.")
    assert names_of(get(entra, "/users", {**query, "$count": "true"}, **ADVANCED)) == [
        "Carol Clark",
        "Alice Adams",
    ]


@pytest.mark.parametrize("order", ["createdDateTime", "displayName up", "displayName asc desc", ","])
def test_an_order_that_graph_does_not_have_is_refused(entra: Entra, order: str) -> None:
    assert get(entra, "/users", {"$orderby": order}).status_code == 400


FILTERS: list[tuple[str, list[str]]] = [
    ("displayName in ('Bob Brown', 'Carol Clark')", ["Bob Brown", "Carol Clark"]),
    ("displayName eq 'bob brown'", ["Bob Brown"]),
    ("DisplayName eq 'Bob Brown' or startswith(displayName,'car')", ["Bob Brown", "Carol Clark"]),
    ("(surname eq 'Adams' or surname eq 'Brown') and accountEnabled eq true", ["Alice Adams", "Bob Brown"]),
    ("department eq null and surname eq 'Adams'", ["Alice Adams"]),
    ("department eq 'x'", []),
]
ADVANCED_FILTERS: list[tuple[str, list[str]]] = [
    ("userType ne 'Guest'", ["Alice Adams", "Bob Brown"]),
    ("not startswith(displayName,'a')", ["Bob Brown", "Carol Clark"]),
    ("not (surname eq 'Adams' or surname eq 'Brown')", ["Carol Clark"]),
    ("endswith(displayName,'Brown')", ["Bob Brown"]),
]


@pytest.mark.parametrize(("condition", "names"), [*FILTERS, *ADVANCED_FILTERS])
def test_filters(entra: Entra, condition: str, names: list[str]) -> None:
    query = {"$filter": condition, "$count": "true"}
    assert names_of(get(entra, "/users", query, **ADVANCED)) == names


@pytest.mark.parametrize("condition", [condition for condition, _ in FILTERS])
def test_simple_filters_need_no_header(entra: Entra, condition: str) -> None:
    assert get(entra, "/users", {"$filter": condition}).status_code == 200


@pytest.mark.parametrize("condition", [condition for condition, _ in ADVANCED_FILTERS])
@pytest.mark.parametrize("part", [{"$count": "true"}, ADVANCED])
def test_advanced_filters_need_a_header_and_a_count(
    entra: Entra, condition: str, part: dict[str, Any]
) -> None:
    headers = {name: value for name, value in part.items() if name[0] != "$"}
    query = {name: value for name, value in part.items() if name[0] == "$"}
    response = refusal(get(entra, "/users", {"$filter": condition, **query}, **headers))
    assert response[:2] == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize(
    "condition",
    [
        *(
            "displayName",
            "displayName eq",
            "displayName eq x",
            "displayName gt 'a'",
            "eq 'a'",
            "displayName eq 'a",
        ),
        *(
            "(displayName eq 'a'",
            "displayName eq 'a')",
            "displayName in ()",
            "displayName in ('a'",
            "not",
            "and",
        ),
        *("startswith(displayName)", "startswith(displayName,'a'", "contains(displayName,'a')", "'a' eq 'a'"),
        *("identities/any(x:y eq 'a')", "displayName eq 'a' and", "displayName eq 'a' displayName eq 'b'"),
        *("(" * 150, "not " * 150, "(" * 20_000, "displayName eq '" + "a" * 20_000),
    ],
)
def test_a_malformed_filter_is_refused(entra: Entra, condition: str) -> None:
    response = get(entra, "/users", {"$filter": condition, "$count": "true"}, **ADVANCED)
    assert response.status_code == 400


def test_a_created_object_is_returned_whatever_the_query_selects(entra: Entra) -> None:
    bearer = entra.issue_token(entra.caller, audience=GRAPH, roles=EVERYTHING)
    made = entra.http_client.post(
        "/v1.0/applications",
        params={"$select": "nothing"},
        json={"displayName": "Made"},
        headers={"authorization": f"Bearer {bearer}"},
    )
    assert (made.status_code, made.json()["displayName"]) == (201, "Made")
