"""The emulator as an ASGI app. A translation and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

from ._wire import MAX_BODY, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send


def asgi_app(answer: Callable[[Request], Response]) -> ASGIApp:
    """An ASGI app that hands requests to the emulator and its answers back."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] == "http":
            request = StarletteRequest(scope, receive)
            body = await _body(request)
            response = _TOO_LARGE if body is None else answer(_from_starlette(request, body))
            await _to_starlette(response)(scope, receive, send)

    return app


_TOO_LARGE = json_response({"error": "The emulator reads bodies of at most one mebibyte."}, 413)


async def _live(receive: Receive, send: Send) -> None:
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})


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
