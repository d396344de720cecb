"""The emulator as an ASGI app.

To interrupt a connection it needs the server's help: the ASGI extension `entra_guard.connection` with the
functions `abort` and `close`, which the emulator's own server provides. Under another server it raises, and
that server closes the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

from entra_guard.emulator._http.messages import MAX_BODY, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from entra_guard.emulator._http.delivery import Delivery

_PAGES: Final = "/portal/"
CONNECTION: Final = "entra_guard.connection"
_TOO_LARGE: Final = json_response({"error": f"The body exceeds {MAX_BODY} bytes; send a smaller one."}, 413)


class ConnectionDropped(Exception):  # noqa: N818 (a signal, not an error)
    """Make a server without the extension close the connection."""


def asgi_app(respond: Callable[[Request], Delivery]) -> ASGIApp:
    """Return an ASGI app that passes requests to the emulator and sends its responses."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
        if scope["type"] == "http":
            request = StarletteRequest(scope, receive)
            body = await _read_body(request)
            if body is None:
                await _to_starlette(_TOO_LARGE)(scope, receive, send)
            else:
                converted = _from_starlette(request, body)
                await _deliver(await _respond(respond, converted), scope, receive, send)

    return app


async def _respond(respond: Callable[[Request], Delivery], request: Request) -> Delivery:
    """Return the response. Pages may call a guard, which waits for this emulator: they run on a thread."""
    if request.path.startswith(_PAGES):
        return await anyio.to_thread.run_sync(respond, request)
    return respond(request)


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


async def _deliver(delivery: Delivery, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response, or interrupt the exchange as the fault requires."""
    if delivery.ending == "silent":
        await _wait_for_disconnect(receive)
        return
    for seconds in delivery.pauses():
        await anyio.sleep(seconds)
    if delivery.ending in {"dropped", "refused"}:
        await _end_connection(scope, receive, "abort")
        return
    if delivery.ending == "partial":
        await _send_half(delivery.response, send)
        await _end_connection(scope, receive, "close")
        return
    await _to_starlette(delivery.response)(scope, receive, send)
    delivery.mark_sent()


async def _end_connection(scope: Scope, receive: Receive, how: str) -> None:
    connection = scope.get("extensions", {}).get(CONNECTION)
    if connection is None:
        raise ConnectionDropped
    connection[how]()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_half(response: Response, send: Send) -> None:
    headers = [*_to_starlette(response).raw_headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    half = response.body[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _read_body(request: StarletteRequest) -> bytes | None:
    """Return the body, or None if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _from_starlette(request: StarletteRequest, body: bytes) -> Request:
    return Request(
        method=request.method,
        scheme=request.scope["scheme"],
        host=request.headers.get("host", ""),
        path=request.scope["path"],
        query=request.scope["query_string"].decode("latin-1"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )


def _to_starlette(response: Response) -> StarletteResponse:
    converted = StarletteResponse(response.body, response.status)
    for name, value in response.headers:
        converted.headers.append(name, value)
    return converted
