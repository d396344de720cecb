"""Proxy servers on loopback: HTTP with CONNECT, and SOCKS."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection on a thread; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _quietly(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        try:
            serve(connection)
        except OSError:
            return


def head_of(connection: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096) or b"\r\n\r\n"
    return head.decode()


class Proxy:
    """Tunnels with CONNECT (RFC 9110 section 9.3.6), and records the targets."""

    def __init__(self, *, refusing: str = "", always_to: str = "") -> None:
        self.asked: list[str] = []
        self._refusing = refusing
        self._always_to = always_to

    def __call__(self, connection: socket.socket) -> None:
        head = head_of(connection)
        target = head.split()[1]
        self.asked.append(target)
        if self._refusing:
            connection.sendall(f"HTTP/1.1 {self._refusing}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = (self._always_to or target).rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _tunnel(connection, upstream)


class Socks:
    """Serves SOCKS version 5 without authentication, for names (RFC 1928)."""

    def __init__(self, port: int) -> None:
        self.names: list[bytes] = []
        self._port = port

    def __call__(self, connection: socket.socket) -> None:
        _version, count = connection.recv(2)
        connection.recv(count)
        connection.sendall(b"\x05\x00")
        head = connection.recv(5)
        self.names.append(connection.recv(head[4] + 2)[:-2])
        connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        with socket.create_connection(("127.0.0.1", self._port)) as upstream:
            _tunnel(connection, upstream)


def _tunnel(client: socket.socket, upstream: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
    back.start()
    _pump(client, upstream)
    back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
