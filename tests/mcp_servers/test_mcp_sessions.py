"""Each message of an MCP session is checked for its own caller, and a session is its opener's alone.

On every transport, with the released SDKs, behind the plain middleware. Each server is a process of its own.
"""

from __future__ import annotations

import json
import time
import uuid

import httpx
import pytest
from mcp_caller import McpCaller, SseCaller, events_of, text_of

SECRET = "the secret"
SESSIONS = ("sdk-http", "sdk-json", "fastmcp-http", "fastmcp-json")
STATELESS = ("sdk-stateless", "fastmcp-stateless")
STREAMS = ("sdk-sse", "fastmcp-sse")
ALL = (*SESSIONS, *STATELESS, *STREAMS)


def caller_of(server, app: str, token: str) -> McpCaller:
    kind = SseCaller if app.endswith("sse") else McpCaller
    return kind(f"{server.url}/{app}/{'sse' if app.endswith('sse') else 'mcp'}", token)


@pytest.fixture
def callers(server, entra, caller):
    """Make a caller by its application and name; its session is opened."""
    return lambda app, user, role="Tasks.Read", **more: caller_of(
        server, app, entra.token(user, role, **more)
    ).open()


@pytest.mark.parametrize("app", ALL)
def test_a_tool_sees_the_caller_of_its_own_message(callers, entra, app):
    alice = callers(app, "alice")
    assert alice.call("whoami") == alice.call("whoami_async") == entra.object_id("alice")


@pytest.mark.parametrize("app", ["sdk-http", "sdk-json", "fastmcp-http", "fastmcp-json"])
def test_a_message_without_a_session_has_its_own_caller(server, entra, app):
    if server.line == "mcp1":
        pytest.skip("the first line does not have this protocol version")
    for user, role in (("alice", "Tasks.Read"), ("bob", "Tasks.Write")):
        one = caller_of(server, app, entra.token(user, role))
        bodies = []
        for tool in ("whoami_async", "secret"):
            headers, message = one.modern("tools/call", name=tool, arguments={})
            bodies.append(one.client.post(one.url, json=message, headers=headers).text)
        assert entra.object_id(user) in bodies[0]
        assert (SECRET in bodies[1]) == (role == "Tasks.Write")


@pytest.mark.parametrize("app", ALL)
def test_a_protected_tool_refuses_a_caller_without_the_role(callers, app):
    for tool in ("secret", "secret_async"):
        assert callers(app, "alice", "Tasks.Write").call(tool) == SECRET
        assert SECRET not in callers(app, "alice", "Tasks.Read").call(tool)


@pytest.mark.parametrize("app", ALL)
def test_a_protected_resource_and_prompt_refuse_a_caller_without_the_role(callers, app):
    reader, writer = callers(app, "alice", "Tasks.Read"), callers(app, "alice", "Tasks.Write")
    for method, params in (("resources/read", {"uri": "tasks://notes"}), ("prompts/get", {"name": "plan"})):
        assert SECRET in text_of(writer.request(method, **params))
        assert SECRET not in text_of(reader.request(method, **params))


@pytest.mark.parametrize("app", [*SESSIONS, *STREAMS])
def test_a_role_that_the_next_token_lacks_is_lost_within_the_session(callers, entra, app):
    alice = callers(app, "alice", "Tasks.Write")
    assert alice.call("secret") == SECRET
    alice.token = entra.token("alice", "Tasks.Read")
    assert SECRET not in alice.call("secret")
    assert SECRET not in alice.call("secret_async")
    alice.token = entra.token("alice", "Tasks.Write")
    assert alice.call("secret") == SECRET


@pytest.mark.parametrize("app", [*SESSIONS, *STREAMS])
def test_a_role_that_the_next_token_has_is_gained_within_the_session(callers, entra, app):
    alice = callers(app, "alice", "Tasks.Read")
    alice.token = entra.token("alice", "Tasks.Write")
    assert alice.call("secret") == SECRET


@pytest.mark.parametrize("app", [*SESSIONS, *STREAMS])
def test_a_message_without_a_valid_token_is_refused_within_the_session(callers, entra, app):
    alice = callers(app, "alice", "Tasks.Write")
    alice.token = entra.token("alice", "Tasks.Write", preset="expired")
    assert alice.post("tools/call", name="whoami", arguments={}).status_code == 401


def others(callers, entra, server, app, owner) -> list[McpCaller]:
    """Return callers that are not the owner: another user, another client, an application."""
    api_role = {"role": "Tasks.Write"}
    return [
        caller_of(server, app, entra.token("bob", **api_role)).joining(owner),
        caller_of(server, app, entra.token("alice", app=entra.other_client, **api_role)).joining(owner),
        caller_of(server, app, entra.token(None, **api_role)).joining(owner),
    ]


@pytest.mark.parametrize("app", SESSIONS)
def test_a_session_does_not_exist_for_others(callers, entra, server, app):
    alice = callers(app, "alice")
    for other in others(callers, entra, server, app, alice):
        assert other.post("tools/call", name="whoami", arguments={}).status_code == 404
        assert other.post("notifications/cancelled", notification=True, requestId=1).status_code == 404
        assert other.client.get(other.url, headers=other.headers()).status_code == 404
        assert other.client.delete(other.url, headers=other.headers()).status_code == 404
        twice = [*other.headers().items(), ("Mcp-Session-Id", alice.session)]
        own = caller_of(server, app, other.token).open()
        for headers in (twice, [*own.headers().items(), ("Mcp-Session-Id", alice.session)]):
            assert other.client.delete(other.url, headers=headers).status_code == 404
    assert alice.call("whoami") == entra.object_id("alice")


@pytest.mark.parametrize("app", ["sdk-http", "fastmcp-http"])
def test_a_question_of_the_server_is_answered_by_its_caller_alone(callers, entra, server, app):
    alice = callers(app, "alice")
    call = {"name": "ask", "arguments": {}}
    body = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": call}
    with alice.client.stream("POST", alice.url, json=body, headers=alice.headers()) as stream:
        messages = (
            json.loads(event["data"]) for event in events_of(stream.iter_lines()) if event.get("data")
        )
        asked = next(message for message in messages if message.get("method") == "elicitation/create")["id"]
        for other in others(callers, entra, server, app, alice):
            assert other.answer(asked, "forged") == 404
            caller_of(server, app, other.token).open().answer(asked, "forged")
        stranger = caller_of(server, app, entra.token("bob"))
        assert stranger.answer(asked, "forged") >= 400
        assert alice.answer(asked, "mine") == 202
        result = next(message for message in messages if message.get("id") == 77 and "result" in message)
    assert text_of(result) == "mine"


@pytest.mark.parametrize("app", SESSIONS)
def test_an_unknown_and_a_deleted_session_do_not_exist(callers, app):
    alice = callers(app, "alice")
    assert alice.client.delete(alice.url, headers=alice.headers()).status_code == 200
    assert alice.post("tools/list").status_code == 404
    alice.session = uuid.uuid4().hex
    assert alice.post("tools/list").status_code == 404


@pytest.mark.parametrize("app", SESSIONS)
def test_a_session_is_its_opener_s_with_tokens_of_both_versions(callers, entra, app):
    alice = callers(app, "alice")
    alice.token = entra.token("alice", version=1)
    assert alice.call("whoami") == entra.object_id("alice")


@pytest.mark.parametrize("app", STREAMS)
def test_the_messages_of_a_stream_are_its_opener_s_alone(callers, entra, server, app):
    alice = callers(app, "alice")
    query = httpx.URL(alice.url).params["session_id"]
    spellings = [alice.url, *(alice.url.replace(query, other(query)) for other in SPELLINGS)]
    for other in others(callers, entra, server, app, alice):
        own = caller_of(server, app, other.token).open()
        for url in (*spellings, f"{own.url}&session_id={query}"):
            other.url = url
            assert other.post("tools/call", name="whoami", arguments={}).status_code == 404, url
    assert alice.call("whoami") == entra.object_id("alice")


SPELLINGS = (
    str.upper,
    lambda hexes: str(uuid.UUID(hexes)),
    lambda hexes: f"%7B{hexes}%7D",
    lambda hexes: f"urn:uuid:{hexes}",
    lambda hexes: "".join(f"%{ord(letter):02x}" for letter in hexes),
)


@pytest.mark.parametrize("app", STREAMS)
def test_messages_for_a_stream_that_has_ended_are_refused(callers, entra, server, app):
    alice = callers(app, "alice")
    alice.close()
    other = caller_of(server, app, alice.token)
    other.url = alice.url
    deadline = time.monotonic() + 30  # the server notices that the client has gone
    while other.post("tools/list").status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("app", ["sdk-http", "fastmcp-http"])
def test_a_get_stream_ends_with_its_token(callers, entra, app):
    alice = callers(app, "alice")
    alice.token = entra.token("alice", lifetime=2)
    assert list(alice.listen()) == []


def test_a_get_stream_ends_with_its_token_whatever_its_client_accepts(callers, server, entra):
    if server.line == "mcp1":
        pytest.skip("the first line has no streams for clients that accept '*/*'")
    alice = callers("sdk-http", "alice")
    alice.token = entra.token("alice", lifetime=2)
    assert list(alice.listen(accept="*/*")) == []


def test_a_subscription_ends_with_its_token(server, entra):
    if server.line == "mcp1":
        pytest.skip("the first line has no subscriptions")
    alice = caller_of(server, "sdk-http", entra.token("alice", lifetime=2))
    messages = alice.subscribe(toolsListChanged=True, resourceSubscriptions=["tasks://" + "a" * 9000])
    assert [message["method"] for message in messages] == ["notifications/subscriptions/acknowledged"]


@pytest.mark.parametrize("app", STREAMS)
def test_a_stream_of_the_older_transport_ends_with_its_token(callers, app):
    assert callers(app, "alice", lifetime=2).ended.wait(10)


def test_a_resumed_stream_replays_nothing_of_other_callers(callers, entra):
    alice, bob = callers("fastmcp-http", "alice"), callers("fastmcp-http", "bob")
    events = events_of(alice.post("tools/call", name="whoami", arguments={}).text.splitlines())
    of_alice = next(event["id"] for event in events if "id" in event)
    alice.call("whoami")
    bob.token = entra.token("bob", lifetime=2)
    assert list(bob.listen(last_event=of_alice)) == []


@pytest.mark.parametrize("app", ["sdk-http", "sdk-sse", "fastmcp-http", "fastmcp-sse"])
def test_the_handler_of_a_notification_never_takes_the_opener_for_its_caller(callers, server, app):
    if server.line != "mcp1":
        pytest.skip("the second line runs each message in the context of its own request")
    alice = callers(app, "alice")
    alice.post("notifications/roots/list_changed", notification=True)
    assert "nobody" in alice.call("notifications")
    assert "-" not in alice.call("notifications")
