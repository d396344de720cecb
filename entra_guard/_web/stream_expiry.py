"""An ASGI stream that ends with its token: a WebSocket, or a streamed response. Knows no guard.

The application is cancelled, so that one which only sends ends too, and then the stream is closed.
Other responses are not ended: a slow answer, or work after the last byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from entra_guard._common.logs import get_logger
from entra_guard.errors import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log: Final = get_logger("entra_guard")

POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1

_ENDS: Final[dict[str, dict[str, Any]]] = {
    "websocket": {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "expired"},
    "http": {"type": "http.response.body", "body": b"", "more_body": False},
}


def always(_message: Message) -> bool:
    """Return True: every stream ends."""
    return True


async def run_for(
    seconds: float,
    app: App,
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
    *,
    applies: Callable[[Message], bool] = always,
) -> None:
    """Run an application, and end its stream when a time is over.

    Args:
        seconds: How long a stream may last.
        app: The application.
        scope: The request.
        receive: Receives a message of the client.
        send: Sends a message to the client.
        applies: Whether the stream is one that ends, as of a message.
    """
    end = anyio.current_time() + seconds
    is_open = False
    with anyio.CancelScope() as lifetime:

        async def timed(message: Message) -> None:
            nonlocal is_open
            was_open, is_open = is_open, _is_open(message, is_open)
            is_over = anyio.current_time() >= end
            may_be_whole = is_over and message["type"] == "http.response.start"
            ends = applies(message)
            lifetime.deadline = end if is_open and ends and not may_be_whole else float("inf")
            if was_open and is_open and is_over and ends:
                return  # more of it, from an application that is slow to see its cancellation
            await send(message)

        await app(scope, receive, timed)
    if lifetime.cancelled_caught and is_open:
        log.info("%s %s: stream closed, the token has expired", scope["type"], printable(scope["path"]))
        await send(dict(_ENDS[scope["type"]]))


def _is_open(message: Message, was_open: bool) -> bool:
    """Whether a stream is open after this message. A response that declares its length ends by itself."""
    kind: str = message["type"]
    if kind == "http.response.start":
        return all(name.lower() != b"content-length" for name, _value in message.get("headers", ()))
    if kind == "http.response.body":
        return was_open and bool(message.get("more_body"))
    return kind in {"websocket.accept", "websocket.send"}
