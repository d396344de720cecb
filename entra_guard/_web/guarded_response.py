"""The response of an application behind the ASGI guard: passed on, recorded, or replaced by a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._web.asgi_response import send_refusal
from entra_guard._web.decisions import AcceptedRequest, log_refusal
from entra_guard._web.http_errors import REFUSAL, is_about_body
from entra_guard._web.mcp_sessions import is_about_session
from entra_guard._web.route_template import asgi_route
from entra_guard._web.websocket_token import with_subprotocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import Message, Scope, Send

    from entra_guard._web.mcp_sessions import EventStream, McpSessions
    from entra_guard.errors import AccessError
    from entra_guard.principal import Principal

_REFUSED: Final = 400
_HIDDEN: Final = 500
# What may have been sent last, so that the client can still be sent a refusal.
_REFUSABLE: Final = frozenset({"", "websocket.accept", "websocket.send"})


class GuardedResponse:
    """Sends what the application sends, except for a 500 that hides a refusal: then sends the refusal.

    A middleware inside of the guard that responds with 500 to every exception hides a refusal by `@requires`.
    """

    __slots__ = (
        "_last",
        "_replaced",
        "_scope",
        "_sessions",
        "_start",
        "_stream",
        "pass_on",
        "subprotocol",
    )

    def __init__(self, scope: Scope, send: Send, sessions: McpSessions) -> None:
        self._scope = scope
        self.pass_on = send
        self._sessions = sessions
        self._start: Message | None = None
        self._stream: EventStream | None = None
        self._last = ""
        self._replaced = False
        # To select if the application selects none.
        self.subprotocol = ""

    def accept(self, principal: Principal, *, with_user: bool) -> None:
        """Do nothing: the request is not recorded."""

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application."""
        self._last = kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            if is_about_session(message):
                self._sessions.record(self._scope, message)
            if message["status"] >= _REFUSED and REFUSAL in self._scope:
                if message["status"] == _HIDDEN:
                    return self._send_instead(message)
                self._log_own_response(message["status"])
        elif self._replaced:
            return _send_nothing()  # the body of the 500
        elif self._stream is not None or message.get("more_body"):
            return self._send_part(message)
        elif self.subprotocol:
            message = with_subprotocol(message, self.subprotocol)
        return self.pass_on(message)

    def _send_part(self, message: Message) -> Awaitable[None]:
        """Send a part of a body, unless that is a stream of MCP that has ended."""
        stream = self._stream_of(message)
        passed = message if stream is None else stream.passed(message)
        return _send_nothing() if passed is None else self.pass_on(passed)

    def _stream_of(self, message: Message) -> EventStream | None:
        """Return what watches the body, None if that is not a stream of events: as of its first part."""
        if self._start is not None and message.get("more_body"):
            start, self._start = self._start, None
            self._stream = self._sessions.stream(self._scope, start)
        return self._stream

    def _log_own_response(self, status: int) -> None:
        """Log a refusal that the framework, or a handler of the application, responds to."""
        error: AccessError = self._scope[REFUSAL]
        if status == error.status:
            log_refusal(
                error, self._scope["method"], self._scope["path"], self._scope, asgi_route(self._scope)
            )

    def is_mcp_stream(self, message: Message) -> bool:
        """Return whether the response is a stream that lasts as long as an MCP client wants it to."""
        stream = self._stream_of(message)
        if stream is None:
            return False
        if message["type"] == "http.response.body":
            stream.feed(message)
        return stream.is_mcp

    def end(self) -> None:
        """Forget what belongs to the response, as the request has ended."""
        if self._stream is not None:
            self._stream.end()

    @property
    def can_refuse(self) -> bool:
        """Whether the client can still be sent a refusal, or has been sent one already."""
        return self._replaced or self._last in _REFUSABLE

    async def refuse(self, error: AccessError) -> None:
        """Respond with a refusal that the application raised."""
        if not self._replaced:
            await send_refusal(error, self._scope, self.pass_on, accepted=bool(self._last))

    async def _send_instead(self, message: Message) -> None:
        """Send the refusal that a 500 hides."""
        self._replaced = True
        kept = [
            (name, value) for name, value in message.get("headers", ()) if not is_about_body(name.lower())
        ]
        await send_refusal(self._scope[REFUSAL], self._scope, self.pass_on, more_headers=kept)


async def _send_nothing() -> None:
    """Do nothing: the response has ended, and its application has not noticed yet."""


class ObservedResponse(GuardedResponse):
    """A response to a request that is recorded in a log, metrics or spans: see `decisions`."""

    __slots__ = ("_accepted",)

    def __init__(self, scope: Scope, send: Send, sessions: McpSessions) -> None:
        super().__init__(scope, send, sessions)
        self._accepted: AcceptedRequest | None = None

    def accept(self, principal: Principal, *, with_user: bool) -> None:
        """Note the caller of the request, whose token is valid."""
        scope = self._scope
        method = scope.get("method", "WEBSOCKET")
        self._accepted = AcceptedRequest(principal, scope, method, scope["path"], with_user=with_user)

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application; by the first one it is clear which route responds."""
        sent = super().send(message)
        if not self._replaced:
            self._finish()
        return sent

    def end(self) -> None:
        """Record the request, if it has sent nothing."""
        self._finish()
        super().end()

    def _finish(self) -> None:
        if self._accepted is not None:
            accepted, self._accepted = self._accepted, None
            accepted.finish(asgi_route(self._scope))
