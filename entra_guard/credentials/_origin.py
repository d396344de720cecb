"""Compare the hosts of URLs: scheme, name and port, however they are written. Pure.

URLs are parsed by httpx, which sends the request: two parsers that disagree would be a way around the check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from entra_guard._common.http import DEFAULT_PORTS
from entra_guard.errors import ConfigurationError

_NEVER_IN_A_HOST: Final = re.compile(r"[\s/\\?#@*%]")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+", re.ASCII)


class Origin(NamedTuple):
    """The origin of a URL (RFC 6454): in lower case and ASCII, with the default port written out."""

    scheme: str
    host: str
    port: int | None


def origin_of(url: httpx.URL | str) -> Origin:
    """Return the origin of a URL.

    Raises:
        ValueError: It is not a URL.
    """
    try:
        parsed = httpx.URL(url) if isinstance(url, str) else url
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    host = parsed.raw_host.decode("ascii").lower()
    return Origin(parsed.scheme, host, parsed.port or DEFAULT_PORTS.get(parsed.scheme))


class Hosts:
    """A set of host names, each with its port where that is not the scheme's own.

    Args:
        names: Such as 'graph.microsoft.com', '127.0.0.1:8080' or '[::1]:8080'.

    Raises:
        ConfigurationError: There is none, or one that can never match.
    """

    def __init__(self, names: Iterable[str]) -> None:
        if not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _host_error(repr(names)[:100])
        self._known = frozenset(_parse_host(name) for name in ([names] if isinstance(names, str) else names))
        self.names = sorted(_joined(host, port) for host, port in self._known)
        if not self._known:
            raise _host_error("nothing")

    def __contains__(self, origin: Origin) -> bool:
        usual = origin.port == DEFAULT_PORTS.get(origin.scheme)
        return (origin.host, origin.port) in self._known or (usual and (origin.host, None) in self._known)

    @staticmethod
    def name_of(origin: Origin) -> str:
        """Return the name of an origin in `hosts`."""
        return _joined(origin.host, None if origin.port == DEFAULT_PORTS.get(origin.scheme) else origin.port)


def _joined(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _parse_host(name: object) -> tuple[str, int | None]:
    if not isinstance(name, str) or not name or _NEVER_IN_A_HOST.search(name):
        raise _host_error(repr(name)[:100])
    try:
        host, port = origin_of(f"https://{name}").host, urlsplit(f"//{name}").port
    except ValueError:
        raise _host_error(repr(name)[:100]) from None
    if not _HOST.fullmatch(host):
        raise _host_error(repr(name)[:100])
    return host, port


def _host_error(found: str) -> ConfigurationError:
    return ConfigurationError(
        f"hosts must be names such as 'graph.microsoft.com' or '127.0.0.1:8080', without scheme, path and "
        f"wildcards, got {found}"
    )
