"""The emulator as an httpx transport, sync and async: no socket, no thread. A translation only.

Where a fault breaks the exchange it raises what a client with a socket would have seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import httpx

from entra_guard.emulator._http.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from entra_guard.emulator._http.delivery import Answer


class InProcessTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Hands requests to the emulator and its answers back.

    Example:
        >>> client = httpx.Client(transport=entra.transport)
    """

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(_from_httpx(request, request.read()))
        for seconds in answer.pauses(_patience(request)):
            time.sleep(seconds)
        return _to_httpx(answer, request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(_from_httpx(request, await request.aread()))
        for seconds in answer.pauses(_patience(request)):
            await anyio.sleep(seconds)
        return _to_httpx(answer, request)


def _patience(request: httpx.Request) -> float:
    """Seconds the client would wait for an answer."""
    read = request.extensions.get("timeout", {}).get("read")
    return float("inf") if read is None else float(read)


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


def _to_httpx(answer: Answer, request: httpx.Request) -> httpx.Response:
    late = answer.held is None and answer.delay > _patience(request)
    if answer.ending == "silent" or late:
        raise httpx.ReadTimeout("The read operation timed out", request=request)
    if answer.ending == "refused":
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
    if answer.ending == "dropped":
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    answer.delivered()
    headers, body = list(answer.response.headers), answer.response.body
    if answer.ending == "partial":
        return httpx.Response(answer.response.status, headers=headers, stream=_BrokenOff(body, request))
    return httpx.Response(answer.response.status, headers=headers, content=body)


@dataclass(frozen=True, slots=True)
class _BrokenOff(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Half a body, and then the connection is gone."""

    body: bytes
    request: httpx.Request

    def __iter__(self) -> Iterator[bytes]:
        half = len(self.body) // 2
        yield self.body[:half]
        raise httpx.RemoteProtocolError(
            "peer closed connection without sending complete message body "
            f"(received {half} bytes, expected {len(self.body)})",
            request=self.request,
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part
