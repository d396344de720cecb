"""Where requests to Microsoft Graph go: below one address and nowhere else. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import httpx

from entra_guard._common.http import is_safe
from entra_guard.credentials._origin import Hosts, origin_of
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH: Final = "/$@(),;:=&'!*+-._~%?"
"""What may stand in a path as Graph writes them: /applications(appId='...'), /$batch; and in its query."""
_WHOLE: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_VERSION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


def address_of(url: str) -> str:
    """Read the address of a Graph, and write it as httpx does.

    Raises:
        ConfigurationError: It is no https URL of a host alone; the value, which may hold a password, is not
            repeated.
    """
    try:
        parsed = httpx.URL(url)
        alone = parsed.path in {"", "/"} and not (parsed.userinfo or set("?#@\\") & set(url))
        host = parsed.netloc.decode("ascii")
        if alone and is_safe(url) and Hosts([host]):
            return f"{parsed.scheme}://{host}"
    except (httpx.InvalidURL, TypeError, ValueError):
        pass  # a ConfigurationError is a ValueError: what the host is not is said below
    raise ConfigurationError(
        "base_url must be an https URL without a path (http on this machine only), without user name, query "
        "and fragment"
    )


def checked_version(version: str) -> str:
    """Refuse what cannot be a version of Graph.

    Raises:
        ConfigurationError: It is no single word.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("version must be 'v1.0' or 'beta'")
    return version


def relative(path: str) -> str:
    """Write a path as URLs want it.

    Raises:
        ConfigurationError: It is a whole URL.
    """
    if _WHOLE.match(path):
        raise ConfigurationError("paths are below the version, such as '/users', and this is a whole URL")
    return f"/{quote(path.lstrip('/'), safe=_PATH)}"


def url_of(base_url: str, path: str, params: Mapping[str, str] | None) -> str:
    """The URL of a path; one that is whole already, as Graph gives them, must be of the same host.

    Raises:
        ConfigurationError: It is of another.
    """
    if not _WHOLE.match(path):
        url = f"{base_url}{relative(path)}"
    elif leads_to(path, base_url):
        url = path
    else:
        raise ConfigurationError(f"paths are below {base_url}, and this URL is not")
    query = urlencode(params or {}, safe="$,'()", quote_via=quote)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def leads_to(url: str, base_url: str) -> bool:
    """Tell whether a whole URL leads to the host of another."""
    try:
        return origin_of(url) == origin_of(base_url) and not httpx.URL(url).userinfo
    except (httpx.InvalidURL, ValueError):
        return False
