"""The public documents: OpenID configuration, signing keys, instance discovery. Pure functions.

Every URL has the host of the request, so that a client never follows one to a real authority. What the
emulator does not serve is not advertised: hybrid response types, session checks, mutual TLS, Kerberos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard.emulator._store.entries import CONSUMERS
from entra_guard.emulator._store.signing_keys import PUBLIC_CLOUD, SigningKey
from entra_guard.emulator._tokens.issuers import issuer_v1, issuer_v2

if TYPE_CHECKING:
    from collections.abc import Iterable

TEMPLATE: Final = "{tenantid}"
_AUTH_METHODS: Final = ["client_secret_post", "private_key_jwt", "client_secret_basic"]
_CLAIMS: Final = ["sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
                  "msgraph_host", "aud", "exp", "iat", "auth_time", "acr"]  # fmt: skip
_CLAIMS_V2: Final = [
    *_CLAIMS,
    "nonce",
    "preferred_username",
    "name",
    "tid",
    "ver",
    "at_hash",
    "c_hash",
    "email",
]
_CLAIMS_V1: Final = [*_CLAIMS, "amr", "nonce", "email", "given_name", "family_name", "nickname"]


@dataclass(frozen=True, slots=True)
class AuthorityPath:
    """The authority that a URL's first segment names.

    Attributes:
        base: Scheme and host of the request.
        segment: The segment in URLs: the tenant's id, or the alias.
        tenant_id: The tenant, or `{tenantid}` for aliases.
        region: The tenant's region; None for an alias.
    """

    base: str
    segment: str
    tenant_id: str
    region: str | None = None

    @property
    def url(self) -> str:
        return f"{self.base}/{self.segment}"

    @property
    def issuer(self) -> str:
        """The issuer of v2.0 tokens."""
        return issuer_v2(self.base, self.tenant_id)


def configuration_v2(at: AuthorityPath, app_id: str | None = None) -> dict[str, Any]:
    """Return the v2.0 OpenID configuration. With an app id, it refers to the keys of that app."""
    return {
        "token_endpoint": f"{at.url}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "jwks_uri": f"{at.url}/discovery/v2.0/keys{_appid_query(app_id)}",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": at.issuer,
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{at.base}/oidc/userinfo",
        "authorization_endpoint": f"{at.url}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{at.url}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{at.url}/oauth2/v2.0/logout",
        "claims_supported": _CLAIMS_V2,
        **_cloud_members(at),
    }


def authorization_server_metadata(at: AuthorityPath) -> dict[str, Any]:
    """Return RFC 8414 metadata, which Entra does not have and MCP clients look for first."""
    document = configuration_v2(at)
    names = (
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "device_authorization_endpoint",
    )
    more = ("response_types_supported", "response_modes_supported", "scopes_supported")
    return {
        **{name: document[name] for name in (*names, *more)},
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", *_AUTH_METHODS],
    }


def configuration_v1(at: AuthorityPath, app_id: str | None = None) -> dict[str, Any]:
    """Return the v1.0 OpenID configuration. Its keys are those of `common`, whatever the tenant."""
    keys = f"{at.url}/discovery/keys{_appid_query(app_id)}" if app_id else f"{at.base}/common/discovery/keys"
    return {
        "token_endpoint": f"{at.url}/oauth2/token",
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "jwks_uri": keys,
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid"],
        "issuer": issuer_v1(at.base, at.tenant_id),
        "microsoft_multi_refresh_token": True,
        "authorization_endpoint": f"{at.url}/oauth2/authorize",
        "device_authorization_endpoint": f"{at.url}/oauth2/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{at.url}/oauth2/logout",
        "claims_supported": _CLAIMS_V1,
        **_cloud_members(at),
    }


def _appid_query(app_id: str | None) -> str:
    return f"?appid={app_id}" if app_id else ""


def _cloud_members(at: AuthorityPath) -> dict[str, Any]:
    return {
        "tenant_region_scope": at.region,
        "cloud_instance_name": PUBLIC_CLOUD,
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": urlsplit(at.base).netloc,
        "rbac_url": "https://pas.windows.net",
    }


def keys_v2(at: AuthorityPath, keys: Iterable[SigningKey]) -> dict[str, Any]:
    """Return the v2.0 signing keys: each has the issuer whose tokens it signs."""
    return {
        "keys": [
            {**_key_members(k), "cloud_instance_name": k.cloud, "issuer": _issuer_of(at, k)} for k in keys
        ]
    }


def keys_v1(keys: Iterable[SigningKey]) -> dict[str, Any]:
    """Return the v1.0 signing keys: without issuer and cloud."""
    return {"keys": [_key_members(k) for k in keys]}


def _key_members(key: SigningKey) -> dict[str, Any]:
    # No `alg`: Entra never publishes one.
    names = {"kty": "RSA", "use": "sig", "kid": key.kid, "x5t": key.kid}
    return {**names, "n": key.modulus, "e": "AQAB", "x5c": [key.certificate]}


def _issuer_of(at: AuthorityPath, key: SigningKey) -> str:
    return issuer_v2(at.base, CONSUMERS) if key.realm == "consumers" else at.issuer


def instance_discovery(base: str, tenant: str) -> dict[str, Any]:
    """Return the document by which MSAL verifies that a host is an authority."""
    host = urlsplit(base).netloc
    return {
        "tenant_discovery_endpoint": f"{base}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [
            {"preferred_network": first, "preferred_cache": cache, "aliases": list(aliases)}
            for first, cache, aliases in ((host, host, (host,)), *_CLOUDS)
        ],
    }


_CLOUDS: Final = (
    ("login.microsoftonline.com", "login.windows.net",
     ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net")),
    ("login.partner.microsoftonline.cn", "login.partner.microsoftonline.cn",
     ("login.partner.microsoftonline.cn", "login.chinacloudapi.cn")),
    ("login.microsoftonline.de", "login.microsoftonline.de", ("login.microsoftonline.de",)),
    ("login.microsoftonline.us", "login.microsoftonline.us",
     ("login.microsoftonline.us", "login.usgovcloudapi.net")),
    ("login-us.microsoftonline.com", "login-us.microsoftonline.com", ("login-us.microsoftonline.com",)),
)  # fmt: skip
KNOWN_HOSTS: Final = frozenset(alias for _, _, aliases in _CLOUDS for alias in aliases)
