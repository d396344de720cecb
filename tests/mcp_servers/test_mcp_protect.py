"""`protect`: discovery, challenges, tools that need more, hidden tools, and calls on behalf of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mcp_processes import LINES, Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "the secret"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
KINDS = ["sdk", "fastmcp"]


@pytest.fixture(scope="session", params=LINES)
def protected(request, entra) -> Iterator[Server]:
    emulator, api = entra.emulator, entra.api
    next_api = emulator.register_app("Next", scopes=["Read"])
    emulator.grant_delegated(api, next_api, "Read")
    more = {"API_SECRET": emulator.add_secret(api).value, "NEXT_SCOPE": f"api://{next_api.client_id}/Read"}
    yield from serve(request.param, "mcp_protected", entra, **more)


@pytest.fixture
def callers(protected, entra, caller):
    return lambda kind, user="alice", role="Tasks.Read", **more: caller(
        f"{protected.url}/{kind}/mcp", entra.token(user, role, **more)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_metadata_names_entra_and_full_scopes(callers, protected, entra, kind):
    client = callers(kind).client
    response = client.get(f"{protected.url}{WELL_KNOWN}/{kind}/mcp")
    assert response.json() == {
        "resource": f"https://tasks.example/{kind}/mcp",
        "authorization_servers": [f"{entra.emulator.url}/{entra.emulator.tenant_id}/v2.0"],
        "scopes_supported": [f"api://{entra.api.client_id}/access_as_user"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Tasks",
    }
    assert response.headers["access-control-allow-origin"] == "*"
    assert "public" in response.headers["cache-control"]
    assert client.options(f"{protected.url}{WELL_KNOWN}/{kind}/mcp").status_code == 204


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_without_a_token_is_led_to_the_metadata(callers, entra, kind):
    alice = callers(kind)
    response = alice.client.post(alice.url, json={})
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert f'resource_metadata="https://tasks.example{WELL_KNOWN}/{kind}/mcp"' in challenge
    assert f'scope="api://{entra.api.client_id}/access_as_user"' in challenge


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_the_server_s_scope_is_refused_and_an_application_is_not(callers, entra, kind):
    alice = callers(kind)
    alice.token = entra.emulator.issue_token(
        entra.client, audience=entra.api, user="alice", scopes=["Tasks.Admin"]
    )
    response = alice.post("tools/list")
    assert response.status_code == 403
    assert "insufficient_scope" in response.headers["www-authenticate"]
    assert callers(kind, None, "Tasks.Write").open().call("secret") == SECRET


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "secret", "arguments": {}}),
        ("tools/call", {"name": "secret_async", "arguments": {}}),
        ("prompts/get", {"name": "plan"}),
        ("resources/read", {"uri": "tasks://notes"}),
    ],
)
def test_a_call_without_the_needed_role_is_refused_with_403(callers, kind, method, params):
    alice = callers(kind).open()
    response = alice.post(method, **params)
    assert response.status_code == 403
    assert response.json()["reason"] == "missing_role"
    batch = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}]
    assert alice.client.post(alice.url, json=batch, headers=alice.headers()).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_s_challenge_names_all_scopes_in_full(callers, entra, kind):
    response = callers(kind).open().post("tools/call", name="administer", arguments={})
    assert response.status_code == 403
    api = f"api://{entra.api.client_id}"
    challenge = response.headers["www-authenticate"]
    assert f'scope="{api}/access_as_user {api}/Tasks.Admin"' in challenge
    assert f'resource_metadata="https://tasks.example{WELL_KNOWN}/{kind}/mcp"' in challenge


@pytest.mark.parametrize("kind", KINDS)
def test_lists_hide_what_the_caller_may_not_use(callers, kind):
    reader, writer = callers(kind).open(), callers(kind, role="Tasks.Write").open()
    for method, key, protected_one in (
        ("tools/list", "tools", "secret"),
        ("prompts/list", "prompts", "plan"),
        ("resources/list", "resources", "notes"),
    ):
        names = [[one["name"] for one in each.request(method)["result"][key]] for each in (reader, writer)]
        assert protected_one not in names[0]
        assert protected_one in names[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_its_opener_s(callers, kind):
    alice, bob = callers(kind).open(), callers(kind, "bob")
    assert bob.joining(alice).post("tools/list").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_calls_the_next_api_on_behalf_of_its_caller(callers, kind):
    assert callers(kind).open().call("next_api") == "ey"
    assert callers(kind, None).open().call("next_api").startswith("Error")


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_path_needs_no_token(callers, protected, kind):
    client = callers(kind).client
    assert client.get(f"{protected.url}/{kind}/public").status_code == 404
    assert client.get(f"{protected.url}/{kind}/other").status_code == 401


def test_the_sdk_s_own_authentication_lets_the_guard_decide(callers, entra):
    alice = callers("verified").open()
    assert alice.call("client") == f"{entra.client.client_id} {entra.object_id('alice')}"
    assert callers("verified", "bob").joining(alice).post("tools/list").status_code == 404
    assert callers("verified", preset="expired").post("tools/list").status_code == 401


def test_fastmcp_s_own_authentication_lets_the_guard_decide(callers, protected, entra):
    alice = callers("provided").open()
    assert alice.call("client") == f"{entra.client.client_id} {entra.object_id('alice')}"
    assert callers("provided", preset="expired").post("tools/list").status_code == 401
    metadata = alice.client.get(f"{protected.url}{WELL_KNOWN}/provided/mcp").json()
    assert metadata["scopes_supported"] == [f"api://{entra.api.client_id}/access_as_user"]
    assert metadata["authorization_servers"] == [f"{entra.emulator.url}/{entra.emulator.tenant_id}/v2.0"]
    other = callers("provided")
    other.token = entra.emulator.issue_token(entra.client, audience=entra.api, user="alice", scopes=["Read"])
    assert other.post("tools/list").status_code == 403
