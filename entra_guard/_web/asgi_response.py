"""Send a refusal, or any small response, in ASGI messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard._web.decisions import log_refusal
from entra_guard._web.route_template import asgi_route
from entra_guard._web.stream_expiry import POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Scope, Send

    from entra_guard.errors import AccessError

    RawHeaders = Iterable[tuple[bytes, bytes]]


async def send_refusal(
    error: AccessError,
    scope: Scope,
    send: Send,
    *,
    accepted: bool = False,
    more_headers: RawHeaders = (),
) -> None:
    """Log a refusal and respond with it.

    A WebSocket is closed before it is accepted, with the whole response where the server can send one
    (ASGI: "WebSocket Denial Response"). One that the application has `accepted` is closed with 1008.
    """
    method = scope.get("method", "WEBSOCKET")
    log_refusal(error, method, scope["path"], scope, asgi_route(scope))
    prefix = "http.response"
    if scope["type"] == "websocket":
        if accepted or "websocket.http.response" not in (scope.get("extensions") or ()):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.reason})
            return
        prefix = "websocket.http.response"
    await send_response(
        send,
        prefix,
        error.status,
        error.headers,
        error.body,
        head=method == "HEAD",
        more_headers=more_headers,
    )


async def send_response(
    send: Send,
    prefix: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    head: bool,
    more_headers: RawHeaders = (),
) -> None:
    """Send a response with a body; without the body to a HEAD request."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    raw += more_headers
    await send({"type": f"{prefix}.start", "status": status, "headers": raw})
    await send({"type": f"{prefix}.body", "body": b"" if head else body})
