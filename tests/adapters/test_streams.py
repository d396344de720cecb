"""Streams that outlive their token are ended: WebSockets by default, streamed responses with `close_at_expiry`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from entra_guard import current_principal
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.testing import Entra

    Run = Callable[..., Any]

SOON = 0.02
LATE = 30.0


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    return trio.run if request.param == "trio" else lambda work: asyncio.run(work())


def talk(run: Run, app: Any, entra: Entra, kind: str, left: float, **settings: Any) -> list[dict[str, Any]]:
    """Open a stream with a token that has so many seconds left, and collect what the guard lets out."""
    token = entra.token()
    nearly = entra.guard().verify(token).expires_at - left
    guard = entra.guard(leeway=0, clock=lambda: nearly)
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        async def send(message: dict[str, Any]) -> None:
            sent.append(dict(message))

        async def receive() -> dict[str, Any]:
            await anyio.sleep(LATE)
            raise AssertionError

        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": kind, "path": "/", "method": "GET", "headers": headers}
        if kind == "websocket":
            del scope["method"]
        with anyio.fail_after(LATE):
            await GuardMiddleware(app, guard=guard, **settings)(scope, receive, send)

    run(main)
    return sent


async def endless_websocket(_scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await receive()


async def endless_events(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        await anyio.sleep(SOON)


def test_a_websocket_is_closed_when_its_token_expires(run: Run, entra: Entra) -> None:
    sent = talk(run, endless_websocket, entra, "websocket", SOON)
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1008, "reason": "expired"},
    ]


def test_a_websocket_that_only_sends_is_closed_too(run: Run, entra: Entra) -> None:
    async def ticker(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": current_principal().app_id})
            await anyio.sleep(SOON / 4)

    sent = talk(run, ticker, entra, "websocket", SOON)
    assert sent[1]["text"] == entra.caller.client_id
    assert sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "expired"}


def test_a_websocket_outlives_its_token_with_close_at_expiry_false(run: Run, entra: Entra) -> None:
    async def patient(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await anyio.sleep(SOON * 3)
        await send({"type": "websocket.close"})

    sent = talk(run, patient, entra, "websocket", SOON, close_at_expiry=False)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert "code" not in sent[1]


def test_the_application_can_work_after_the_close(run: Run, entra: Entra) -> None:
    done: list[str] = []

    async def tidy(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        await anyio.sleep(SOON * 3)
        done.append("tidied up")

    sent = talk(run, tidy, entra, "websocket", SOON)
    assert len(sent) == 2
    assert done == ["tidied up"]


def test_a_streamed_response_ends_with_its_token_with_close_at_expiry(run: Run, entra: Entra) -> None:
    sent = talk(run, endless_events, entra, "http", SOON, close_at_expiry=True)
    assert sent[1]["body"] == b"event"
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("close_at_expiry", [None, False])
def test_a_streamed_response_outlives_its_token_by_default(
    run: Run, entra: Entra, close_at_expiry: bool | None
) -> None:
    async def events(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await anyio.sleep(SOON * 3)
        await send({"type": "http.response.body", "body": b"two"})

    sent = talk(run, events, entra, "http", SOON, close_at_expiry=close_at_expiry)
    assert [message.get("body") for message in sent] == [None, b"one", b"two"]


def test_a_slow_response_and_work_after_it_are_not_cut(run: Run, entra: Entra) -> None:
    done: list[str] = []

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await anyio.sleep(SOON * 3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"late"})
        await anyio.sleep(SOON * 3)
        done.append("background task")

    sent = talk(run, slow, entra, "http", SOON, close_at_expiry=True)
    assert sent[-1]["body"] == b"late"
    assert done == ["background task"]


def test_a_cancelled_application_can_clean_up(run: Run, entra: Entra) -> None:
    seen: list[str] = []

    async def careful(scope: Any, receive: Any, send: Any) -> None:
        try:
            await endless_websocket(scope, receive, send)
        finally:
            seen.append("cleaned up")

    talk(run, careful, entra, "websocket", SOON)
    assert seen == ["cleaned up"]


def test_a_silent_stream_ends_too_and_no_late_event_is_sent(run: Run, entra: Entra) -> None:
    async def idle(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep(LATE)
        raise AssertionError

    sent = talk(run, idle, entra, "http", SOON, close_at_expiry=True)
    assert sent[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]


def test_a_stream_that_begins_after_its_token_expired_is_empty(run: Run, entra: Entra) -> None:
    async def late(_scope: Any, _receive: Any, send: Any) -> None:
        await anyio.sleep(SOON * 3)
        await endless_events(_scope, _receive, send)

    sent = talk(run, late, entra, "http", SOON, close_at_expiry=True)
    assert [message.get("body") for message in sent] == [None, b""]


def test_a_response_with_a_content_length_is_not_cut(run: Run, entra: Entra) -> None:
    async def download(_scope: Any, _receive: Any, send: Any) -> None:
        length = [(b"Content-Length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await anyio.sleep(SOON * 3)
        await send({"type": "http.response.body", "body": b"2", "more_body": True})
        await send({"type": "http.response.body"})

    sent = talk(run, download, entra, "http", SOON, close_at_expiry=True)
    assert b"".join(message.get("body", b"") for message in sent) == b"12"
    assert len(sent) == 4


def test_an_application_that_closes_when_it_is_cancelled_closes_once(run: Run, entra: Entra) -> None:
    async def polite(scope: Any, receive: Any, send: Any) -> None:
        try:
            await endless_websocket(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await send({"type": "websocket.close", "code": 1001})

    sent = talk(run, polite, entra, "websocket", SOON)
    assert sent[1:] == [{"type": "websocket.close", "code": 1001}]


def test_an_application_that_ignores_its_cancellation_sends_nothing_more(run: Run, entra: Entra) -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        try:
            await endless_websocket(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await send({"type": "websocket.send", "text": "one more thing"})

    sent = talk(run, deaf, entra, "websocket", SOON)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
