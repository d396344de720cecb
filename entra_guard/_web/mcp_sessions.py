"""Bind the sessions of MCP servers to the callers that opened them. Knows no guard and no MCP package.

The MCP SDK binds a session only to users of its own authentication, so behind a guard every caller with a
valid token could use and delete the sessions of others. A session belongs to the tenant, object and client
that opened it. For all others it does not exist: 404, as the MCP specification wants for an unknown session
("Transports", session management).

Three kinds of streams last until their client closes them, so they end with its token:

- Streamable HTTP: the response that opens a session names it in `Mcp-Session-Id`, and each further request
  repeats that. Only sessions that were seen here pass. The number kept is limited (see `SessionOwners`), and
  one that was dropped is unknown: its client opens a new one.
- HTTP with SSE: a GET stream, whose first event names the URL for messages, with `session_id` in it. It
  lives as long as its stream.
- Without a session (protocol version 2026-07-28): the response to `subscriptions/listen`, a POST. Its first
  event acknowledges the subscription. The response is read, and not the request's `Mcp-Method`.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

from cachetools import LRUCache

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.logs import get_logger
from entra_guard._common.shared import Shared
from entra_guard._escaping import printable
from entra_guard._web.session_owners import SessionOwners
from entra_guard.principal import OPENED_SESSION, PRINCIPAL

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from entra_guard._web.session_owners import Owner
    from entra_guard.principal import Principal

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]

log: Final = get_logger("entra_guard")

SESSION_HEADER: Final = b"mcp-session-id"
EVENT_STREAM: Final = b"text/event-stream"
_LENGTH: Final = len(SESSION_HEADER)
_CONTENT_TYPE: Final = b"content-type"
_LAST_EVENT_ID: Final = b"last-event-id"
_MOST_SESSIONS: Final = 20_000  # twice what the MCP SDK keeps open
_MOST_MESSAGE_PATHS: Final = 100
_LONGEST_FIRST_EVENT: Final = 4096

# The body of a 404, as the MCP SDK writes it.
SESSION_NOT_FOUND: Final = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Session not found"}}'
)


def owner_of(principal: Principal) -> Owner:
    """Return what a caller's sessions belong to: tenant, object, client, and an issuer other than Entra."""
    verified = principal.verified
    issuer = str(principal.claims.get("iss") or "")
    if verified.tenant_id and verified.tenant_id in issuer:
        issuer = ""  # Entra's v1.0 and v2.0 tokens of one caller have two issuers
    return (issuer, verified.tenant_id, verified.object_id or verified.subject, verified.app_id)


def _never(_principal: Principal) -> bool:
    return False


class McpSessions(Shared):
    """The open MCP sessions of one application, and whose they are. Thread-safe.

    Args:
        most: The largest number of sessions.
        seconds_left: Returns for how long a caller's token is accepted; None if streams outlive their token.
        is_revoked: Returns whether a caller's token was revoked: then its event streams end, of MCP or not.
    """

    def __init__(
        self,
        most: int = _MOST_SESSIONS,
        seconds_left: Callable[[Principal], float] | None = None,
        is_revoked: Callable[[Principal], bool] = _never,
    ) -> None:
        self.after_fork()
        reset_after_fork(self)
        self._seconds_left = seconds_left
        self.is_revoked = is_revoked
        self._owners = SessionOwners(most)
        self._streams: dict[str, Owner] = {}
        self._message_paths: LRUCache[str, bool] = LRUCache(_MOST_MESSAGE_PATHS)
        # Whether a URL for messages of an HTTP with SSE session is known: every request reads it.
        self.has_streams = False

    def after_fork(self) -> None:
        """Start with a free lock."""
        self._lock = Lock()

    def may_use(self, scope: Scope, principal: Principal) -> bool:
        """Return whether the session that an HTTP request names is the caller's, or it names none."""
        named = [value for name, value in scope["headers"] if name == SESSION_HEADER]
        if named:
            owner = owner_of(principal)
            with self._lock:
                if not all(self._owners.is_owner(session, owner) for session in named):
                    return False
        return not self.has_streams or self._may_post(scope, principal)

    def is_expired(self, principal: Principal) -> bool:
        """Return whether a stream of this caller ends now."""
        return self._seconds_left is not None and self._seconds_left(principal) <= 0

    def record(self, scope: Scope, start: Message) -> None:
        """Record the sessions that a response names: each was opened, continues, or has ended.

        Args:
            scope: The request, with its caller.
            start: The ASGI message "http.response.start".
        """
        for name, value in start.get("headers", ()):
            if name.lower() == SESSION_HEADER:
                self._record(scope, bytes(value), start["status"])

    def stream(self, scope: Scope, start: Message) -> EventStream | None:
        """Return what watches the body of a response that can open a session or be a subscription, else None.

        Args:
            scope: The request, with its caller.
            start: The ASGI message "http.response.start".
        """
        is_stream = scope["method"] == "POST" or (scope["method"] == "GET" and not names_session(scope))
        return EventStream(self, scope) if is_stream and _is_events(start) else None

    def _record(self, scope: Scope, session: bytes, status: int) -> None:
        is_over = scope["method"] == "DELETE" and status < _ERRORS
        is_named = names_session(scope)
        with self._lock:
            if status == _GONE or is_over:
                self._owners.remove(session)
            elif status < _ERRORS and not is_named:
                self._owners.add(session, owner_of(scope[PRINCIPAL]))
        if not is_named:
            scope[OPENED_SESSION] = True

    def opened_stream(self, endpoint: str, principal: Principal) -> list[str]:
        """Record a stream by the URL for its messages, and return the names of its session."""
        url = urlsplit(endpoint)
        sessions = _session_ids(url.query)
        with self._lock:
            self._message_paths[unquote(url.path).rstrip("/")] = True
            self.has_streams = True
            for session in sessions:
                self._streams.setdefault(session, owner_of(principal))
        return sessions

    def ended_stream(self, sessions: list[str]) -> None:
        """Forget the session of a stream that has ended."""
        with self._lock:
            for session in sessions:
                self._streams.pop(session, None)

    def _may_post(self, scope: Scope, principal: Principal) -> bool:
        sessions = _session_ids(scope.get("query_string", b"").decode("latin-1"))
        if not sessions:
            return True
        is_message_path = self._is_message_path(scope)
        owner = owner_of(principal)
        with self._lock:
            owners = [self._streams.get(session) for session in sessions]
        return all(found == owner or (found is None and not is_message_path) for found in owners)

    def _is_message_path(self, scope: Scope) -> bool:
        path: str = scope["path"]
        whole = f"{scope.get('root_path', '')}{path}"
        with self._lock:
            known = list(self._message_paths)
        return any(found == base or found.startswith(f"{base}/") for base in known for found in (path, whole))


_ERRORS: Final = 400
_GONE: Final = 404


def is_about_session(start: Message) -> bool:
    """Return whether a response names a session: what every response pays for."""
    for name, _value in start.get("headers", ()):  # a loop is quickest
        if len(name) == _LENGTH and name.lower() == SESSION_HEADER:
            return True
    return False


def _is_events(start: Message) -> bool:
    headers = start.get("headers", ())
    return any(name.lower() == _CONTENT_TYPE and value.startswith(EVENT_STREAM) for name, value in headers)


class EventStream:
    """The beginning of a stream, up to its first event: does it open an MCP session, or is it a subscription?

    Attributes:
        is_mcp: Whether it does, or is. False as long as that is not known.
    """

    __slots__ = ("_buffer", "_is_over", "_last", "_names", "_scope", "_sessions", "is_mcp")

    def __init__(self, sessions: McpSessions, scope: Scope) -> None:
        self._sessions = sessions
        self._scope = scope
        self._buffer: bytes | None = b""
        self._last: Message | None = None
        self._names: list[str] = []
        self.is_mcp = self._is_over = False

    def passed(self, message: Message) -> Message | None:
        """Return what is sent of a message of the body: all, the end of the stream, or None after that.

        A server that does not know that the token has expired, or was revoked, sees that its client has
        gone, as after an end.
        """
        self.feed(message)
        if self._is_over:
            return None
        principal = self._scope[PRINCIPAL]
        if self._sessions.is_revoked(principal) or (self.is_mcp and self._sessions.is_expired(principal)):
            self._is_over = True
            return {**message, "body": b"", "more_body": False}
        return message

    def feed(self, message: Message) -> None:
        """Read a message of the body; the same one twice is read once."""
        if self._buffer is None or message is self._last:
            return
        self._last = message
        received: bytes = self._buffer + message.get("body", b"")
        self._buffer = received
        if self._scope["method"] == "POST":
            # Before anything that a client can choose: the server writes the method first.
            self.is_mcp = _ACKNOWLEDGED in received
            if self.is_mcp or len(received) > _LONGEST_FIRST_EVENT:
                self._buffer = None
            return
        endpoint = _endpoint(received)
        if endpoint:
            self._names = self._sessions.opened_stream(endpoint, self._scope[PRINCIPAL])
            self._scope[OPENED_SESSION] = self.is_mcp = True
        if endpoint is not None or len(received) > _LONGEST_FIRST_EVENT:
            self._buffer = None

    def end(self) -> None:
        """Forget the session, as its stream has ended."""
        self._sessions.ended_stream(self._names)


_ACKNOWLEDGED: Final = b"notifications/subscriptions/acknowledged"


def _endpoint(events: bytes) -> str | None:
    """Return the data of a first event 'endpoint', '' for another event, None if more must be read.

    Source: HTML standard, section 9.2.6 (interpreting an event stream).
    """
    text = events.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    *blocks, _rest = text.split("\n\n")
    for block in blocks:
        lines = [line.partition(":") for line in block.split("\n") if line and line[0] != ":"]
        fields = {name: value for name, _colon, value in lines}
        if fields:
            return fields.get("data", "").strip() if fields.get("event", "").strip() == "endpoint" else ""
    return None


def _session_ids(query: str) -> list[str]:
    """Return the session ids in a query string, each in one spelling, as the SDK reads them."""
    return [_canonical(value) for name, value in parse_qsl(query) if name == "session_id"]


def _canonical(session: str) -> str:
    try:
        return UUID(hex=session).hex
    except ValueError:
        return session


def names_session(scope: Scope) -> bool:
    """Return whether a request names a session of Streamable HTTP."""
    return any(name == SESSION_HEADER for name, _value in scope["headers"])


def drop_resumption(scope: Scope) -> None:
    """Remove `Last-Event-ID` from a request that names a session.

    The event stores of MCP servers number the streams of all sessions in one sequence, so that a resumed
    stream could replay the messages of other callers. A server may ignore the header (MCP specification,
    "Transports").
    """
    scope["headers"] = [header for header in scope["headers"] if header[0] != _LAST_EVENT_ID]


def log_not_found(scope: Scope) -> None:
    """Log that a request named a session that is not its caller's."""
    log.warning(
        "404 %s %s: the MCP session is not this caller's, or is not known to this process. A session belongs "
        "to the tenant, object and client that opened it, and its requests must reach the same process.",
        printable(scope["method"]),
        printable(scope["path"]),
    )
