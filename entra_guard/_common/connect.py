"""TCP connections by staggered attempts (RFC 8305), so that dead addresses of a host cost little time."""

from __future__ import annotations

import os
import selectors
import socket
import time
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Seconds between attempts (RFC 8305 section 5 and 8).
_ATTEMPT_DELAY: Final = 0.25
_SHORTEST_DELAY: Final = 0.01

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, "tuple[object, ...]"]


def connect(host: str, port: int, seconds: float, *, first: object = None) -> socket.socket:
    """Connect to the first address of a host that accepts; the socket is non-blocking.

    Names are looked up at call time (`socket.socket`, `selectors.DefaultSelector`), as gevent replaces them.

    Args:
        host: A host name or an IP address.
        port: The TCP port.
        seconds: Limit for all addresses together, without the DNS query.
        first: The address that accepted last time (`getpeername`), to try first if the host still has it.

    Raises:
        TimeoutError: No address accepted in time.
        OSError: Every address refused, or the name does not resolve (socket.gaierror).
    """
    addresses = _interleaved(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    addresses.sort(key=lambda address: address[4] != first)  # a stable sort: the others keep their order
    race = _Race(addresses, seconds)
    try:
        return race.run()
    finally:
        race.close()


def _interleaved(addresses: Iterable[_Address]) -> list[_Address]:
    """Alternate the address families, in the resolver's order (RFC 8305 section 4)."""
    families: dict[int, list[_Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rows = zip_longest(*families.values())
    return [address for address in chain.from_iterable(rows) if address is not None]


class _Race:
    """Attempts to connect to several addresses; each starts a little after the one before."""

    def __init__(self, addresses: Sequence[_Address], seconds: float) -> None:
        self._waiting = list(reversed(addresses))
        self._end = time.monotonic() + seconds
        # Every address must get its turn well before the end, however many there are.
        self._delay = min(_ATTEMPT_DELAY, max(_SHORTEST_DELAY, seconds / 2 / max(1, len(addresses))))
        self._selector = selectors.DefaultSelector()
        self._open: set[socket.socket] = set()
        self._error: OSError = OSError("the host name has no address")

    def run(self) -> socket.socket:
        """Return the first socket that is connected."""
        next_start = time.monotonic()
        while self._waiting or self._open:
            now = time.monotonic()
            if now >= self._end:
                connected, _failed = self._finished(0)  # on a busy machine, the last look was long ago
                if connected is not None:
                    return connected
                raise TimeoutError("no address accepted the connection in time")
            if self._waiting and now >= next_start:
                self._start(self._waiting.pop())
                next_start = now + self._delay if self._open else now
                continue
            until = min(self._end, next_start) if self._waiting else self._end
            connected, failed = self._finished(until - now)
            if connected is not None:
                return connected
            if failed:
                next_start = time.monotonic()  # RFC 8305 section 5: a failure starts the next attempt at once
        raise self._error

    def _start(self, address: _Address) -> None:
        family, kind, protocol, _name, target = address
        try:
            attempt = socket.socket(family, kind, protocol)
        except OSError as error:  # such as IPv6 that this host does not have
            self._error = error
            return
        attempt.setblocking(False)
        self._open.add(attempt)
        self._selector.register(attempt, selectors.EVENT_WRITE)
        try:
            attempt.connect(target)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._drop(attempt, error)

    def _finished(self, seconds: float) -> tuple[socket.socket | None, bool]:
        """Wait for attempts to end; return one that is connected, and whether any failed."""
        failed = False
        for key, _events in self._selector.select(max(0.0, seconds)):
            attempt = key.fileobj
            assert isinstance(attempt, socket.socket)  # noqa: S101  # only sockets are registered
            code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                self._selector.unregister(attempt)
                self._open.discard(attempt)
                return attempt, failed
            failed = True
            self._drop(attempt, OSError(code, os.strerror(code)))
        return None, failed

    def _drop(self, attempt: socket.socket, error: OSError) -> None:
        self._error = error
        self._selector.unregister(attempt)
        self._open.discard(attempt)
        attempt.close()

    def close(self) -> None:
        """Close the sockets of all attempts that did not win."""
        for attempt in self._open:
            attempt.close()
        self._selector.close()
