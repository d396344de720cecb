"""An ASGI stream that ends with its token, or when that is revoked. Knows no guard.

The application is cancelled, so that one which only sends ends too, and then the stream is closed.
Other responses are not ended: a slow response, or work after the last byte.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import call_soon_threadsafe
from entra_guard._escaping import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from contextlib import AbstractContextManager

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log: Final = get_logger("entra_guard")

POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1

_LAST_CHUNK: Final = {"type": "http.response.body", "body": b"", "more_body": False}


def always(_message: Message) -> bool:
    """Return True: every stream ends."""
    return True


def never(_message: Message) -> bool:
    """Return False: no stream ends with its token."""
    return False


async def run_for(
    seconds: float,
    app: App,
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
    *,
    applies: Callable[[Message], bool],
    watch: Callable[[Callable[[], object]], AbstractContextManager[None]],
) -> None:
    """Run an application, and end its stream when a time is over or on request.

    Args:
        seconds: How long a stream may last.
        app: The application.
        scope: The request.
        receive: Receives a message of the client.
        send: Sends a message to the client.
        applies: Whether the stream is one that ends when the time is over, as of a message.
        watch: Receives a function that ends any stream, for any thread, and returns the context for that.
    """
    stream = _Stream(send, anyio.current_time() + seconds, applies)
    with stream.lifetime, watch(partial(_soon, call_soon_threadsafe(), stream.revoke)):
        await app(scope, receive, stream.send)
    if stream.lifetime.cancelled_caught and stream.is_open:
        log.info("%s %s: stream closed, the token is %s", scope["type"], printable(scope["path"]), stream.why)
        is_websocket = scope["type"] == "websocket"
        close = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": stream.why}
        await send(close if is_websocket else dict(_LAST_CHUNK))


class _Stream:
    """What an application sends, and how long it may.

    Args:
        send: Sends a message to the client.
        end: When the stream ends, if `applies` is true.
        applies: Whether it does, as of a message.

    Attributes:
        lifetime: The application runs in it; it is cancelled at the end.
        is_open: Whether the client waits for more.
        why: Why the stream ends.
    """

    def __init__(self, send: Send, end: float, applies: Callable[[Message], bool]) -> None:
        self._send = send
        self._end = end
        self._applies = applies
        self.lifetime = anyio.CancelScope()
        self.is_open = False
        self.why = "expired"

    async def send(self, message: Message) -> None:
        """Send a message of the application, unless the stream has ended."""
        was_open, self.is_open = self.is_open, _is_open(message, self.is_open)
        ends, is_over = self._applies(message) and self.is_open, anyio.current_time() >= self._end
        if is_over and message["type"] == "http.response.start":
            ends = False  # the rest may be one message, which is not a stream
        self.lifetime.deadline = self._end if ends else float("inf")
        if ends and is_over and was_open:
            return  # more of it, from an application that is slow to see its cancellation
        await self._send(message)

    def revoke(self) -> None:
        """End the stream now, or as soon as it begins."""
        self._end, self._applies, self.why = float("-inf"), always, "revoked"
        if self.is_open:
            self.lifetime.cancel()


def _soon(call_soon: Callable[[Callable[[], object]], object], function: Callable[[], object]) -> None:
    """Call a function in its event loop, if that still runs."""
    with suppress(RuntimeError):
        call_soon(function)


def _is_open(message: Message, was_open: bool) -> bool:
    """Return whether a stream is open after this message; one that declares its length needs no end."""
    kind: str = message["type"]
    if kind == "http.response.start":
        return all(name.lower() != b"content-length" for name, _value in message.get("headers", ()))
    if kind == "http.response.body":
        return was_open and bool(message.get("more_body"))
    return kind in {"websocket.accept", "websocket.send"}
