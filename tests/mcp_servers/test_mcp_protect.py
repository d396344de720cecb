"""`protect`: discovery, challenges, tools that need more, hidden tools, and calls on behalf of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mcp_caller import text_of
from mcp_processes import LINES, Server, serve
from waiting import wait_until

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
    assert "insufficient_scope" not in response.headers["www-authenticate"]  # no sign-in gives a role
    batch = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}]
    assert alice.client.post(alice.url, json=batch, headers=alice.headers()).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_s_challenge_names_all_scopes_in_full(callers, entra, kind):
    response = callers(kind).open().post("tools/call", name="administer", arguments={})
    assert response.status_code == 403
    api = f"api://{entra.api.client_id}"
    challenge = response.headers["www-authenticate"]
    assert f'scope="{api}/access_as_user {api}/Tasks.Admin"' in challenge
    assert 'error="insufficient_scope"' in challenge
    assert f'resource_metadata="https://tasks.example{WELL_KNOWN}/{kind}/mcp"' in challenge


@pytest.mark.parametrize("kind", KINDS)
def test_lists_hide_what_the_caller_may_not_use(callers, kind):
    reader, writer = callers(kind).open(), callers(kind, role="Tasks.Write").open()
    for method, key, protected_one in (
        ("tools/list", "tools", "secret"),
        ("prompts/list", "prompts", "plan"),
        ("resources/list", "resources", "notes"),
        ("resources/templates/list", "resourceTemplates", "note"),
    ):
        names = [[one["name"] for one in each.request(method)["result"][key]] for each in (reader, writer)]
        assert protected_one not in names[0]
        assert protected_one in names[1]


COMPLETIONS = (
    {"type": "ref/prompt", "name": "plan"},
    {"type": "ref/resource", "uri": "tasks://notes/{number}"},
)


@pytest.mark.parametrize("kind", KINDS)
def test_completions_and_subscriptions_need_what_their_prompt_or_resource_needs(callers, protected, kind):
    reader, writer = callers(kind).open(), callers(kind, role="Tasks.Write").open()
    argument = {"name": "number", "value": "1"}
    for reference in COMPLETIONS:
        response = reader.post("completion/complete", ref=reference, argument=argument)
        assert response.status_code == 403, reference
        assert SECRET in str(writer.request("completion/complete", ref=reference, argument=argument))
    plain = {"type": "ref/resource", "uri": "tasks://notes"}
    assert reader.post("completion/complete", ref=plain, argument=argument).status_code == 403
    for unknown in ({"type": "ref/prompt", "name": "PLAN"}, {"type": "ref/resource", "uri": "other://x"}):
        assert writer.post("completion/complete", ref=unknown, argument=argument).status_code == 400
    spellings = ["TASKS://notes", "tasks://notes\t"] if protected.line == "mcp1" else []
    for uri in ("tasks://notes", "tasks://notes/7", *spellings):
        assert reader.post("resources/read", uri=uri).status_code == 403
        assert reader.post("resources/subscribe", uri=uri).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_names_too_much_is_refused_before_anything_is_looked_up(callers, kind):
    alice = callers(kind).open()
    wanted = {"resourceSubscriptions": [f"tasks://open/{number}" for number in range(201)]}
    response = alice.post("subscriptions/listen", notifications=wanted)
    assert response.status_code == 400
    assert "Too many" in response.json()["error"]["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_without_a_session_is_checked_as_any_other(callers, protected, kind):
    if protected.line == "mcp1":
        pytest.skip("the first line has sessions or none, and no messages of this protocol version")
    for role, status in (("Tasks.Read", 403), ("Tasks.Write", 200)):
        caller = callers(kind, role=role)
        for method, params in (
            ("tools/call", {"name": "secret", "arguments": {}}),
            ("resources/read", {"uri": "tasks://notes/7"}),
            ("prompts/get", {"name": "plan"}),
        ):
            headers, body = caller.modern(method, **params)
            response = caller.client.post(caller.url, json=body, headers=headers)
            assert response.status_code == status, response.text
            assert (SECRET in response.text) == (status == 200)
        headers, body = caller.modern("tools/list")
        assert ("secret" in caller.client.post(caller.url, json=body, headers=headers).text) == (
            status == 200
        )
    headers, body = (reader := callers(kind)).modern(
        "subscriptions/listen", notifications={"resourceSubscriptions": ["tasks://notes"]}
    )
    assert reader.client.post(reader.url, json=body, headers=headers).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_cannot_be_read_is_refused(callers, kind):
    alice = callers(kind).open()
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"secret","arguments":%s}}'
    headers = {**alice.headers(), "Content-Type": "application/json"}
    for content, status in ((b"1" * 5000, 400), (b"[" * 9000, 400), (b'"' + b"a" * 2**22 + b'"', 413)):
        assert alice.client.post(alice.url, content=call % content, headers=headers).status_code == status
    pieces = [b"[" * 2**16] * 65
    assert alice.client.post(alice.url, content=iter(pieces), headers=headers).status_code == 413


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "call",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"secret","name":"whoami"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"},"params":{"name":"secret"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"secret"}}]',
    ],
)
def test_a_body_with_two_readings_is_refused(callers, kind, call):
    alice = callers(kind).open()
    headers = {**alice.headers(), "Content-Type": "application/json"}
    assert alice.client.post(alice.url, content=call, headers=headers).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_in_small_pieces_is_read_as_one(callers, kind):
    for role, found in (("Tasks.Read", "missing_role"), ("Tasks.Write", SECRET)):
        alice = callers(kind, role=role).open()
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"secret","arguments":{}}}'
        headers = {**alice.headers(), "Content-Type": "application/json"}
        pieces = (bytes([byte]) for byte in call)
        assert found in alice.client.post(alice.url, content=pieces, headers=headers).text


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_decides_and_not_its_headers(callers, protected, kind):
    if protected.line == "mcp1":
        pytest.skip("the first line does not have these headers")
    alice = callers(kind)
    for other in ({"Mcp-Name": "whoami"}, {"Mcp-Method": "tools/list"}, {"Mcp-Method": "TOOLS/CALL"}):
        headers, body = alice.modern("tools/call", name="secret", arguments={})
        response = alice.client.post(alice.url, json=body, headers={**headers, **other})
        assert response.status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_checked_message_by_message(callers, kind):
    alice = callers(kind).open()
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": {}}}
        for number, name in enumerate(("whoami", "secret"), 1)
    ]
    response = alice.client.post(alice.url, json=batch, headers=alice.headers())
    assert response.status_code == 403


def test_mounted_servers_and_tools_made_of_tools_are_checked_as_any_other(callers):
    reader, writer = callers("fastmcp").open(), callers("fastmcp", role="Tasks.Write").open()
    for method, key in (
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
    ):
        names = [[one["name"] for one in each.request(method)["result"][key]] for each in (reader, writer)]
        hidden = set(names[1]) - set(names[0])
        assert any("child" in name or name == "secret" for name in hidden), names
    for name in ("child_secret", "renamed"):
        assert reader.post("tools/call", name=name, arguments={}).status_code == 403
        assert writer.call(name) == SECRET
    assert reader.post("prompts/get", name="child_secret").status_code == 403
    assert reader.post("resources/read", uri="other://child/notes").status_code == 403
    assert SECRET in str(writer.request("resources/read", uri="other://child/notes"))


def test_pages_of_a_list_hide_what_the_caller_may_not_use(callers, protected):
    if protected.line != "mcp2":
        pytest.skip("the first line has no pages")
    for role, expected in (("Tasks.Read", 0), ("Tasks.Write", 2)):
        caller, names, cursor = callers("pages", role=role).open(), [], {}
        while cursor is not None:
            page = caller.request("tools/list", **cursor)["result"]
            names += [tool["name"] for tool in page["tools"]]
            cursor = {"cursor": page["nextCursor"]} if page.get("nextCursor") else None
        assert sum("secret" in name for name in names) == expected
        assert len(names) == 4 + expected


@pytest.mark.parametrize(
    ("kind", "tool", "arguments", "shown"),
    [
        ("search", "search_tools", {"query": "return what needs a role"}, "secret_async"),
        ("search", "call_tool", {"name": "secret", "arguments": {}}, SECRET),
        ("as-tools", "list_resources", {}, "tasks://notes"),
        ("as-tools", "read_resource", {"uri": "tasks://notes"}, SECRET),
        ("as-tools", "read_resource", {"uri": "tasks://notes/7"}, SECRET),
        ("as-tools", "list_prompts", {}, "plan"),
        ("as-tools", "get_prompt", {"name": "plan"}, SECRET),
    ],
)
def test_a_tool_that_finds_or_uses_others_does_so_for_its_caller(
    callers, protected, kind, tool, arguments, shown
):
    if protected.line == "mcp1":
        pytest.skip("the first line does not have such tools")
    assert shown not in callers(kind).open().call(tool, **arguments)
    assert shown in callers(kind, role="Tasks.Write").open().call(tool, **arguments)


def test_a_cache_of_responses_shows_nothing_that_is_hidden(callers, protected, entra):
    lists = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
    for user, role in (("bob", "Tasks.Write"), ("alice", "Tasks.Read"), ("bob", "Tasks.Write")):
        one = callers("cached", user, role).open()
        shown = [str(one.request(method)["result"]) for method in lists]
        assert [any(name in each for name in ("secret", "plan", "note")) for each in shown] == [
            role == "Tasks.Write"
        ] * 4
        if protected.line != "mcp1":  # the first line's cache has one entry for all callers
            assert one.call("whoami") == entra.object_id(user)


@pytest.mark.parametrize("kind", ["sdk-steps", "steps"])
def test_the_state_between_two_steps_is_its_caller_s(callers, protected, kind):
    if protected.line == "mcp1":
        pytest.skip("the first line has no requests of several steps")

    def step(one, **state):
        headers, body = one.modern("tools/call", name="steps", arguments={}, **state)
        return one.client.post(one.url, json=body, headers=headers).json()

    alice, bob = callers(kind), callers(kind, "bob", "Tasks.Write")
    state = {"requestState": step(alice)["result"]["requestState"]}
    assert "requestState" in step(bob, **state)["error"]["message"]
    assert step(alice, **state)["result"]["content"][0]["text"] == SECRET


@pytest.mark.parametrize("kind", KINDS)
def test_the_sdk_knows_the_caller_of_a_message_and_not_the_token(callers, entra, kind):
    alice = callers(kind).open()
    alice.token = entra.token("alice", lifetime=700)
    assert alice.call("client") == f"{entra.client.client_id} {entra.object_id('alice')}"
    first = alice.call("token_for_sdk")
    assert first.startswith("guarded-by-entra_guard-")
    alice.token = entra.token("alice", lifetime=800)
    assert alice.call("token_for_sdk") not in {first, alice.token}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_does_not_see_the_token_of_its_caller(callers, kind):
    seen = callers(kind).open().call("headers").split()
    assert "content-type" in seen
    assert "authorization" not in seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_its_opener_s(callers, kind):
    alice, bob = callers(kind).open(), callers(kind, "bob")
    assert bob.joining(alice).post("tools/list").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_without_sessions_is_checked_as_any_other(callers, entra, kind):
    for user in ("alice", "bob"):
        caller = callers(f"{kind}-stateless", user).open()
        assert caller.session == ""
        assert caller.call("whoami") == entra.object_id(user)
        response = caller.post("tools/list")
        assert response.headers["content-type"] == "application/json"
        assert "secret" not in {tool["name"] for tool in response.json()["result"]["tools"]}
        assert caller.post("tools/call", name="secret", arguments={}).status_code == 403
    writer = callers(f"{kind}-stateless", role="Tasks.Write").open()
    assert writer.call("secret") == SECRET


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_calls_the_next_api_on_behalf_of_its_caller(callers, kind):
    assert callers(kind).open().call("next_api") == "ey"
    sentence = "user_token_required: Only signed-in users may call this operation."
    assert callers(kind, None).open().call("next_api").endswith(sentence)


SIGN_IN = "The user must sign in again before this server can call the next API."


@pytest.mark.parametrize("kind", [*KINDS, "verified", "provided"])
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("AADSTS53003", SIGN_IN),
        ("AADSTS50173", SIGN_IN),
        ("AADSTS65001", "The next API needs a consent, which the user or an administrator must give."),
        ("temporarily_unavailable", "This server cannot call the next API at the moment. Try again later."),
        ("AADSTS7000215", "This server cannot call the next API. Its log has the reason."),
    ],
)
def test_a_client_gets_a_sentence_if_the_next_api_cannot_be_called(
    callers, protected, entra, kind, fault, sentence
):
    alice = callers(kind).open()
    logged = len(protected.log)
    with entra.emulator.failing("token", fault):
        text = alice.call("next_api")
    begin = "Error executing tool next_api: " if kind in {"sdk", "verified"} else ""
    assert text == f"{begin}{sentence}"
    wait_until(lambda: any(fault in line for line in protected.log[logged:]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_gets_a_sentence_if_the_next_api_cannot_be_called_in_a_resource(callers, entra, kind):
    alice = callers(kind).open()
    with entra.emulator.failing("token", "AADSTS53003"):
        text = text_of(alice.request("resources/read", uri="next://api"))
    assert SIGN_IN in text
    assert "AADSTS" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_gets_a_sentence_if_a_function_that_a_tool_calls_refuses(callers, kind):
    sentence = "missing_scope: The token lacks a scope that this operation requires."
    assert callers(kind).open().call("administer_indirectly").endswith(sentence)


def test_a_server_that_forwards_calls_sends_the_next_api_a_token_of_its_own(callers, entra):
    for user in ("alice", "bob"):
        seen = callers("forwarding", user).open().call("me")
        assert f"{entra.object_id(user)} {entra.api.client_id}" in seen


@pytest.mark.parametrize("kind", ["verified", "provided"])
def test_on_behalf_of_works_with_the_sdk_s_own_authentication(callers, entra, kind):
    alice = callers(kind, lifetime=100).open()
    entra.emulator.advance(200)  # for Entra the session's first token has expired: the message's is exchanged
    try:
        alice.token = entra.token("alice")
        assert alice.call("next_api") == "ey"
    finally:
        entra.emulator.advance(-200)


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
