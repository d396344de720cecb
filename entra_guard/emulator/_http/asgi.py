"""The emulator as an ASGI app. A translation only.

To drop a connection it needs the server's help: an ASGI extension `entra_guard.connection` with `abort` and
`close`, which the emulator's own server gives. Under another server it raises, and that server closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

from entra_guard.emulator._http.messages import MAX_BODY, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from entra_guard.emulator._http.delivery import Answer

CONNECTION: Final = "entra_guard.connection"


class ConnectionDropped(Exception):  # noqa: N818 (it is no mistake)
    """Raised to make a server we do not know close a connection."""


def asgi_app(answer: Callable[[Request], Answer]) -> ASGIApp:
    """An ASGI app that hands requests to the emulator and its answers back."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] == "http":
            request = StarletteRequest(scope, receive)
            body = await _body(request)
            if body is None:
                await _to_starlette(_TOO_LARGE)(scope, receive, send)
            else:
                await _play(answer(_from_starlette(request, body)), scope, receive, send)

    return app


_TOO_LARGE = json_response({"error": "The emulator reads bodies of at most one mebibyte."}, 413)


async def _live(receive: Receive, send: Send) -> None:
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})


async def _play(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer, or do what a fault makes of it."""
    if answer.ending == "silent":
        await _gone(receive)
        return
    for seconds in answer.pauses():
        await anyio.sleep(seconds)
    if answer.ending in {"dropped", "refused"}:
        await _drop(scope, receive, "abort")
        return
    if answer.ending == "partial":
        await _send_half(answer.response, send)
        await _drop(scope, receive, "close")
        return
    await _to_starlette(answer.response)(scope, receive, send)
    answer.delivered()


async def _drop(scope: Scope, receive: Receive, how: str) -> None:
    connection = scope.get("extensions", {}).get(CONNECTION)
    if connection is None:
        raise ConnectionDropped
    connection[how]()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_half(response: Response, send: Send) -> None:
    headers = [*_to_starlette(response).raw_headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    half = response.body[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _body(request: StarletteRequest) -> bytes | None:
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
    answer = StarletteResponse(response.body, response.status)
    for name, value in response.headers:
        answer.headers.append(name, value)
    return answer
