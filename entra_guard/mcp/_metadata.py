"""The metadata of a protected resource (RFC 9728), and challenges with its URL. Knows no MCP package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.http import DEFAULT_PORTS, is_safe
from entra_guard._common.logs import get_logger
from entra_guard._common.mcp_resource import resource_problem, url_audiences
from entra_guard._guard.combined_guard import guards_of
from entra_guard._keys.authority import METADATA_PATH
from entra_guard._validation.issuer import TENANT_PLACEHOLDER
from entra_guard._web.openapi import full_name
from entra_guard.errors import ConfigurationError
from entra_guard.policy import TENANT_ALIASES
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._guard.verifier import IssuerVerifier

log: Final = get_logger("entra_guard")

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_V2: Final = frozenset({"2.0"})


class ResourceMetadata:
    """What an MCP client reads to find the authorization server and the scopes.

    Args:
        guard: Its issuers are the authorization servers.
        url: The URL of the MCP endpoint, as clients use it.
        scopes: Scopes of the API: 'access_as_user', or in full.
        name: The server's name, for people.

    Raises:
        ConfigurationError: The URL is not one that clients can use.
    """

    def __init__(
        self, guard: IssuerVerifier | CombinedGuard, url: str, scopes: Iterable[str] = (), name: str = ""
    ) -> None:
        parts = urlsplit(_checked(url))
        self.path: Final = parts.path
        self.paths: Final = frozenset({WELL_KNOWN, f"{WELL_KNOWN}{parts.path.rstrip('/')}"})
        self.url: Final = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"
        self._guard = guard
        self.scopes: Final = tuple(dict.fromkeys(self.full(scope) for scope in scopes))
        self.resource: Final = url
        self._name: Final = name
        _warn_of_other_resource(guard, url)

    def prepare(self) -> None:
        """Start to load the keys: a domain's issuer is in its configuration, which the first client reads."""
        self.issuers()

    def issuers(self) -> list[str]:
        """Return the v2.0 issuers: clients compare each with that of its configuration (RFC 8414, 3.3)."""
        return list(dict.fromkeys(issuer for one in guards_of(self._guard) for issuer in _issuers(one)))

    def body(self) -> bytes:
        """Return the metadata as JSON."""
        document: dict[str, Any] = {
            "resource": self.resource,
            "authorization_servers": self.issuers(),
            "scopes_supported": list(self.scopes),
            "bearer_methods_supported": ["header"],
            "resource_name": self._name,
        }
        return json.dumps({key: value for key, value in document.items() if value}).encode()

    def full(self, scope: str) -> str:
        """Return the full name of a scope: Entra takes a short one for Microsoft Graph's (AADSTS1002012)."""
        return scope if "://" in scope else full_name(self._guard, scope)

    def challenge(self, value: str, status: int) -> str:
        """Return a Bearer challenge with the URL of this metadata and the scopes that help.

        Where none helps, as a role is missing, it names no error: at `insufficient_scope` MCP clients let the
        user sign in again, each time.
        """
        if status == _FORBIDDEN and 'scope="' not in value and any(text in value for text in _NOT_BY_SCOPES):
            return f'Bearer resource_metadata="{self.url}"'
        missing: list[str] = []
        if "resource_metadata=" not in value:
            missing.append(f'resource_metadata="{self.url}"')
        if self.scopes and status in _HELPED_BY_SCOPES and 'scope="' not in value:
            missing.append(f'scope="{" ".join(self.scopes)}"')
        separator = "," if "=" in value else ""
        return f"{value}{separator} {', '.join(missing)}" if missing else value


_FORBIDDEN: Final = 403
_HELPED_BY_SCOPES: Final = frozenset({401, _FORBIDDEN})
_NOT_BY_SCOPES: Final = tuple(
    reason.client
    for name, reason in REASONS.items()
    if reason.status == _FORBIDDEN and name not in {"missing_scope", "no_permissions"}
)


def _issuers(guard: IssuerVerifier) -> list[str]:
    """Return the v2.0 issuers of a guard: each is the URL below which its OpenID configuration is.

    The issuer of a domain or of External ID is in its configuration, which a first probe loads: until then
    it is the URL of the configuration, which is all that several organizations have.
    """
    authority, tenants = guard.authority, guard.policy.tenants
    is_domain = not is_guid(tenants.alias) and tenants.alias not in TENANT_ALIASES
    if authority.kind == "external" or (authority.kind == "entra" and is_domain):
        named = guard.health().issuer
        if named and TENANT_PLACEHOLDER not in named:
            return [named]
    urls = [authority.configuration_urls(each, _V2)["2.0"] for each in sorted(tenants.ids) or [tenants.alias]]
    return [url.removesuffix(METADATA_PATH) for url in urls]


def is_usable(url: object) -> bool:
    """Return whether a value is an https URL, or one of this machine, without query and fragment.

    Its spelling is the one that clients send: host in small letters, and without the scheme's own port.
    """
    if not isinstance(url, str) or not url.isascii() or set(url) & _NOT_IN_URLS or not is_safe(url):
        return False
    parts = urlsplit(url)
    if "?" in url or "#" in url or "@" in parts.netloc or "*" in parts.netloc:
        return False
    origin = f"{parts.scheme}://{parts.netloc}"
    is_exact = url.startswith(origin) and origin == origin.lower()
    return is_exact and parts.port != DEFAULT_PORTS[parts.scheme]


_NOT_IN_URLS: Final = frozenset('"\\ <>{}%')


def _checked(url: str) -> str:
    if is_usable(url):
        return url
    found = "one with a user name" if "@" in str(url) else repr(url)
    raise ConfigurationError(
        f"url must be the https URL of the MCP endpoint that clients use, such as "
        f"'https://tasks.example/mcp', without query, fragment, port 443 and capital letters in the host, "
        f"got {found}"
    )


def _warn_of_other_resource(guard: IssuerVerifier | CombinedGuard, url: str) -> None:
    """Log it where the App ID URIs are known and the resource is none of them.

    MCP clients send the resource to Entra, which compares it with the App ID URIs of the API, exactly.
    """
    for one in guards_of(guard):
        uris = url_audiences(one.policy.audiences)
        problem = resource_problem(url, uris) if uris else ""
        if problem:
            log.warning(
                "%s is not among the App ID URIs of the audience (%s)%s. Add exactly this URL, trailing "
                "slash included, to the App ID URIs (identifierUris) of the API's registration and to "
                "audience, or change url.",
                url,
                ", ".join(uris),
                problem,
            )
