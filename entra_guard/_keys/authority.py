"""An authority as users write it: a cloud, a URL as people paste it, or an OpenID issuer. Fetches nothing."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.http import DEFAULT_PORTS, is_safe
from entra_guard._validation.openid_claims import ClaimPath, ClaimRules
from entra_guard.errors import ConfigurationError
from entra_guard.policy import TENANT_ALIASES, is_tenant_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds (Microsoft: "National clouds")."""

    authority: str
    graph: str = ""
    aliases: frozenset[str] = frozenset()

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts at which people sign in."""
        return self.aliases | {host_of(self.authority)}


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

METADATA_PATH: Final = "/.well-known/openid-configuration"
# Paths and hosts of products that are OpenID issuers other than Entra.
_OPENID_PATHS: Final = re.compile(
    r"/realms/[^/]+|/adfs$|/oauth2/(?:default|aus[0-9a-zA-Z]+)$|/application/o/"
)
_OPENID_HOSTS: Final = (
    ".auth0.com", ".okta.com", ".oktapreview.com", ".okta-emea.com", ".amazonaws.com", "accounts.google.com",
    "securetoken.google.com",
    ".onelogin.com", ".pingone.com", ".pingone.eu", ".zitadel.cloud", ".fusionauth.io",
)  # fmt: skip
_B2C_POLICY: Final = re.compile(r"b2c_1a?_\w", re.IGNORECASE)
# What follows the issuer in the URLs of endpoints and keys that people paste for it.
_ENDPOINTS: Final = re.compile(
    r"(?:/\.well-known/.*|/protocol/openid-connect(?:/.*)?|/v1/(?:keys|token|authorize|userinfo)|/oauth/token"
    r"|/connect/(?:token|authorize|userinfo)|/(?:oauth2|discovery)/(?:v2\.0/)?(?:token|authorize|keys))$"
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Where a guard's issuer lives.

    Attributes:
        url: Without a last slash: a cloud's host, an External ID tenant's, or a B2C policy's URL.
        kind: 'entra'; 'external' (External ID: v2.0 only, issuer on another host); 'b2c'; or 'openid', any
            other issuer. The last two have no tenants and no token versions.
        aliases: Other hosts of the same cloud.
        tenant: The tenant in the URL as it was written; it must be the guard's.
        rules: Where an issuer that is not Entra puts client, scopes and roles.
    """

    url: str
    kind: str = "entra"
    aliases: frozenset[str] = frozenset()
    tenant: str = ""
    rules: ClaimRules | None = None

    def __post_init__(self) -> None:
        if self.kind in {"b2c", "openid"} and self.rules is None:
            object.__setattr__(self, "rules", ClaimRules(is_b2c=self.kind == "b2c"))

    @classmethod
    def named(cls, name: str) -> Authority:
        """Read an authority as users write it: a cloud's name, a host as in AZURE_AUTHORITY_HOST, or a URL.

        The URL may have the tenant in its path, '/v2.0' at its end, or be that of the metadata document.

        Raises:
            ConfigurationError: It cannot be an authority; the text names the right value where it is known.

        Example:
            >>> Authority.named("https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0").url
            'https://contoso.ciamlogin.com'
        """
        text = name.strip() if isinstance(name, str) else _checked(name)  # pyright: ignore[reportUnnecessaryIsInstance]
        if cloud := CLOUDS.get(text):
            return cls(cloud.authority, aliases=cloud.aliases)
        bare_host = "." in text and ":" not in text
        url = _checked(_policy_in_path(f"https://{text}" if bare_host else text))
        host = urlsplit(url).hostname or ""
        for cloud in CLOUDS.values():
            if host in cloud.hosts:
                found = _with_tenant(cls(cloud.authority, aliases=cloud.aliases), url)
                return _without_path(found, url)
        if host.endswith(".b2clogin.com") or any(map(_B2C_POLICY.match, _segments(url))):
            return cls.b2c(url)
        if host.endswith(".ciamlogin.com"):
            return cls.external(url)
        _refuse_openid_issuer(url)
        return _with_tenant(cls(url), url)

    @classmethod
    def external(cls, url: str) -> Authority:
        """Use an External ID tenant with a custom domain; ciamlogin.com hosts are known without this.

        Example:
            >>> Authority.external("https://login.contoso.com").kind
            'external'
        """
        url = _checked(url)
        return _without_path(_with_tenant(cls(_origin(url), "external"), url), url)

    @classmethod
    def b2c(cls, url: str) -> Authority:
        """Use a B2C policy with a custom domain; b2clogin.com hosts are known without this.

        Args:
            url: 'https://<host>/<tenant>/<policy>', with or without '/v2.0'.

        Example:
            >>> Authority.b2c("https://login.contoso.com/contoso.onmicrosoft.com/B2C_1_signin").kind
            'b2c'
        """
        url = _checked(_policy_in_path(url))
        segments = _segments(url.removesuffix(METADATA_PATH))
        version = segments.pop() if segments[-1:] == ["v2.0"] else "v2.0"
        prefix, names = (segments[:1], segments[1:]) if segments[:1] == ["tfp"] else ([], segments)
        tenant, policy, *more = [*names, "", ""]
        if more != ["", ""] or policy == "oauth2" or not is_tenant_name(tenant.lower()):
            known = "/".join([*prefix, tenant or "<tenant>", policy if len(more) > 2 else "<policy>"])  # noqa: PLR2004
            raise ConfigurationError(
                f"authority {url!r} must be the URL of a B2C policy (user flow): {_origin(url)}/{known}"
            )
        return cls("/".join([_origin(url), *prefix, *names, version]), "b2c")

    @classmethod
    def openid(
        cls,
        issuer: str,
        *,
        is_app: Callable[[Mapping[str, Any]], bool | None] | None = None,
        scopes_claim: str | Iterable[str] = (),
        roles_claim: str | Iterable[str] = ("roles",),
        client_claim: str | Iterable[str] = (),
    ) -> Authority:
        """Use any OpenID issuer whose access tokens are signed JWTs with one exact issuer (RFC 9068).

        Its keys are fetched over https from the URL in its own configuration, which may be on another host.
        A claim may be inside of others: `roles_claim=("realm_access", "roles")`.

        Args:
            issuer: The issuer's URL, as its configuration names it.
            is_app: Receives the verified claims and returns whether an application calls in its own name
                (True), a user (False), or unknown (None). Without it, the shapes of Auth0, Okta, Keycloak,
                Duende, Cognito and RFC 9068 are recognised; all others are unknown, and `users_only` and
                `app_only` refuse them.
            scopes_claim: Where the scopes are, if not in 'scp' or 'scope'.
            roles_claim: Where the roles are.
            client_claim: Where the client's id is, if not in 'azp', 'client_id', 'cid' or 'appid'.

        Raises:
            ConfigurationError: It is not an issuer's URL, or is Microsoft's own, which needs no such rules.

        Example:
            >>> Authority.openid("https://issuer.example").kind
            'openid'
        """
        text = issuer.strip() if isinstance(issuer, str) else issuer  # pyright: ignore[reportUnnecessaryIsInstance]
        _checked(text)
        text = text.removesuffix("/").removesuffix(METADATA_PATH) if METADATA_PATH in text else text
        _refuse_microsoft(text)
        if (base := _ENDPOINTS.sub("", text)) != text:
            raise ConfigurationError(f"{text!r} is not an issuer: use Authority.openid({base!r})")
        if is_app is not None and (not callable(is_app) or inspect.iscoroutinefunction(is_app)):
            raise ConfigurationError("is_app must be a function (not async) of a token's claims")
        rules = ClaimRules(
            _claim_path("scopes_claim", scopes_claim),
            _claim_path("roles_claim", roles_claim) or ("roles",),
            _claim_path("client_claim", client_claim),
            is_app,
        )
        return cls(text, "openid", rules=rules)

    @property
    def is_entra(self) -> bool:
        """Whether the issuer's tokens name tenants and versions, as Entra's do."""
        return self.rules is None

    def configuration_urls(self, tenant: str, versions: frozenset[str], app_id: str = "") -> dict[str, str]:
        """Return where the OpenID configuration of each token version is; '2.0' is always one of them.

        Args:
            tenant: A tenant id, a domain or an alias.
            versions: Of the accepted tokens.
            app_id: The application whose own keys are meant; only with Entra.
        """
        if not self.is_entra:
            return {"2.0": f"{self.url.rstrip('/')}{METADATA_PATH}"}
        query = f"?appid={app_id}" if app_id else ""
        urls = {"2.0": f"{self.url}/{tenant}/v2.0{METADATA_PATH}{query}"}
        if "1.0" in versions and self.kind == "entra":
            urls["1.0"] = f"{self.url}/{tenant}{METADATA_PATH}{query}"
        return urls

    def hosts(self, *also: str) -> frozenset[str]:
        """Return the hosts (with port if it is not the default) on which this authority may keep its keys."""
        return self.aliases | {host_of(url) for url in (self.url, *also)}

    def check_tenant(self, tenant: str) -> None:
        """Refuse a tenant other than the one in the URL.

        Args:
            tenant: A tenant id, a domain or an alias, in lower case.

        Raises:
            ConfigurationError: The two are not certainly the same.
        """
        written = self.tenant
        if written in ("", tenant):
            return
        first_label = (urlsplit(self.url).hostname or "").partition(".")[0]
        if self.kind == "external" and written.partition(".")[0] == first_label:
            return  # contoso.ciamlogin.com/contoso.onmicrosoft.com: the host is that tenant's
        raise ConfigurationError(
            f"authority names the tenant {written!r}, and tenant is {tenant!r}: if {tenant!r} is meant, "
            f"use authority={self.url!r}"
        )


def cloud_of(authority_url: str) -> str:
    """Return the name of the cloud that an authority is of, '' if it is none of Microsoft's."""
    return next((name for name, cloud in CLOUDS.items() if cloud.authority == authority_url), "")


def host_of(url: str) -> str:
    """Return the host of a URL, with its port if that is not the scheme's default."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    usual = DEFAULT_PORTS.get(parts.scheme)
    shown = f"[{host}]" if ":" in host else host
    return shown if port in (None, usual) else f"{shown}:{port}"


def _checked(url: str) -> str:
    """Return an authority's URL without a last slash, if it can be one."""
    try:
        parts = urlsplit(url)
        usable = is_safe(url) and not (parts.username or parts.password or parts.query or parts.fragment)
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"authority must be one of {', '.join(CLOUDS)}, or an https URL (http on this machine only) "
            f"without user name, query and fragment{_found(url)}"
        )
    return url.rstrip("/")


def _found(url: object) -> str:
    """Return the refused value for the error's text, unless it may hold a password."""
    return "" if "@" in str(url) or "?" in str(url) else f", got {url!r:.100}"


def _origin(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="", query="", fragment=""))


def _segments(url: str) -> list[str]:
    return [segment for segment in urlsplit(url).path.split("/") if segment]


def _policy_in_path(url: str) -> str:
    """Write B2C's metadata URL with '?p=<policy>' as the one with the policy in its path."""
    if not isinstance(url, str) or not re.search(r"\?p=b2c_1", url, re.IGNORECASE):  # pyright: ignore[reportUnnecessaryIsInstance]
        return url
    parts = urlsplit(url)
    query, tenant = parse_qs(parts.query), _segments(url)[:1]
    if set(query) != {"p"} or len(query["p"]) != 1 or not tenant:
        return url
    return urlunsplit(parts._replace(path=f"/{tenant[0]}/{query['p'][0]}", query=""))


def _with_tenant(authority: Authority, url: str) -> Authority:
    """Move the tenant from the end of a URL's path to where it belongs."""
    base = url.removesuffix(METADATA_PATH)
    segments = _segments(base)
    is_versioned = segments[-1:] == ["v2.0"]
    rest = segments[:-1] if is_versioned else segments
    last = rest[-1].lower() if rest else ""
    is_domain = is_tenant_name(last) and not is_guid(last)
    certain = is_versioned or base != url or last.endswith(".onmicrosoft.com")
    if not (is_guid(last) or last in TENANT_ALIASES or (is_domain and (certain or len(rest) == 1))):
        return authority
    path = "/".join([_origin(url), *rest[:-1]]) if authority.kind == "entra" else authority.url
    known = authority.aliases or authority.kind == "external"
    return replace(authority, url=authority.url if known else path, tenant=last)


def _without_path(authority: Authority, url: str) -> Authority:
    """Refuse a path that is more than a tenant and a version, and name the right value."""
    segments = [segment for segment in _segments(url.removesuffix(METADATA_PATH)) if segment != "v2.0"]
    if len(segments) <= (1 if authority.tenant else 0):
        return authority
    tenant = segments[0] if is_tenant_name(segments[0].lower()) else ""
    right = f"{authority.url}/{tenant}".rstrip("/")
    raise ConfigurationError(f"authority {url!r} has a path that is not a tenant: use {right!r}")


def _refuse_openid_issuer(url: str) -> None:
    """Refuse the URL of an issuer that is not Entra, which needs `Authority.openid`."""
    parts = urlsplit(url)
    base = _ENDPOINTS.sub("", url)
    is_product = (parts.hostname or "").endswith(_OPENID_HOSTS) or _OPENID_PATHS.search(parts.path)
    no_tenant = base != url and not any(
        is_tenant_name(segment.lower()) or segment in TENANT_ALIASES for segment in _segments(base)
    )
    if is_product or no_tenant:
        raise ConfigurationError(
            f"authority {url!r} is not an authority of Entra: use authority=Authority.openid({base!r})"
        )


def _refuse_microsoft(issuer: str) -> None:
    """Refuse Microsoft's own issuers as OpenID issuers: their tokens would be checked by less."""
    host = (urlsplit(issuer).hostname or "").lower()
    if host.endswith(".b2clogin.com"):
        right = Authority.named(issuer).url  # or it says what a B2C policy's URL is
        raise ConfigurationError(f"{issuer!r} is a B2C policy: use authority={right!r}, not Authority.openid")
    if host.endswith(".ciamlogin.com") or any(host in cloud.hosts for cloud in CLOUDS.values()):
        found = Authority.named(issuer)
        if found.tenant in TENANT_ALIASES:
            tenant = "Tenants.organizations(reason), if tokens of any tenant are to be accepted"
        else:
            tenant = repr(found.tenant) if found.tenant else "your tenant's id"
        raise ConfigurationError(
            f"{issuer!r} is an authority of Entra: use authority={found.url!r} and tenant={tenant}"
        )


def _claim_path(setting: str, value: str | Iterable[str]) -> ClaimPath:
    listed = (value,) if isinstance(value, str) else value
    path = tuple(listed) if isinstance(listed, list | tuple) else (None,)
    if not all(isinstance(name, str) and name for name in path):
        raise ConfigurationError(
            f"{setting} must be a claim's name, or the names on the way to it: ('realm_access', 'roles'), "
            f"got {value!r}"
        )
    return tuple(name for name in path if name)
