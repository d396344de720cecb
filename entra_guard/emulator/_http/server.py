"""Real sockets on loopback: uvicorn's HTTP protocol on an event loop in a thread of its own.

uvicorn's own `Server` is not used, because it looks every tenth of a second whether it should stop, cannot
close and reopen its port, and runs one port only.
"""

from __future__ import annotations

import asyncio
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
_JOIN: Final = 10.0
_SOON: Final = 0.05


@dataclass(slots=True)
class Port:
    """One port: plain, or with TLS. The number is kept while it is closed."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    number: int = field(init=False)
    server: asyncio.Server | None = None

    def __post_init__(self) -> None:
        self.number = self.listener.getsockname()[1]


class LoopbackServer:
    """Serves an ASGI app on 127.0.0.1.

    Args:
        app: What answers.
        port: Of plain http; 0 takes a free one.
        https_port: Of https, the same.
        tls: The server's certificate; without it there is no https.

    Raises:
        OSError: A port is taken.
        ImportError: uvicorn is not installed.
    """

    def __init__(
        self, app: ASGIApp, *, port: int = 0, https_port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._config, self._protocol, self._server_state = uvicorn_parts(app)
        self._http = Port(_listen(port))
        self._https = Port(_listen(https_port), tls) if tls else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="entra-emulator", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._http.number}"

    @property
    def https_url(self) -> str | None:
        return f"https://{LOOPBACK}:{self._https.number}" if self._https else None

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(_JOIN)

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop and self._leave:
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(_JOIN)

    def wait(self) -> None:
        """Block until somebody stops the server. Wakes often enough to notice Ctrl-C on every platform."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def refuse(self) -> None:
        """Close the ports and every connection: from now on connecting fails."""
        self._within(self._close)

    def accept(self) -> None:
        """Open the same ports again."""
        self._within(self._open)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something on the server's thread after so many seconds, if the server still runs then."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, work)

    def _within(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something on the server's loop, and wait for it; asked there, soon after the answer is out."""
        if self._loop is None:
            raise RuntimeError("The emulator's server is not running.")
        if threading.current_thread() is self._thread:
            self._loop.call_later(_SOON, lambda: self._server_state.tasks.add(asyncio.ensure_future(work())))
            return
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(_JOIN)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        await self._open()
        self._ready.set()
        await self._leave.wait()
        await self._close()
        for task in tuple(self._server_state.tasks):
            task.cancel()
        await asyncio.gather(*self._server_state.tasks, return_exceptions=True)

    @property
    def _ports(self) -> tuple[Port, ...]:
        return (self._http, self._https) if self._https else (self._http,)

    async def _open(self) -> None:
        for port in self._ports:
            if port.listener.fileno() < 0:
                port.listener = _listen(port.number)
            port.server = await asyncio.get_running_loop().create_server(
                self._new_protocol, sock=port.listener, ssl=port.tls
            )

    async def _close(self) -> None:
        for port in self._ports:
            if port.server:
                port.server.close()
        for connection in tuple(self._server_state.connections):
            connection.transport.abort()
        # One turn of the loop lets the aborted connections learn that they are lost.
        await asyncio.sleep(0)

    def _new_protocol(self) -> asyncio.Protocol:
        return self._protocol(self._config, self._server_state, {}, self._loop)


def _listen(port: int) -> socket.socket:
    # The protocol is named, or asyncio would not switch Nagle off, at 40 ms per answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as problem:
        listener.close()
        raise OSError(
            problem.errno, f"Port {port} on {LOOPBACK} is taken: choose another, or 0 for any."
        ) from None
    listener.listen(512)
    listener.setblocking(False)
    return listener
