"""Proxies: those that the environment names and those that the user gives, checked before they are used."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies

import httpx

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
# This machine is reached directly: plain http is sent there, and a proxy would see all of it.
_DIRECT: Final = ("http://localhost", "http://*.localhost", "http://127.0.0.1", "http://[::1]")


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """A proxy that was checked.

    Attributes:
        url: Its URL; may hold credentials.
        label: Where the URL comes from, and the URL without credentials: for error texts.
    """

    url: str = field(repr=False)
    label: str


def proxy_routes() -> dict[str, ProxyRoute | None]:
    """Return the environment's proxy for each URL pattern of httpx; None means a direct connection.

    Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in upper and lower case, as httpx does.

    Raises:
        ConfigurationError: A variable cannot be used; the text names it, without credentials.
    """
    named = getproxies()
    exceptions = [entry for text in named.get("no", "").split(",") if (entry := text.strip())]
    routes: dict[str, ProxyRoute | None] = dict.fromkeys(_DIRECT)
    if "*" in exceptions:
        return routes
    for scheme in ("http", "https", "all"):
        if url := named.get(scheme):
            routes[f"{scheme}://"] = _checked(url if "://" in url else f"http://{url}", _variable(scheme))
    return routes | dict.fromkeys(_patterns(exceptions))


def given_proxy(proxy: str) -> ProxyRoute:
    """Return a proxy that the user gave.

    Raises:
        ConfigurationError: It cannot be used; the text does not show its credentials.
    """
    return _checked(str(proxy), "proxy")


def _variable(scheme: str) -> str:
    """Return the name of the variable that gives a proxy; lower case wins (urllib.request.getproxies)."""
    names = (f"{scheme}_proxy", f"{scheme}_PROXY".upper())
    return next((name for name in names if os.environ.get(name)), f"the system's {scheme} proxy")


def _checked(url: str, name: str) -> ProxyRoute:
    shown = f"{name}={_without_credentials(url)!r}"
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ConfigurationError(
            f"{shown} is not a URL ({error}). Write it as 'http://proxy.example:8080'."
        ) from None
    if parsed.scheme not in _SCHEMES or not parsed.host:
        fix = "socks5://" if parsed.scheme.startswith("socks") else "http://"
        raise ConfigurationError(
            f"{shown} cannot be used: a proxy URL has a host and one of the schemes {', '.join(_SCHEMES)}. "
            f"Write it as '{fix}proxy.example:{1080 if fix.startswith('socks') else 8080}'."
        )
    if parsed.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"{shown} needs the package socksio, which is not installed: pip install 'httpx[socks]'. "
            "Or name an http:// proxy."
        )
    return ProxyRoute(url, shown)


def _without_credentials(url: str) -> str:
    """Return a URL without user name and password, also where it is malformed."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _patterns(exceptions: list[str]) -> Iterator[str]:
    """Turn the entries of NO_PROXY into URL patterns, as httpx does; also accept brackets around IPv6."""
    for entry in exceptions:
        pattern = _pattern(entry)
        try:
            httpx.URL(pattern)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            shown = _without_credentials(entry)
            raise ConfigurationError(
                f"{_variable('no')} has the entry {shown!r}, which is not a host ({error}). Separate host "
                "names, domains and IP addresses by commas."
            ) from None
        yield pattern


def _pattern(entry: str) -> str:
    if "://" in entry:
        return entry
    bare = entry.removeprefix("[").removesuffix("]")
    if ":" in bare and _is_address(bare):
        return f"all://[{bare}]"
    if entry.lower() == "localhost" or _is_address(entry.partition("/")[0]):
        return f"all://{entry}"
    return f"all://*{entry}"


def _is_address(text: str) -> bool:
    import ipaddress  # noqa: PLC0415

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
