"""The sessions of an MCP server in any ASGI application, where the SDK's own servers cannot show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from manual_clock import ManualClock
from starlette.testclient import TestClient

from entra_guard._web.mcp_sessions import McpSessions
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Guard
    from entra_guard.testing import Entra

ACCEPT = {"accept": "text/event-stream"}


def scope_of(*sessions: bytes) -> dict[str, Any]:
    headers = [(b"mcp-session-id", session) for session in sessions]
    return {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}


def start(status: int, session: bytes) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"Mcp-Session-Id", session)]}


def test_a_session_that_was_dropped_is_unknown_to_all(entra: Entra) -> None:
    sessions, alice = McpSessions(most=2), entra.principal(user="alice", scopes=["access_as_user"])
    for session in (b"1", b"2", b"3"):
        sessions.record(scope_of() | {"entra_guard.principal": alice}, start(200, session))
    assert [sessions.may_use(scope_of(session), alice) for session in (b"1", b"2", b"3")] == [
        False,
        True,
        True,
    ]


def test_a_session_never_changes_its_owner(entra: Entra) -> None:
    sessions = McpSessions()
    alice, bob = (entra.principal(user=user, scopes=["access_as_user"]) for user in ("alice", "bob"))
    for caller in (alice, bob):
        sessions.record(scope_of() | {"entra_guard.principal": caller}, start(200, b"1"))
    assert sessions.may_use(scope_of(b"1"), alice)
    assert not sessions.may_use(scope_of(b"1"), bob)


def test_a_refused_request_opens_no_session(entra: Entra) -> None:
    sessions, alice = McpSessions(), entra.principal()
    sessions.record(scope_of() | {"entra_guard.principal": alice}, start(400, b"1"))
    assert not sessions.may_use(scope_of(b"1"), alice)


async def echo(scope: Any, _receive: Any, send: Any) -> None:
    body = b"; ".join(name + b"=" + value for name, value in scope["headers"])
    kind = (b"content-type", b"text/event-stream")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    await send({"type": "http.response.body", "body": b": a comment\r\n\r\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"event: tick\r\ndata: ", "more_body": True})
    await send({"type": "http.response.body", "body": body + b"\r\n\r\n", "more_body": False})


def test_event_streams_of_other_applications_are_left_alone(
    guard: Guard, bearer: Callable[..., dict[str, str]]
) -> None:
    client = TestClient(GuardMiddleware(echo, guard=guard))
    headers = bearer() | ACCEPT | {"last-event-id": "7"}
    response = client.get("/events?session_id=1", headers=headers)
    assert "last-event-id=7" in response.text


async def split_endpoint(scope: Any, _receive: Any, send: Any) -> None:
    """Open a session, with its first event in pieces, and call back while it is open."""
    if scope["method"] == "POST":
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    kind = (b"Content-Type", b"text/event-stream; charset=utf-8")
    await send({"type": "http.response.start", "status": 200, "headers": [kind]})
    for piece in (b"event: end", b"point\ndata: /messages?session_id=one", b"\n", b"\n"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    for ask in scope["state"]["asks"]:
        await ask()
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("path", "query", "user", "status"),
    [
        ("/messages", "session_id=one", "alice", 202),
        ("/messages", "session_id=one", "bob", 404),
        ("/messages/", "session_id=one", "bob", 404),
        ("/messages", "session_id=two", "alice", 404),
        ("/messages", "session_id=one&session_id=two", "alice", 404),
        ("/elsewhere", "session_id=one", "bob", 404),
        ("/elsewhere", "session%5Fid=o%6Ee", "bob", 404),
        ("/elsewhere", "session_id=two", "bob", 202),
    ],
)
def test_the_first_event_of_a_stream_names_its_session(
    entra: Entra, guard: Guard, path: str, query: str, user: str, status: int
) -> None:
    import anyio

    app = GuardMiddleware(split_endpoint, guard=guard)
    statuses: list[int] = []

    def request(method: str, path: str, query: str, user: str, asks: Any = ()) -> Any:
        token = entra.token(user=user, scopes=["access_as_user"])
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"accept", b"text/event-stream")]
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}

        async def send(message: Any) -> None:
            if "status" in message and method == "POST":
                statuses.append(message["status"])

        return app(scope | {"headers": headers, "state": {"asks": asks}}, None, send)

    async def main() -> None:
        await request("GET", "/sse", "", "alice", [lambda: request("POST", path, query, user)])

    anyio.run(main)
    assert statuses == [status]


SUBSCRIBED = b'data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}'


@pytest.mark.parametrize(
    ("method", "first"), [("GET", b"event: endpoint\r\ndata: /messages?session_id=1"), ("POST", SUBSCRIBED)]
)
def test_a_stream_of_a_client_that_names_no_events_sends_nothing_after_its_token(
    entra: Entra, method: str, first: bytes
) -> None:
    """Its client accepted '*/*', so that the request does not show that the response is a stream."""
    clock = ManualClock(entra.now())
    kinds: list[str] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        kind = (b"content-type", b"text/event-stream")
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        for event in (first, b"data: early", b"data: late", b"data: later"):
            if event == b"data: late":
                clock.advance(10_000)
            await send({"type": "http.response.body", "body": event + b"\r\n\r\n", "more_body": True})
        kinds.append((await receive())["type"])

    client = TestClient(GuardMiddleware(stream, guard=entra.guard(clock=clock)))
    token = entra.token(user="alice", scopes=["access_as_user"])
    headers = {"authorization": f"Bearer {token}", "accept": "*/*"}
    text = client.request(method, "/mcp", headers=headers).text
    assert "early" in text
    assert "late" not in text
    assert kinds == ["http.disconnect"]
