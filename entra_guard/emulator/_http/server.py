"""Sockets on loopback: uvicorn's HTTP protocol on an event loop in a separate thread.

uvicorn's own `Server` is not used: it polls every 0.1 s whether to stop, cannot close and reopen its port,
and serves one port only.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.uvicorn_protocol import uvicorn_parts

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine

    from starlette.types import ASGIApp

LOOPBACK: Final = "127.0.0.1"
ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 (only with a host name, over https, behind `PublicGate`)
_JOIN_SECONDS: Final = 10.0
_SECONDS_UNTIL_SENT: Final = 0.05


@dataclass(slots=True)
class Port:
    """A port, plain or with TLS. It keeps its number while it is closed."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    number: int = field(init=False)
    server: asyncio.Server | None = None

    def __post_init__(self) -> None:
        self.number = self.listener.getsockname()[1]


class LoopbackServer:
    """Serve an ASGI app on 127.0.0.1; with a host name, over https only and on all addresses.

    Args:
        app: The app.
        host: The name by which other containers reach it; by default only this machine does.
        port: The http port; 0 selects a free one.
        https_port: The https port; 0 selects a free one.
        tls: The server's certificate; without it, https is not served.

    Raises:
        OSError: A port is in use.
        ImportError: uvicorn is not installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: int = 0,
        https_port: int = 0,
        tls: ssl.SSLContext | None = None,
        host: str = "",
    ) -> None:
        self._config, self._protocol, self._server_state = uvicorn_parts(app)
        self._host = host
        self._address = ALL_ADDRESSES if host else LOOPBACK
        self._http = None if host else Port(_listen(port, LOOPBACK))
        self._https = Port(_listen(https_port, self._address), tls) if tls else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="entra-emulator", daemon=True)

    @property
    def url(self) -> str:
        """The base URL over http; over https if only that is served."""
        return f"http://{LOOPBACK}:{self._http.number}" if self._http else str(self.https_url)

    @property
    def https_url(self) -> str | None:
        return f"https://{self._host or LOOPBACK}:{self._https.number}" if self._https else None

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(_JOIN_SECONDS)

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_JOIN_SECONDS)

    def wait(self) -> None:
        """Block until the server stops. Wakes often enough to notice Ctrl-C on every platform."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def refuse_connections(self) -> None:
        """Close the ports and every connection, so that clients cannot connect."""
        self._run_on_loop(self._close_ports)

    def accept_connections(self) -> None:
        """Open the same ports again."""
        self._run_on_loop(self._open_ports)

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function on the server's thread after this many seconds, if the server still runs."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, function)

    def _run_on_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine on the server's loop and wait for it.

        On the server's own thread it cannot wait, so it runs shortly after the response was sent.
        """
        if self._loop is None:
            raise RuntimeError("The emulator's server is not running: call start() first.")
        if threading.current_thread() is self._thread:
            self._loop.call_later(
                _SECONDS_UNTIL_SENT, lambda: self._server_state.tasks.add(asyncio.ensure_future(work()))
            )
            return
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(_JOIN_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._open_ports()
        self._ready.set()
        await self._stopping.wait()
        await self._close_ports()
        for task in tuple(self._server_state.tasks):
            task.cancel()
        await asyncio.gather(*self._server_state.tasks, return_exceptions=True)

    @property
    def _ports(self) -> tuple[Port, ...]:
        return tuple(port for port in (self._http, self._https) if port)

    async def _open_ports(self) -> None:
        for port in self._ports:
            if port.listener.fileno() < 0:
                port.listener = _listen(port.number, self._address)
            port.server = await asyncio.get_running_loop().create_server(
                self._new_protocol, sock=port.listener, ssl=port.tls
            )

    async def _close_ports(self) -> None:
        for port in self._ports:
            if port.server:
                port.server.close()
        for connection in tuple(self._server_state.connections):
            connection.transport.abort()
        # The aborted connections learn in the next turn of the loop that they are lost.
        await asyncio.sleep(0)

    def _new_protocol(self) -> asyncio.Protocol:
        return self._protocol(self._config, self._server_state, {}, self._loop)


def _listen(port: int, address: str) -> socket.socket:
    # asyncio disables Nagle's algorithm only if the protocol is named. It costs 40 ms per response.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        problem, remedy = f"Port {port} on {address}", "choose another, or 0 for a free one."
        if error.errno == errno.EADDRINUSE:
            raise OSError(error.errno, f"{problem} is in use: {remedy}") from None
        raise OSError(error.errno, f"{problem} cannot be opened ({error.strerror}): {remedy}") from None
    listener.listen(512)
    listener.setblocking(False)
    return listener
