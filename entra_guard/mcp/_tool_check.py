"""Refuse the call of a protected tool with 403 before the server's response starts. Knows no guard.

The MCP specification lets a client request more scopes after a 403 with `insufficient_scope` (step-up). A
tool runs when the response may have started, so the parsed body of the request is checked first: the same
body that the server executes, never `Mcp-*` headers. `@requires` checks the caller again when the tool runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.strict_json import once_each
from entra_guard._web.asgi_response import send_response
from entra_guard.errors import AccessError
from entra_guard.mcp._hidden_token import hide_token
from entra_guard.mcp._requirements import components_in, requirements_if_known
from entra_guard.principal import PRINCIPAL, current_principal
from entra_guard.requirement import check_any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from entra_guard.mcp._metadata import ResourceMetadata
    from entra_guard.requirement import Requirement

_LONGEST_BODY: Final = 4 * 1024 * 1024  # the limit of the MCP SDK
_MOST_COMPONENTS: Final = 200  # a lookup takes up to a millisecond, in which nothing else runs
_PARSE_ERROR: Final = -32700  # JSON-RPC 2.0, section 5.1
_INVALID_PARAMS: Final = -32602
_FORBIDDEN: Final = 403
_COMPLETION: Final = "completion/complete"


class ToolCheck:
    """An ASGI application that checks the messages of a request before the MCP server gets them."""

    def __init__(
        self,
        app: ASGIApp,
        server: Any,
        metadata: ResourceMetadata,
        required: tuple[Requirement, ...],
    ) -> None:
        self.app = app
        self._server = server
        self._metadata = metadata
        self._required = required

    @property
    def has_server(self) -> bool:
        """Whether the application is a server that can say what its tools require."""
        return self._server is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if PRINCIPAL in scope:  # not on a public path
            if self._required:
                self._check([self._required])
            if scope["type"] == "http" and scope["method"] == "POST" and self.has_server:
                body, receive = await _read(receive)
                if len(body) > _LONGEST_BODY:
                    await _refuse(send, 413, "Request body too large")
                    return
                messages = _messages(body)
                if messages is None and _is_json(scope):
                    await _refuse(send, 400, "Parse error")
                    return
                refused = await self._refused(messages or [])
                if refused:
                    await _refuse(send, 400, *refused)
                    return
            if scope["type"] == "http" and self.has_server:
                hide_token(scope)
        await self.app(scope, receive, send)

    async def _refused(self, messages: list[tuple[str, Any]]) -> tuple[str, int] | None:
        """Check what the messages of a request use, and return why the request is not passed on.

        Raises:
            AccessError: The caller may not use it.
        """
        used = dict.fromkeys(
            (component, method == _COMPLETION)
            for method, params in messages
            for component in components_in(method, params)
        )
        if len(used) > _MOST_COMPONENTS:
            return "Too many tools, prompts and resources in one request", _INVALID_PARAMS
        for component, is_completion in used:
            required = await requirements_if_known(self._server, component)
            if required is None and is_completion:
                # A handler may look at the argument only, so an unknown name is not harmless.
                return "Unknown prompt or resource", _INVALID_PARAMS
            self._check(required or [])
        return None

    def _check(self, all_required: list[tuple[Requirement, ...]]) -> None:
        for alternatives in all_required:
            try:
                check_any(alternatives, current_principal())
            except AccessError as error:
                has = {*current_principal().scopes}
                lacking = next((one.scopes for one in alternatives if {*one.scopes} - has), ())
                full = (*self._metadata.scopes, *map(self._metadata.full, lacking))
                is_helped = lacking or error.status != _FORBIDDEN
                error.scope = " ".join(dict.fromkeys(full)) if is_helped else ""
                error.resource_metadata = self._metadata.url
                raise


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """Read the body of a request, and return it with a `receive` that repeats it as one message."""
    body = bytearray()
    message: Message = {"more_body": True}
    while message.get("more_body") and len(body) <= _LONGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
    is_over = message["type"] != "http.request"  # the client has gone
    whole: Message = {"type": "http.request", "body": bytes(body), "more_body": is_over}
    repeated = [whole, message] if is_over else [whole]

    async def again() -> Message:
        return repeated.pop(0) if repeated else await receive()

    return bytes(body), again


async def _refuse(send: Send, status: int, message: str, code: int = _PARSE_ERROR) -> None:
    """Refuse a body whose messages cannot be checked: the server might read it in another way."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    await send_response(send, "http.response", status, headers, json.dumps(error).encode(), head=False)


def _is_json(scope: Scope) -> bool:
    """Return whether a body is declared as JSON: MCP servers read no other."""
    return any(name == b"content-type" and b"json" in value.lower() for name, value in scope["headers"])


def _messages(body: bytes) -> list[tuple[str, Any]] | None:
    """Return the method and parameters of each JSON-RPC message in a body, batches included; None if none.

    A name that occurs twice in an object has two readings, and the server might use the other one.
    """
    try:
        parsed: object = json.loads(body, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        return None
    batch = cast("list[object]", parsed) if isinstance(parsed, list) else [parsed]
    found: list[tuple[str, Any]] = []
    for message in batch:
        if isinstance(message, dict):
            members = cast("dict[str, Any]", message)
            found.append((str(members.get("method")), members.get("params")))
    return found
