"""Check the arguments of `Guard`, and give them the types that the rest works with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entra_guard._keys.settings import KeySettings
from entra_guard.errors import ConfigurationError
from entra_guard.policy import NO_TENANTS, Tenants, microsoft_client_ids, string_set

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx

    from entra_guard._keys.authority import Authority


# Each log line of a refusal ends with it: printable ASCII without quotes, '#' and '@'.
_REASONS_URL: Final = re.compile(r"https?://[!\x24-\x3f\x41-\x7e]+")


def accepted_tenants(tenant: str | Tenants, authority: Authority) -> Tenants:
    """Return the tenants whose tokens are accepted; none where the authority does not use tenants."""
    if not authority.is_entra:
        if tenant not in ("", NO_TENANTS):
            raise ConfigurationError("omit tenant: this authority does not use tenants")
        return NO_TENANTS
    tenant = tenant or authority.tenant
    if not tenant:
        raise ConfigurationError("tenant is missing: give the tenant id, or Tenants for more than one")
    tenants = tenant if isinstance(tenant, Tenants) else Tenants.only(tenant)
    authority.check_tenant(tenants.alias)
    return tenants


def accepted_clients(values: Iterable[str] | None, authority: Authority) -> frozenset[str] | None:
    """Return the client ids that may call, or None if any client may."""
    if values is None:
        return None
    is_openid = authority.kind == "openid"
    return string_set("allowed_clients", values) if is_openid else microsoft_client_ids(values)


def check_types(keys: object, keys_file: object, groups: object) -> None:
    """Refuse settings of another type."""
    if not isinstance(keys, KeySettings | None):
        raise ConfigurationError(f"keys must be a KeySettings, got {type(keys).__name__}")
    if not isinstance(keys_file, str | Path | None):
        raise ConfigurationError(f"keys_file must be a path, got {type(keys_file).__name__}")
    if groups is not None and not hasattr(groups, "add_groups"):
        raise ConfigurationError(f"groups must be a GroupResolver, got {type(groups).__name__}")


def checked_reasons_url(url: object) -> str:
    """Return the URL of the page of reasons, '' for none."""
    if isinstance(url, str) and (not url or _REASONS_URL.fullmatch(url)):
        return url
    found = "one with a user name" if "@" in str(url) else repr(url)
    raise ConfigurationError(
        "reasons_url must be a URL without '#', spaces and a user name, such as "
        f"'https://wiki.example/reasons', got {found}"
    )


def check_http(client: httpx.Client | None, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
    """Refuse an HTTP client that cannot fetch keys, or one beside settings for our own."""
    if ssl_context is not None and not hasattr(ssl_context, "wrap_socket"):
        raise ConfigurationError(f"ssl_context must be an ssl.SSLContext, got {type(ssl_context).__name__}")
    if client is None:
        return
    if ssl_context is not None or proxy is not None:
        raise ConfigurationError("an http_client brings its own ssl_context and proxy: give one or the other")
    if not all(callable(getattr(client, name, None)) for name in ("build_request", "send", "close")):
        raise ConfigurationError(
            f"http_client must be an httpx.Client, got {type(client).__name__}: keys are fetched on a thread"
        )
