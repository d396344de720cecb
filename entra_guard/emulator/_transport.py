"""The emulator as an httpx transport, sync and async: no socket, no thread. A translation only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ._wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable


class InProcessTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Hands requests to the emulator and its answers back.

    Example:
        >>> client = httpx.Client(transport=entra.transport)
    """

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _to_httpx(self._answer(_from_httpx(request, request.read())))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return _to_httpx(self._answer(_from_httpx(request, await request.aread())))


def _from_httpx(request: httpx.Request, body: bytes) -> Request:
    return Request(
        method=request.method,
        scheme=request.url.scheme,
        host=request.headers.get("host", request.url.netloc.decode("ascii")),
        path=request.url.path,
        query=request.url.query.decode("ascii"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )


def _to_httpx(response: Response) -> httpx.Response:
    return httpx.Response(response.status, headers=list(response.headers), content=response.body)
