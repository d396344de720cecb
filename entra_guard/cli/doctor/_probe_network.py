"""Probe the way to the authority: DNS, a connection by each address family, the proxy, and TLS."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entra_guard.cli.doctor._facts import Address, NetworkFacts
from entra_guard.cli.doctor._guard_parts import route_of
from entra_guard.cli.doctor._probe_tls import probe_tls

if TYPE_CHECKING:
    import httpx

    from entra_guard.cli.doctor._facts import TlsFacts
    from entra_guard.cli.doctor._guard_parts import GuardParts

_SECONDS: Final = 2.0
_DNS_SECONDS: Final = 5.0
_FAMILIES: Final = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def probe_network(parts: GuardParts, url: str) -> NetworkFacts:
    """Probe the way to a URL, by the proxy that the guard would use.

    A client of the user's may go another way than DNS and sockets: only its TLS connection is looked at.
    """
    host, port = _host_and_port(url)
    if parts.own_client:
        return NetworkFacts(host, port, tls=_tls(parts.client, url))
    proxy, _context = route_of(parts.client, url)
    if proxy is not None:
        host, port = _host_and_port(proxy.url)
    addresses, dns_error, dns_seconds = look_up(host, port)
    tried = tuple(_tried(addresses))
    reached = any(not address.error for address in tried)
    error = "" if reached else dns_error or "; ".join(dict.fromkeys(address.error for address in tried))
    return NetworkFacts(
        host,
        port,
        tried,
        dns_error,
        "" if proxy is None else proxy.label,
        error if proxy is not None else "",
        _tls(parts.client, url) if reached else None,
        dns_seconds,
    )


class _Query:
    """A DNS query for one address family, on a thread: the resolver has no time limit."""

    def __init__(self, host: str, port: int, family: socket.AddressFamily) -> None:
        self.targets: list[tuple[object, ...]] = []
        self.error = f"no response within {_DNS_SECONDS:g} s"
        self.seconds = _DNS_SECONDS
        self._started = time.monotonic()
        self._thread = threading.Thread(
            target=self._resolve, args=(host, port, family), name="entra_guard doctor", daemon=True
        )
        self._thread.start()

    def _resolve(self, host: str, port: int, family: socket.AddressFamily) -> None:
        try:
            found: list[tuple[object, ...]] = [
                row[4] for row in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            ]
            error = ""
        except (OSError, UnicodeError) as problem:
            found, error = [], getattr(problem, "strerror", None) or "it is not a host name"
        self.targets, self.error, self.seconds = found, error, time.monotonic() - self._started

    def wait(self) -> None:
        """Wait until the query has ended, at most five seconds after its start."""
        self._thread.join(max(0.0, self._started + _DNS_SECONDS - time.monotonic()))


def look_up(host: str, port: int) -> tuple[list[tuple[str, tuple[object, ...]]], str, float]:
    """Return the addresses of a host by family, why there are none, and the seconds of the slowest query."""
    queries = {name: _Query(host, port, family) for family, name in _FAMILIES.items()}
    for query in queries.values():
        query.wait()
    found = [(name, target) for name, query in queries.items() for target in query.targets]
    error = "" if found else next(iter(queries.values())).error
    return found, error, max(query.seconds for query in queries.values())


def _tried(addresses: list[tuple[str, tuple[object, ...]]]) -> list[Address]:
    """Connect to the first address of each family."""
    rows: list[Address] = []
    families: set[str] = set()
    for family, target in addresses:
        if family in families:
            rows.append(Address(family, str(target[0])))
            continue
        families.add(family)
        error, no_route = _connect(family, target)
        rows.append(Address(family, str(target[0]), error, no_route))
    return rows


def _connect(family: str, target: tuple[object, ...]) -> tuple[str, bool]:
    """Return why an address accepts no connection, and whether this host has no route to it."""
    try:
        kind = socket.AF_INET6 if family == "IPv6" else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(target)
    except TimeoutError:
        return f"no connection within {_SECONDS:g} s", False
    except OSError as error:
        return error.strerror or type(error).__name__, error.errno in _NO_ROUTE
    return "", False


def _tls(client: httpx.Client, url: str) -> TlsFacts | None:
    return probe_tls(client, url) if urlsplit(url).scheme == "https" else None


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
