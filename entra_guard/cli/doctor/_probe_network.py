"""Probe the way to the authority: DNS, a connection by each address family, the proxy, and TLS."""

from __future__ import annotations

import errno
import socket
import threading
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
    addresses, dns_error = look_up(host, port)
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
    )


def look_up(host: str, port: int) -> tuple[list[tuple[str, tuple[object, ...]]], str]:
    """Return the addresses of a host by family, and why there are none; the resolver gets five seconds."""
    found: list[tuple[str, tuple[object, ...]]] = []
    errors: list[str] = ["the resolver did not respond in time"]

    def resolve() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            errors[0] = getattr(error, "strerror", None) or "it is not a host name"
        else:
            errors[0] = ""
            found.extend((_FAMILIES[row[0]], row[4]) for row in rows if row[0] in _FAMILIES)

    thread = threading.Thread(target=resolve, name="entra_guard doctor", daemon=True)
    thread.start()
    thread.join(_DNS_SECONDS)
    return list(found), errors[0]


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
