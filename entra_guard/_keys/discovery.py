"""An authority's OpenID configuration made into an issuer and a key URL, or refused. Fetches nothing.

The issuer is taken from the authority's own configuration and pinned by the caller, never guessed from
the URL: with External ID, B2C and custom domains the two differ.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.http import is_loopback, is_safe
from entra_guard._keys.authority import host_of
from entra_guard._validation.issuer import TENANT_PLACEHOLDER, Issuer
from entra_guard._validation.openid_claims import DEFAULT_RULES
from entra_guard.policy import PERSONAL_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._keys.authority import Authority

_B2C_ISSUER: Final = re.compile(r"/(?:tfp/)?([0-9a-f-]{36})(?:/[^/]+)?/v2\.0/?", re.ASCII | re.IGNORECASE)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class ConfigurationRefusedError(ValueError):
    """An OpenID configuration that must not be used; the message says why."""


def read_configuration(
    authority: Authority, tenant: str, v2: Mapping[str, Any], v1: Mapping[str, Any] | None
) -> tuple[Issuer, str]:
    """Read the issuer and the key URL from an authority's configuration documents.

    Args:
        authority: Whose documents they are.
        tenant: The tenant, domain or alias that was requested.
        v2: The v2.0 document.
        v1: The v1.0 document, where v1.0 tokens are accepted and exist.

    Raises:
        ConfigurationRefusedError: A document that this authority cannot have meant.
    """
    issuer, keys_url = _issuer_in(v2), _keys_url_in(v2, authority)
    cloud = v2.get("cloud_instance_name")
    found = Issuer(
        v2=issuer,
        v1=_issuer_in(v1) if v1 else "",
        cloud=cloud if isinstance(cloud, str) else "",
        tenant_id=_tenant_id(issuer) if authority.is_entra else "",
        is_entra=authority.is_entra,
        rules=authority.rules or DEFAULT_RULES,
    )
    if authority.kind == "b2c":
        _check_b2c(authority, issuer)
    elif authority.kind == "openid":
        return _openid_issuer(authority, found, v2), keys_url
    else:
        _check_tenant(tenant, found)
    if authority.kind == "entra" and host_of(issuer) not in authority.hosts():
        is_external = (urlsplit(issuer).hostname or "").endswith(".ciamlogin.com")
        advice = f": use Authority.external({authority.url!r})" if is_external else ""
        raise ConfigurationRefusedError(
            f"its issuer {issuer!r} is on another host than {authority.url}{advice}"
        )
    if host_of(keys_url) not in authority.hosts(issuer):
        raise ConfigurationRefusedError(f"its jwks_uri {keys_url!r} is on another host than {authority.url}")
    return found, keys_url


def _check_b2c(authority: Authority, issuer: str) -> None:
    """Accept the issuer of B2C: on the policy's host, with a tenant id in its path."""
    tenant = next((part for part in urlsplit(authority.url).path.split("/") if is_guid(part)), "")
    found = _B2C_ISSUER.fullmatch(urlsplit(issuer).path)
    if host_of(issuer) != host_of(authority.url) or not found or tenant.lower() not in ("", found[1].lower()):
        raise ConfigurationRefusedError(
            f"its issuer {issuer!r} is not that of the B2C policy {authority.url}"
        )


def _openid_issuer(authority: Authority, issuer: Issuer, document: Mapping[str, Any]) -> Issuer:
    """Accept an issuer that equals the configured URL (OpenID Connect Discovery 4.3).

    A slash at the end is not compared: both spellings have the same configuration URL. Tokens must name the
    issuer exactly as the document does. Its keys may be on any host.
    """
    if TENANT_PLACEHOLDER in issuer.v2:
        raise ConfigurationRefusedError(
            "its issuer means any tenant: use a cloud's name as authority, and Tenants"
        )
    if _comparable(issuer.v2) != _comparable(authority.url):
        raise ConfigurationRefusedError(
            f"its issuer {issuer.v2!r} is not {authority.url!r}. If it is the one you mean, use "
            f"Authority.openid({issuer.v2!r})"
        )
    return _with_access_token_issuer(issuer, document)


def _with_access_token_issuer(issuer: Issuer, document: Mapping[str, Any]) -> Issuer:
    """Use the issuer that AD FS writes into access tokens (MS-OIDCE section 2.2.3.2): a name on its host."""
    name = document.get("access_token_issuer")
    if name is None:
        return issuer
    if not isinstance(name, str) or urlsplit(name).hostname != urlsplit(issuer.v2).hostname:
        raise ConfigurationRefusedError(
            f"its access_token_issuer {name!r} is on another host than {issuer.v2}"
        )
    return Issuer(v2=name, cloud=issuer.cloud, is_entra=False, rules=issuer.rules)


def _comparable(url: str) -> tuple[str, str, str]:
    return urlsplit(url).scheme, host_of(url), urlsplit(url).path.rstrip("/")


def _issuer_in(document: Mapping[str, Any]) -> str:
    """Return a document's issuer: a URL without user name, query and fragment (OpenID Discovery 3)."""
    url = _url_in(document, "issuer")
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationRefusedError("its issuer has a user name, a query or a fragment")
    return url


def _keys_url_in(document: Mapping[str, Any], authority: Authority) -> str:
    """Return a document's key URL; a remote issuer must not send this host to itself or to its neighbours."""
    url = _url_in(document, "jwks_uri")
    if urlsplit(url).username is not None:
        raise ConfigurationRefusedError("its jwks_uri has a user name")
    host = urlsplit(url).hostname or ""
    if not host.isascii():  # other digits and dots mean the same to some resolvers
        raise ConfigurationRefusedError(f"its jwks_uri {url!r} is not ASCII: its host must be in punycode")
    if not is_loopback(authority.url) and _is_local(host):
        raise ConfigurationRefusedError(f"its jwks_uri {url!r} is on this machine or on its own link")
    return url


def _is_local(host: str) -> bool:
    """Return whether a host is this machine or a link-local address, in any spelling of the address."""
    name = host.rstrip(".").lower()
    if name in ("localhost", "localhost.localdomain", "ip6-localhost") or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_link_local or address.is_unspecified)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    import socket  # noqa: PLC0415  # httpx has loaded it, and `import entra_guard` need not

    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:  # 127.1, 2130706433 and 0x7f000001 are addresses too
            return ipaddress.IPv4Address(socket.inet_aton(name))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64 or address.sixtofour is not None:
            return address.sixtofour or ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _url_in(document: Mapping[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise ConfigurationRefusedError(f"its {name} is not an https URL")
    return url


def _tenant_id(issuer: str) -> str:
    """Return the one tenant in an issuer's path; empty for the placeholder."""
    if TENANT_PLACEHOLDER in issuer:
        return ""
    segments = [part for part in urlsplit(issuer).path.split("/") if is_guid(part)]
    if len(segments) != 1:
        raise ConfigurationRefusedError(f"its issuer {issuer!r} names no tenant id")
    return segments[0]


def _check_tenant(tenant: str, issuer: Issuer) -> None:
    wanted = {"consumers": PERSONAL_TENANT, "common": "", "organizations": ""}.get(tenant, tenant)
    if (not wanted or is_guid(wanted)) and issuer.tenant_id != wanted:
        raise ConfigurationRefusedError(f"its issuer {issuer.v2!r} is not of the tenant {tenant!r}")
    if issuer.v1 and _tenant_id(issuer.v1) != issuer.tenant_id:
        raise ConfigurationRefusedError(f"its v1.0 issuer {issuer.v1!r} is of another tenant")
