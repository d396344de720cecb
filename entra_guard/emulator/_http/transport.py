"""The emulator as an httpx transport, sync and async, without sockets or threads.

If a fault interrupts the exchange, it raises the exception that a client with a socket would get.
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

    from entra_guard.emulator._http.delivery import Delivery


class InProcessTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Pass requests to the emulator and return its responses.

    Example:
        >>> client = httpx.Client(transport=entra.transport)
    """

    def __init__(self, respond: Callable[[Request], Delivery]) -> None:
        self._respond = respond

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        delivery = self._respond(_from_httpx(request, request.read()))
        for seconds in delivery.pauses(_read_timeout(request)):
            time.sleep(seconds)
        return _to_httpx(delivery, request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        delivery = self._respond(_from_httpx(request, await request.aread()))
        for seconds in delivery.pauses(_read_timeout(request)):
            await anyio.sleep(seconds)
        return _to_httpx(delivery, request)


def _read_timeout(request: httpx.Request) -> float:
    """Return the client's read timeout in seconds."""
    timeout = request.extensions.get("timeout", {}).get("read")
    return float("inf") if timeout is None else float(timeout)


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


def _to_httpx(delivery: Delivery, request: httpx.Request) -> httpx.Response:
    late = delivery.wait_for is None and delivery.delay > _read_timeout(request)
    if delivery.ending == "silent" or late:
        raise httpx.ReadTimeout("The read operation timed out", request=request)
    if delivery.ending == "refused":
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
    if delivery.ending == "dropped":
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    delivery.mark_sent()
    response = delivery.response
    if delivery.ending == "partial":
        stream = _InterruptedStream(response.body, request)
        return httpx.Response(response.status, headers=[*response.headers], stream=stream)
    return httpx.Response(response.status, headers=[*response.headers], content=response.body)


@dataclass(frozen=True, slots=True)
class _InterruptedStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Half of a body, then a closed connection."""

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
