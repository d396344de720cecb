"""Build URLs of Microsoft Graph: below one address and nowhere else. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote, unquote
from uuid import UUID

import httpx

from entra_guard._common.http import is_safe
from entra_guard.credentials._origin import Hosts, origin_of
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What may appear in a path as Graph writes them, /applications(appId='...') or /$batch, and in its query.
_PATH: Final = "/$@(),;:=&'!*+-._~%?"
_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WHOLE: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_VERSION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


def address_of(url: str) -> str:
    """Return the address of a Graph as httpx writes it.

    Raises:
        ConfigurationError: It is not an https URL of a host alone; the value, which may hold a password, is
            not repeated.
    """
    try:
        parsed = httpx.URL(url)
        alone = parsed.path in {"", "/"} and not (parsed.userinfo or set("?#@\\") & set(url))
        host = parsed.netloc.decode("ascii")
        if alone and is_safe(url) and Hosts([host]):
            return f"{parsed.scheme}://{host}"
    except (httpx.InvalidURL, TypeError, ValueError):
        pass  # ConfigurationError is a ValueError; the message below covers both
    raise ConfigurationError(
        "base_url must be an https URL without a path (http on this machine only), user name, query and "
        "fragment"
    )


def checked_version(version: str) -> str:
    """Return the version of Graph.

    Raises:
        ConfigurationError: It is not a single word.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"version must be 'v1.0' or 'beta', got {version!r:.40}")
    return version


def relative(path: str) -> str:
    """Return a path with a leading slash, with everything encoded that URLs do not allow.

    Escapes that are there already (`%20`) are kept; any other '%' is encoded.

    Raises:
        ConfigurationError: It is a whole URL, has a segment '.' or '..', or is not text.

    Example:
        >>> relative("users/carol_fabrikam.com#EXT#@contoso.com")
        '/users/carol_fabrikam.com%23EXT%23@contoso.com'
    """
    if _WHOLE.match(path):
        raise ConfigurationError("give a path below the version, such as '/users', not a whole URL")
    return f"/{_encoded(path.lstrip('/'))}"


def url_of(base_url: str, path: str, params: Mapping[str, object] | None) -> str:
    """Return the URL of a path; a whole URL, as Graph returns them, must be on the same host.

    Args:
        base_url: The address with the version.
        path: A path below it, or a whole URL.
        params: Query options; see `odata_value`.

    Raises:
        ConfigurationError: The URL is on another host, its path is not one of Graph's, or a parameter has no
            OData form.
    """
    url = _encoded(path, also="[]") if _WHOLE.match(path) else f"{base_url}{relative(path)}"
    if not leads_to(url, base_url):
        raise ConfigurationError(f"the URL is not below {base_url}: the token must not go to another host")
    query = _query(params or {})
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _encoded(path: str, also: str = "") -> str:
    """Return a path or whole URL with everything encoded that URLs do not allow."""
    # HTTP clients and servers resolve these: '/users/../groups' would not be below '/users'.
    if not {".", ".."}.isdisjoint(re.split(r"[/\\]", unquote(path.partition("?")[0]))):
        raise ConfigurationError("a path of Graph has no segment '.' or '..'")
    return _percent_encoded(_BARE_PERCENT.sub("%25", path), _PATH + also)


def _percent_encoded(text: str, safe: str) -> str:
    try:
        return quote(text, safe)
    except UnicodeEncodeError:
        pass  # that error holds the text
    raise ConfigurationError("a path or query option has half of a surrogate pair, which is not a character")


def _query(params: object) -> str:
    if not isinstance(params, Mapping):
        raise ConfigurationError(f"params must be a mapping of query options, got {type(params).__name__}")
    written = {str(name): odata_value(str(name), value) for name, value in params.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in written.items())


def _quoted(text: str) -> str:
    return _percent_encoded(text, "$,'()/")


def odata_value(name: str, value: object) -> str:
    """Return a query option's value as OData writes it.

    Args:
        name: The option's name, for the error.
        value: A str, bool, number, UUID, date or datetime (with a time zone), or a list of these.

    Raises:
        ConfigurationError: The value has no OData form; it is not repeated.

    Example:
        >>> odata_value("$select", ["id", "mail"]), odata_value("$count", True)
        ('id,mail', 'true')
    """
    items = _items(value)
    if items:
        return ",".join(odata_value(name, item) for item in items)
    text = _scalar(value)
    if text is None:
        what = f"is {_kind(value)}" if items is None else "is empty"
        raise ConfigurationError(
            f"the query option {name} {what}: give a str, bool, number, UUID, date, datetime with a time "
            "zone, or a list of these, or omit it"
        )
    return text


def _items(value: object) -> list[object] | None:
    """Return the items of a list, tuple or set; None for any other value."""
    if isinstance(value, list | tuple):
        return list(cast("Iterable[object]", value))
    if isinstance(value, set | frozenset):
        return sorted(cast("Iterable[object]", value), key=str)
    return None


def _scalar(value: object) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)  # the text of an enumeration's member, not its name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float | Decimal):
        return str(value) if isfinite(value) else None
    if isinstance(value, dt.datetime):
        aware = value.tzinfo is not None
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if aware else None
    return str(value) if isinstance(value, UUID | dt.date) else None


def _kind(value: object) -> str:
    if isinstance(value, dt.datetime):
        return "a datetime without a time zone"
    return "None" if value is None else f"of type {type(value).__name__}"


def leads_to(url: str, base_url: str) -> bool:
    """Return whether a whole URL is on the same host as another."""
    try:
        return origin_of(url) == origin_of(base_url) and not httpx.URL(url).userinfo
    except (httpx.InvalidURL, ValueError):
        return False


def is_raw_value(url: str) -> bool:
    """Return whether a URL names the raw content of a property (OData 4.01 part 2 section 4.7: `/$value`)."""
    return httpx.URL(url).path.endswith("/$value")
