"""Network backend for httpcore: staggered connections, one time limit for an exchange, TLS safe from forks.

TLS runs in memory (`ssl.SSLObject`): so every call into OpenSSL is made under the fork lock, and no wait for
the network is. It also works over another TLS stream, as a proxy that is reached by https needs it.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpcore

from entra_guard._common.connect import connect
from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard._common.time_limit import time_left, time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

T = TypeVar("T")

_CHUNK: Final = 65536
# Seconds, where a caller of httpcore set no time-out.
_NO_LIMIT: Final = 60.0
_POKE_SECONDS: Final = 0.5
_PLAIN_HTTP: Final = (
    "the server speaks plain HTTP on this port: correct the port or the scheme, also that of a proxy's URL"
)
_SPEAKS_TLS: Final = "the server speaks TLS on this port: use https://"
_TLS_ALERT: Final = b"\x15\x03"


class Backend(httpcore.NetworkBackend):
    """Connects by staggered attempts; see `connect`. Tries the address first that accepted last time."""

    def __init__(self) -> None:
        self._accepted: dict[tuple[str, int], object] = {}

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection. `local_address` is not used: no client of ours sets it."""
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            limit = time_left(timeout) or _NO_LIMIT
            connection = connect(host, port, limit, first=self._accepted.get((host, port)))
            self._accepted[host, port] = connection.getpeername()
            for option in (*(socket_options or ()), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
                connection.setsockopt(*option)
        return PlainStream(connection)


class PlainStream(httpcore.NetworkStream):
    """A TCP connection without TLS."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._expects_http = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            self._connection.settimeout(time_left(timeout))
            data = self._connection.recv(max_bytes)
            if self._expects_http and data.startswith(_TLS_ALERT):
                raise ssl.SSLError(1, _SPEAKS_TLS)
            self._expects_http = False
            return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            while buffer:
                self._connection.settimeout(time_left(timeout))
                buffer = buffer[self._connection.send(buffer) :]

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        self._expects_http = False
        return _tls_over(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._connection
        if info == "client_addr":
            return self._connection.getsockname()
        if info == "server_addr":
            return self._connection.getpeername()
        return _is_readable(self._connection) if info == "is_readable" else None


class TlsStream(httpcore.NetworkStream):
    """TLS over another stream. `start` must be called before anything else."""

    def __init__(self, below: httpcore.NetworkStream, context: ssl.SSLContext, host: str | None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with FORK_LOCK:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        # The first bytes that arrived; empty if none did.
        self._received = b""

    def start(self, timeout: float | None) -> None:
        """Do the handshake.

        Raises:
            ssl.SSLError: It failed. If the server speaks plain HTTP, the text says that.
        """
        try:
            with time_limit(timeout or _NO_LIMIT):
                self._run(self._tls.do_handshake, None)
        except ssl.SSLError as error:
            if self._received.startswith(b"HTTP/"):
                raise ssl.SSLError(1, _PLAIN_HTTP) from error
            raise
        except httpcore.ReadTimeout as error:
            if not self._received and self._is_plain_http():
                raise ssl.SSLError(1, _PLAIN_HTTP) from error
            raise

    def _is_plain_http(self) -> bool:
        """End what the server may still read as a request line: if it speaks HTTP, it answers now."""
        with suppress(httpcore.NetworkError, httpcore.TimeoutException):
            self._below.write(b"\r\n\r\n", _POKE_SECONDS)
            return self._below.read(_CHUNK, _POKE_SECONDS).startswith(b"HTTP/")
        return False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            try:
                return self._run(partial(self._tls.read, max_bytes), timeout)
            except ssl.SSLEOFError:  # many servers close without a closing alert; h11 counts the bytes
                return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            while buffer:
                buffer = buffer[self._run(partial(self._tls.write, buffer), timeout) :]

    def _run(self, step: Callable[[], T], timeout: float | None) -> T:
        """Repeat a step of OpenSSL until it has the bytes it needs."""
        while True:
            try:
                with FORK_LOCK:
                    result = step()
            except ssl.SSLWantReadError:
                self._flush(timeout)
            except ssl.SSLError:
                with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                    self._flush(timeout)  # the alert that says why
                raise
            else:
                self._flush(timeout)
                return result
            data = self._below.read(_CHUNK, timeout)
            self._received = self._received or data
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _flush(self, timeout: float | None) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read(), timeout)

    def close(self) -> None:
        self._below.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _tls_over(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._incoming.pending:
            return True
        return self._tls if info == "ssl_object" else self._below.get_extra_info(info)


def _tls_over(
    below: httpcore.NetworkStream, context: ssl.SSLContext, host: str | None, timeout: float | None
) -> TlsStream:
    try:
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            stream = TlsStream(below, context, host)
            stream.start(timeout)
    except BaseException:
        below.close()
        raise
    return stream


@contextmanager
def _translated(timeout: type[Exception], failure: type[Exception]) -> Generator[None]:
    """Raise the errors that httpcore expects of each step."""
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise timeout(str(error)) from error
    except (OSError, httpcore.NetworkError) as error:
        raise failure(str(error)) from error


def _is_readable(connection: socket.socket) -> bool:
    """Return whether an idle connection has bytes to read, or was closed by the server."""
    if connection.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
