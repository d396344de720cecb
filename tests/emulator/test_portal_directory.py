"""The portal's directory pages: what a form changes is what Graph and the token endpoint see."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from emulator_requests import request_token, verified_claims
from portal_requests import open_page, send_form, words

from entra_guard.emulator import FABRIKAM, GRAPH

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import AppRegistration
    from entra_guard.testing import Entra

NEW = "/portal/apps/new"


def page_after(entra: Entra, response: httpx.Response) -> httpx.Response:
    assert response.status_code == 303, words(response)
    return open_page(entra, response.headers["location"])


def register(entra: Entra, name: str, **fields: str) -> AppRegistration:
    page_after(entra, send_form(entra, NEW, {"name": name, "accounts": "AzureADMyOrg", **fields}))
    return next(app for app in entra.directory.apps.values() if app.name == name)


def test_the_guide_can_be_followed_page_by_page(entra: Entra) -> None:
    api = register(entra, "Shop API")
    home = f"/portal/apps/{api.client_id}"
    assert api.token_version is None
    assert f'value="api://{api.client_id}"' in open_page(entra, f"{home}/expose").text
    send_form(entra, f"{home}/expose/uri", {"identifier_uri": f"api://{api.client_id}"})
    send_form(entra, f"{home}/expose/scope", {"scope": "access_as_user", "consent": "User"})
    send_form(entra, f"{home}/roles/add", {"role": "Shop.Read.All", "members": ["User", "Application"]})
    send_form(entra, f"{home}/token-configuration", {"version": "2", "claim": ["idtyp", "acct"]})
    client = register(entra, "Shop report")
    there = f"/portal/apps/{client.client_id}"
    shown = words(open_page(entra, f"{there}/permissions/add?api={api.client_id}"))
    assert "Shop.Read.All" in shown
    role, scope = entra.find_app(api).app_roles[0], entra.find_app(api).scopes[0]
    ticked = {"api": api.client_id, "permission": [role.id, scope.id]}
    shown = words(page_after(entra, send_form(entra, f"{there}/permissions/add", ticked)))
    assert "2 permissions added" in shown
    assert shown.count("Not granted") == 2
    shown = words(page_after(entra, send_form(entra, f"{there}/permissions/grant")))
    assert shown.count("Granted for Contoso") == 2
    added = send_form(entra, f"{there}/credentials/secret", {"description": "night", "lifetime": "90"})
    panel = page_after(entra, added)
    secret = re.findall(r"AZURE_CLIENT_SECRET=(\S+?)<", panel.text)[0]
    form = {
        "client_id": client.client_id,
        "client_secret": secret,
        "scope": f"api://{api.client_id}/.default",
    }
    claims = verified_claims(
        entra, request_token(entra, **form).json()["access_token"], audience=api.client_id
    )
    assert (claims["roles"], claims["ver"], claims["idtyp"]) == (["Shop.Read.All"], "2.0", "app")
    assert "Shop report" in words(open_page(entra, f"{home}/assignments"))


def test_a_secret_is_shown_once_and_never_again(entra: Entra) -> None:
    address = f"/portal/apps/{entra.caller.client_id}/credentials"
    there = send_form(entra, f"{address}/secret", {"description": "x", "lifetime": "180"}).headers["location"]
    first, second = open_page(entra, there), open_page(entra, there)
    value = re.findall(r"AZURE_CLIENT_SECRET=(\S+?)<", first.text)[0]
    assert value not in there
    assert value not in second.text
    assert value not in open_page(entra, address).text
    assert f"{value[:3]}…" in second.text


PERSONAL = {"accounts": "PersonalMicrosoftAccount"}


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"name": ""}, "name", "Enter a name"),
        ({"name": "x" * 121}, "name", "1 to 120 characters"),
        (
            {"platform": "web", "redirect_uri": "http://shop.example/cb"},
            "redirect_uri",
            "http is allowed only for localhost",
        ),
        ({"platform": "spa", "redirect_uri": "myapp://cb"}, "redirect_uri", "use https://"),
        ({"platform": "public", "redirect_uri": "javascript:alert(1)"}, "redirect_uri", "runs or opens"),
        ({"redirect_uri": "https://shop.example/cb"}, "platform", "Choose the platform"),
        ({"platform": "web"}, "redirect_uri", "Enter the redirect URI"),
    ],
)
def test_a_mistake_is_shown_at_its_field_and_the_input_is_kept(
    entra: Entra, fields: dict[str, str], field: str, text: str
) -> None:
    response = send_form(entra, NEW, {"name": "Kept", "accounts": "AzureADMyOrg", **fields})
    assert response.status_code == 422
    assert f'id="{field}-error"' in response.text
    assert f'href="#{field}"' in response.text
    assert text in words(response)
    for value in fields.values():
        assert not value or f'value="{value}"' in response.text
    assert all(app.name != "Kept" for app in entra.directory.apps.values())


@pytest.mark.parametrize(
    ("preset", "accounts"),
    [
        ("api", "AzureADMyOrg"),
        ("api", "PersonalMicrosoftAccount"),
        ("daemon", "AzureADMyOrg"),
        ("spa", "AzureADMultipleOrgs"),
    ],
)
def test_a_preset_makes_an_app_that_is_ready(entra: Entra, preset: str, accounts: str) -> None:
    app = register(entra, "Ready", preset=preset, accounts=accounts)
    assert bool(app.scopes) is (preset == "api")
    assert bool(app.app_roles) is (preset == "api" and accounts == "AzureADMyOrg")
    assert bool(app.identifier_uris) is (preset == "api")
    assert bool(entra.directory.credentials_of(app.client_id).secrets) is (preset == "daemon")
    assert bool(app.spa_redirect_uris) is (preset == "spa")


FORMS = [
    (
        "authentication/add",
        {"platform": "web", "uri": "http://evil.example\\@localhost/cb"},
        422,
        "backslashes",
    ),
    ("authentication/add", {"platform": "web", "uri": "https://shop.example/cb"}, 303, "is registered"),
    ("authentication/public-client", {"public_client": "1"}, 303, "Saved"),
    ("credentials/secret", {"lifetime": "1"}, 422, "90, 180, 365 or 730"),
    ("credentials/certificate", {"certificate": "no"}, 422, "not a certificate"),
    ("credentials/certificate", {"generate": "1"}, 303, "PRIVATE KEY"),
    (
        "credentials/federated",
        {"federated_name": "x", "issuer": "https://i", "subject": "s"},
        422,
        "3 to 120",
    ),
    (
        "credentials/federated",
        {"federated_name": "pipeline", "issuer": "https://i", "subject": "s"},
        303,
        "is added",
    ),
    ("permissions/add", {"api": "00000003-0000-0000-c000-000000000000"}, 422, "at least one"),
    ("expose/uri", {"identifier_uri": "nothing"}, 422, "is not a URI"),
    ("expose/scope", {"scope": "with space"}, 422, "no spaces"),
    ("expose/client", {"authorized_client": "x"}, 422, "client id of the app"),
    (
        "expose/client",
        {"authorized_client": "1" * 8 + "-1111" * 3 + "-" + "1" * 12},
        422,
        "at least one scope",
    ),
    ("roles/add", {"role": "with space", "members": "User"}, 422, "no spaces"),
    ("roles/add", {"role": "Right"}, 422, "who can hold"),
    ("roles/add", {"role": "Orders.Read", "members": "User"}, 422, "defined twice"),
    ("assignments/add", {"holder": "user:nothing", "role": "Orders.Read"}, 422, "Choose who"),
    (
        "assignments/add",
        {"holder": "user:00000000-0000-4000-8000-000000000b0b", "role": "Orders.Read"},
        303,
        "Bob Brown",
    ),
    ("assignments/required", {"required": "1"}, 303, "Saved"),
    ("token-configuration", {"version": ""}, 303, "Saved"),
    ("manifest", {"manifest": '{"displayName": "Renamed",\n }'}, 422, "Line 2"),
    (
        "manifest",
        {"manifest": '{"api": {"requestedAccessTokenVersion": 3}}'},
        422,
        "requestedAccessTokenVersion",
    ),
    ("manifest", {"manifest": "[]"}, 422, "JSON object"),
    ("manifest", {"manifest": '{"displayName": "Renamed"}'}, 303, "Renamed"),
    ("rename", {"name": ""}, 400, "1 to 120 characters"),
    ("delete", {"confirm": "something else"}, 422, "was not deleted"),
    ("delete", {"confirm": "The API under test"}, 303, "is deleted"),
]


@pytest.mark.parametrize(("path", "fields", "status", "text"), FORMS, ids=[f"{f[0]} {f[2]}" for f in FORMS])
def test_each_form_of_an_app_reports_what_it_did(
    entra: Entra, path: str, fields: dict[str, Any], status: int, text: str
) -> None:
    before = entra.directory
    response = send_form(entra, f"/portal/apps/{entra.api.client_id}/{path}", fields)
    assert response.status_code == status, words(response)
    assert (entra.directory == before) is (status != 303)
    shown = page_after(entra, response) if status == 303 else response
    assert text in words(shown)


@pytest.mark.parametrize("path", ["authentication/add", "credentials/secret", "permissions/grant", "delete"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"origin": None, "sec_fetch_site": "same-site"},
    ],
)
def test_another_web_page_cannot_send_a_form(entra: Entra, path: str, headers: dict[str, str | None]) -> None:
    before = entra.directory
    address = f"/portal/apps/{entra.caller.client_id}/{path}"
    assert send_form(entra, address, {"confirm": entra.caller.name}, **headers).status_code == 403
    assert send_form(entra, address, {"form_token": "guessed"}).status_code == 403
    assert open_page(entra, address).status_code == 404
    assert entra.directory == before


def test_a_form_of_a_tenant_that_is_gone_changes_no_other_tenant(entra: Entra) -> None:
    before = entra.directory
    gone = {"form_tenant": "11111111-2222-4333-8444-555555555555", "name": "Shop", "accounts": "AzureADMyOrg"}
    response = send_form(entra, "/portal/apps/new", gone)
    assert (response.status_code, "does not exist any more" in words(response)) == (400, True)
    assert entra.directory is before


@pytest.mark.parametrize(
    ("path", "field"), [("groups/new", "name"), ("identities/add", "name"), ("users/new", "display_name")]
)
def test_a_name_that_graph_would_refuse_is_shown_at_its_field(entra: Entra, path: str, field: str) -> None:
    before = entra.directory
    response = send_form(entra, f"/portal/{path}", {field: "x" * 257, "user_name": "zoe", "kind": "user"})
    assert "256 characters, got 257" in words(response)
    assert entra.directory is before


def test_an_app_of_another_tenant_is_named_with_a_link_to_it(entra: Entra) -> None:
    app = entra.register_app("Elsewhere", tenant=FABRIKAM)
    response = open_page(entra, f"/portal/apps/{app.client_id}")
    assert response.status_code == 404
    assert "No app has this id in Contoso. It is registered in Fabrikam." in words(response)
    assert f"?tenant={FABRIKAM}" in response.text
    assert open_page(entra, f"/portal/apps/{app.client_id}?tenant={FABRIKAM}").status_code == 200


def test_a_permission_that_its_api_removed_stays_listed(entra: Entra) -> None:
    address = f"/portal/apps/{entra.caller.client_id}/permissions"
    role = entra.api.app_roles[0]
    send_form(entra, f"{address}/add", {"api": entra.api.client_id, "permission": role.id})
    entra.update_app(entra.api, app_roles=entra.api.app_roles[1:])
    shown = words(open_page(entra, address))
    assert role.id in shown
    assert "Unknown id" in shown


def test_consent_that_the_registration_does_not_list_is_shown_and_can_be_withdrawn(entra: Entra) -> None:
    entra.grant(entra.caller, entra.api, "Orders.Read")
    address = f"/portal/apps/{entra.caller.client_id}/permissions"
    assert "the registration does not list them" in words(open_page(entra, address))
    fields = {"api": entra.api.client_id, "permission": entra.api.app_roles[0].id}
    shown = words(page_after(entra, send_form(entra, f"{address}/revoke", fields)))
    assert "the registration does not list them" not in shown


def test_an_authorized_client_needs_no_consent(entra: Entra) -> None:
    client = entra.register_app("Editor", identifier_uris=(), redirect_uris=["https://editor.example/cb"])
    home = f"/portal/apps/{entra.api.client_id}/expose"
    scope = entra.api.scopes[0]
    fields = {"authorized_client": client.client_id.upper(), "authorized_scope": scope.id}
    assert "Editor" in words(page_after(entra, send_form(entra, f"{home}/client", fields)))
    before = entra.find_app(entra.api)
    manifest = f"/portal/apps/{entra.api.client_id}/manifest"
    shown = re.findall(r"<textarea[^>]*>(.*?)</textarea>", open_page(entra, manifest).text, re.DOTALL)[0]
    assert "preAuthorizedApplications" in shown
    send_form(entra, manifest, {"manifest": html.unescape(shown)})
    after = entra.find_app(entra.api)
    assert (after.authorized_clients, after.scopes) == (before.authorized_clients, before.scopes)
    query = {
        "client_id": client.client_id,
        "response_type": "code",
        "scope": f"{entra.api.app_id_uri}/{scope.value}",
        "prompt": "none",
        "login_hint": "alice",
    }
    sign_in = f"/{entra.tenant_id}/oauth2/v2.0/authorize"
    assert "code=" in entra.http_client.get(sign_in, params=query).headers["location"]
    too_early = send_form(entra, f"{home}/change", {"id": scope.id, "change": "remove"})
    assert (too_early.status_code, entra.find_app(entra.api).scopes) == (400, before.scopes)
    assert f"Remove {scope.value}" not in open_page(entra, home).text
    shown = page_after(entra, send_form(entra, f"{home}/change", {"id": scope.id, "change": "disable"}))
    assert f"Remove {scope.value}" in shown.text
    send_form(entra, f"{home}/change", {"id": scope.id, "change": "remove"})
    assert entra.find_app(entra.api).authorized_clients == ()


@pytest.mark.parametrize(
    ("shown", "name"),
    [("Anna M\u00fcller", "anna.muller"), ("O'Hara, <b>Pat</b>", "o'hara.b.pat.b"), ("x\x1b[31m", "x.31m")],
)
def test_a_user_name_is_made_of_what_entra_accepts(entra: Entra, shown: str, name: str) -> None:
    send_form(entra, "/portal/users/new", {"display_name": shown})
    assert entra.find_user(name).display_name == shown


def test_a_name_without_latin_letters_needs_a_user_name(entra: Entra) -> None:
    page = send_form(entra, "/portal/users/new", {"display_name": "\u5f20\u4f1f"})
    assert (page.status_code, "Enter a user name in Latin letters." in words(page)) == (422, True)
    page = send_form(entra, "/portal/users/new", {"display_name": "X", "user_name": "a b\n"})
    assert (page.status_code, "is not valid: use ASCII letters" in words(page)) == (422, True)


def test_users_and_groups_are_added_changed_and_deleted(entra: Entra) -> None:
    page_after(entra, send_form(entra, "/portal/users/new", {"display_name": "Erin Evans"}))
    erin = entra.find_user("erin.evans")
    there = f"/portal/users/{erin.id}"
    added = send_form(entra, "/portal/groups/new", {"name": "Night shift", "member": [erin.id]})
    group = added.headers["location"].partition("?")[0]
    entra.assign("erin.evans", entra.api, "Orders.Read")
    shown = words(open_page(entra, there))
    assert "Night shift" in shown
    assert "Orders.Read" in shown
    assert "Disabled" in words(page_after(entra, send_form(entra, f"{there}/enable", {"enabled": ""})))
    assert not entra.find_user("erin.evans").enabled
    send_form(entra, f"{group}/remove", {"member": erin.id})
    assert "no members" in words(open_page(entra, group))
    send_form(entra, f"{group}/add", {"member": erin.id})
    send_form(entra, f"{group}/delete")
    send_form(entra, f"{there}/delete")
    assert open_page(entra, there).status_code == 404
    again = send_form(entra, "/portal/users/new", {"user_name": "alice"})
    assert (again.status_code, "exists already" in words(again)) == (422, True)


def test_a_managed_identity_is_added_gets_a_role_and_its_token(entra: Entra) -> None:
    added = send_form(entra, "/portal/identities/add", {"name": "builder", "kind": "system"})
    assert "AZURE_POD_IDENTITY_AUTHORITY_HOST" in words(page_after(entra, added))
    identity = next(i for i in entra.directory.identities.values() if i.name == "builder")
    fields = {"holder": f"identity:{identity.id}", "role": "Orders.Read"}
    send_form(entra, f"/portal/apps/{entra.api.client_id}/assignments/add", fields)
    query = {"api-version": "2018-02-01", "resource": entra.api.app_id_uri}
    headers = {"Metadata": "true"}
    response = entra.http_client.get("/metadata/identity/oauth2/token", params=query, headers=headers)
    claims = verified_claims(entra, response.json()["access_token"])
    assert (claims["roles"], claims["oid"]) == (["Orders.Read"], identity.id)
    assert "Orders.Read of The API under test" in words(open_page(entra, "/portal/identities"))
    send_form(entra, "/portal/identities/remove", {"id": identity.id})
    assert entra.directory.identities == {}


def test_a_filter_works_without_script(entra: Entra) -> None:
    assert "Alice Adams" in words(open_page(entra, "/portal/users?q=ALICE"))
    assert "Bob Brown" not in words(open_page(entra, "/portal/users?q=ALICE"))
    assert "Nothing matches “ zzz ”" in words(open_page(entra, "/portal/apps?q=zzz"))
    assert "There are no users in Fabrikam" not in words(open_page(entra, f"/portal/users?tenant={FABRIKAM}"))


def test_names_are_escaped_everywhere(entra: Entra) -> None:
    name = '<script>x</script>"onfocus="y'
    app = register(entra, name)
    for section in ("", "/authentication", "/permissions", "/manifest", "/assignments"):
        text = open_page(entra, f"/portal/apps/{app.client_id}{section}").text
        assert "<script>x" not in text
        assert '"onfocus' not in text
    assert json.loads(json.dumps(name)) == app.name


def test_microsofts_own_apps_have_no_page_and_the_response_says_so(entra: Entra) -> None:
    shown = open_page(entra, f"/portal/apps/{GRAPH}")
    assert (shown.status_code, "Microsoft Graph is Microsoft's own" in words(shown)) == (404, True)


def test_a_blueprint_shows_its_agents_their_accounts_and_their_roles(entra: Entra) -> None:
    blueprint = register(entra, "Sales assistants", preset="blueprint")
    home = f"/portal/apps/{blueprint.client_id}"
    assert "Blueprint of agents" in words(open_page(entra, "/portal/apps"))
    assert "No agents yet" in words(open_page(entra, home))
    page_after(entra, send_form(entra, f"{home}/agents/add", {"agent": "North", "account": "north"}))
    agent, account = next(iter(entra.directory.agents.values())), entra.find_user("north")
    assert (agent.blueprint_id, account.agent_id) == (blueprint.client_id, agent.id)
    there = f"/portal/apps/{entra.api.client_id}/assignments"
    fields = {"holder": f"agent:{agent.id}", "role": "Orders.Read"}
    assert "North" in words(page_after(entra, send_form(entra, f"{there}/add", fields)))
    shown = words(open_page(entra, home))
    assert all(text in shown for text in ("North", account.upn, "Orders.Read of The API under test"))
    assert "agent's account" in words(open_page(entra, "/portal/users"))
    assert "Account of the agent North" in words(open_page(entra, f"/portal/users/{account.id}"))
    assert "Get a token as" not in words(open_page(entra, f"/portal/users/{account.id}"))
    assert account.id not in open_page(entra, "/portal/token").text, "it cannot sign in"
    send_form(entra, f"{home}/agents/remove", {"id": agent.id})
    assert (entra.directory.agents, account.id in entra.directory.users) == ({}, False)


def test_an_agent_without_a_name_or_with_a_taken_account_is_not_added(entra: Entra) -> None:
    home = f"/portal/apps/{register(entra, 'Assistants', preset='blueprint').client_id}"
    unnamed = send_form(entra, f"{home}/agents/add", {"agent": ""})
    assert "Enter the agent's name" in words(page_after(entra, unnamed))
    taken = send_form(entra, f"{home}/agents/add", {"agent": "North", "account": "alice"})
    assert "exists already" in words(page_after(entra, taken))
    assert entra.directory.agents == {}


def test_an_app_role_is_disabled_before_it_is_removed_with_its_assignments(entra: Entra) -> None:
    home, role = f"/portal/apps/{entra.api.client_id}/roles", entra.api.app_roles[0]
    entra.assign("alice", entra.api, role.value)
    change = {"id": role.id, "change": "remove"}
    assert send_form(entra, f"{home}/change", change).status_code == 400
    assert f"Remove {role.value}" not in open_page(entra, home).text
    shown = page_after(entra, send_form(entra, f"{home}/change", {**change, "change": "disable"}))
    assert f"Remove {role.value}" in shown.text
    assert role.id in {assignment.role_id for assignment in entra.directory.assignments.values()}
    send_form(entra, f"{home}/change", change)
    assert role not in entra.find_app(entra.api).app_roles
    assert all(a.role_id != role.id for a in entra.directory.assignments.values())
