"""Microsoft's clouds, and an authority's OpenID configuration made into an issuer. Fetches nothing.

The issuer is taken from the authority's own configuration and pinned by whoever keeps it, never
guessed from the URL: with External ID and custom domains the two have different hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.http import is_safe
from entra_guard._validation.issuer import TENANT_PLACEHOLDER, Issuer
from entra_guard.errors import ConfigurationError
from entra_guard.policy import PERSONAL_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds (Microsoft: "National clouds")."""

    authority: str
    graph: str = ""
    aliases: frozenset[str] = frozenset()


CLOUDS: Final[Mapping[str, Cloud]] = {
    "public": Cloud(
        "https://login.microsoftonline.com",
        "https://graph.microsoft.com",
        frozenset({"login.windows.net", "login.microsoft.com", "sts.windows.net"}),
    ),
    "us-government": Cloud(
        "https://login.microsoftonline.us",
        "https://graph.microsoft.us",
        frozenset({"login.usgovcloudapi.net"}),
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        frozenset({"login.chinacloudapi.cn"}),
    ),
    # Microsoft has not published what else belongs to these three.
    "france": Cloud("https://login.sovcloud-identity.fr"),
    "germany": Cloud("https://login.sovcloud-identity.de"),
    "singapore": Cloud("https://login.sovcloud-identity.sg"),
}


class ConfigurationRefusedError(ValueError):
    """An OpenID configuration that must not be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Where a guard's issuer lives.

    Attributes:
        url: Without a last slash: a cloud's host, an External ID tenant's, or a B2C policy's URL.
        kind: 'entra'; 'external' (External ID: v2.0 only, issuer on another host); or 'openid', an
            issuer that knows neither tenants nor token versions (B2C, or any OpenID provider).
        aliases: Other hosts of the same cloud.
    """

    url: str
    kind: str = "entra"
    aliases: frozenset[str] = frozenset()

    @classmethod
    def named(cls, name: str) -> Authority:
        """Read an authority as users write it: a cloud's name, a URL, or a host as in AZURE_AUTHORITY_HOST.

        Raises:
            ConfigurationError: It is neither a known cloud nor an https URL (or http on this machine).
        """
        if cloud := CLOUDS.get(name):
            return cls(cloud.authority, aliases=cloud.aliases)
        bare_host = isinstance(name, str) and "." in name and ":" not in name  # pyright: ignore[reportUnnecessaryIsInstance]
        url = _checked(f"https://{name}" if bare_host else name)
        for cloud in CLOUDS.values():
            if urlsplit(url).hostname in {urlsplit(cloud.authority).hostname, *cloud.aliases}:
                if urlsplit(url).path:
                    raise ConfigurationError(f"authority is {cloud.authority} alone: name the tenant apart")
                return cls(cloud.authority, aliases=cloud.aliases)
        if _is_b2c(url):
            return cls(f"{url.removesuffix('/v2.0')}/v2.0", "openid")
        return cls(url, _kind(url))

    @classmethod
    def external(cls, url: str) -> Authority:
        """Take an External ID tenant by a domain of its own; ciamlogin.com hosts are known without this."""
        return cls(_checked(url), "external")

    @classmethod
    def openid(cls, issuer: str) -> Authority:
        """Take any OpenID issuer whose access tokens are signed JWTs with one exact issuer (RFC 9068).

        Its keys are fetched over https from wherever its own configuration says, which may be another host.
        Scopes are read from 'scp' or 'scope', the client from 'azp' or 'client_id', roles from 'roles'.

        Example:
            >>> Authority.openid("https://issuer.example").kind
            'openid'
        """
        _checked(issuer)
        return cls(issuer, "openid")

    def configuration_urls(self, tenant: str, versions: frozenset[str]) -> dict[str, str]:
        """Tell where the OpenID configuration of each token version is; '2.0' is always among them."""
        if self.kind == "openid":
            base = self.url.rstrip("/")
            return {"2.0": f"{base}/.well-known/openid-configuration"}
        urls = {"2.0": f"{self.url}/{tenant}/v2.0/.well-known/openid-configuration"}
        if "1.0" in versions and self.kind == "entra":
            urls["1.0"] = f"{self.url}/{tenant}/.well-known/openid-configuration"
        return urls

    def hosts(self, *also: str) -> frozenset[str]:
        """The hosts, with port where it is not the usual one, that this authority may keep its keys on."""
        return self.aliases | {host_of(url) for url in (self.url, *also)}


def host_of(url: str) -> str:
    """The host of a URL, with its port where that is not the scheme's own: two ways to write it are one."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    shown = f"[{host}]" if ":" in host else host
    return shown if port in (None, usual) else f"{shown}:{port}"


def _checked(url: str) -> str:
    """An authority's URL without a last slash, if it can be one."""
    try:
        parts = urlsplit(url)
        usable = is_safe(url) and not (parts.username or parts.password or parts.query or parts.fragment)
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"authority must be one of {', '.join(CLOUDS)}, or an https URL (http on this machine only) "
            "without user name, query and fragment"
        )
    return url.rstrip("/")


def _is_b2c(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith(".b2clogin.com")


def _kind(url: str) -> str:
    return "external" if (urlsplit(url).hostname or "").endswith(".ciamlogin.com") else "entra"


def read_configuration(
    authority: Authority, tenant: str, v2: Mapping[str, Any], v1: Mapping[str, Any] | None
) -> tuple[Issuer, str]:
    """Read the issuer and the key URL from an authority's configuration documents.

    Args:
        authority: Whose documents they are.
        tenant: The tenant, domain or alias that was asked for.
        v2: The v2.0 document.
        v1: The v1.0 document, where v1.0 tokens are accepted and exist.

    Raises:
        ConfigurationRefusedError: A document is not what this authority can have meant.
    """
    issuer, keys_url = _url_in(v2, "issuer"), _url_in(v2, "jwks_uri")
    cloud = v2.get("cloud_instance_name")
    found = Issuer(
        v2=issuer,
        v1=_url_in(v1, "issuer") if v1 else "",
        cloud=cloud if isinstance(cloud, str) else "",
        tenant_id="" if authority.kind == "openid" else _tenant_id(issuer),
        is_entra=authority.kind != "openid",
    )
    if authority.kind == "openid":
        return _checked_openid(authority, found, keys_url), keys_url
    _check_tenant(tenant, found)
    if authority.kind == "entra" and host_of(issuer) not in authority.hosts():
        raise ConfigurationRefusedError(f"its issuer {issuer!r} is of another host than {authority.url}")
    _check_keys_url(authority, issuer, keys_url)
    return found, keys_url


def _check_keys_url(authority: Authority, issuer: str, keys_url: str) -> None:
    if host_of(keys_url) not in authority.hosts(issuer):
        raise ConfigurationRefusedError(f"its jwks_uri {keys_url!r} is of another host than {authority.url}")


def _checked_openid(authority: Authority, issuer: Issuer, keys_url: str) -> Issuer:
    """OpenID Connect Discovery section 4.3: the issuer is the URL asked; B2C names another on its host.

    Where the keys of any other OpenID issuer are is for its own document to say: many keep them elsewhere.
    """
    if TENANT_PLACEHOLDER in issuer.v2:
        raise ConfigurationRefusedError(
            "its issuer stands for any tenant: name the cloud and Tenants instead"
        )
    same = issuer.v2.rstrip("/") == authority.url.rstrip("/")
    if not same and host_of(issuer.v2) != host_of(authority.url):
        raise ConfigurationRefusedError(f"its issuer {issuer.v2!r} is not {authority.url}")
    if _is_b2c(authority.url):
        _check_keys_url(authority, issuer.v2, keys_url)
    return issuer


def _url_in(document: Mapping[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise ConfigurationRefusedError(f"its {name} is not an https URL")
    return url


def _tenant_id(issuer: str) -> str:
    """The one tenant in an issuer's path; empty where the placeholder stands."""
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
