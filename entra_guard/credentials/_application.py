"""Credentials of an application that proves itself to an authority, and the simplest proof: a secret."""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import urlsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.http import new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._keys.authority import Authority
from entra_guard.credentials import _files
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.shared_token_cache import SharedTokenCache, name_of
from entra_guard.credentials._cache.token_cache import REMEMBERED, TokenCache
from entra_guard.credentials._endpoint import TokenEndpoint
from entra_guard.credentials._settings import Settings, check_settings
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard.credentials._cache.token import AccessToken

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TENANT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_NO_TENANT: Final = frozenset({"common", "consumers", "organizations"})


class ApplicationCredential(CachingCredential):
    """An application that asks one authority for tokens of its own (RFC 6749 section 4.4).

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        settings: See `Settings`.

    Raises:
        ConfigurationError: A setting that cannot work.
    """

    def __init__(self, tenant_id: str, client_id: str, **settings: Unpack[Settings]) -> None:
        check_settings(settings)
        check_tenant(tenant_id)
        if not is_guid(client_id):
            raise ConfigurationError(
                "client_id must be the app's Application (client) ID, a GUID such as "
                "11112222-bbbb-3333-cccc-4444dddd5555"
            )
        where = Authority.named(settings.get("authority", "public"))
        self.tenant_id = tenant_id
        self.client_id: Final = client_id
        self.authority = where.url
        self._endpoint = TokenEndpoint(token_url(where, tenant_id), _client(settings))
        self._declared = _declared(settings.get("capabilities", ("cp1",)))
        super().__init__(_keeper(settings))
        self._shared = _second_level(settings)
        self._users = _keeper(settings)
        """Tokens for users, for `OnBehalfOfCredential`: they do not displace the app's own."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} client_id={self.client_id} tenant_id={self.tenant_id}>"

    @abstractmethod
    def _proof_fields(self) -> Mapping[str, str]:
        """The form fields that prove who asks, made for one request."""

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        return self._obtain({"grant_type": "client_credentials"}, scopes, claims)

    def _obtain(
        self, grant: Mapping[str, str], scopes: tuple[str, ...], claims: str | None, user: bytes = b""
    ) -> AccessToken:
        """Ask for a token, or find the one that another process has asked for.

        Args:
            grant: What entitles to it, without its scopes.
            scopes: What it is for.
            claims: A claims challenge to answer: none that is kept will do.
            user: What tells the user it is for.
        """
        ask = partial(self._ask, {**grant, "scope": " ".join(scopes)}, claims)
        if self._shared is None:
            return ask()
        name = name_of(self._endpoint.url, self.client_id, self._declared, sorted(scopes), user)
        return self._shared.through(name, ask, anew=claims is not None)

    def _ask(self, grant: Mapping[str, str], claims: str | None) -> AccessToken:
        """Send a grant with this application's proof."""
        form = {"client_id": self.client_id, **grant, **self._proof_fields()}
        if merged := merged_claims(self._declared, claims):
            form["claims"] = merged
        return self._endpoint.ask(form, self._clock)

    def close(self) -> None:
        """Close the connections of the client that the credential made itself."""
        self._endpoint.client.close()


class ClientSecretCredential(ApplicationCredential):
    """An application with a client secret.

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        client_secret: The secret's value; or a `pathlib.Path` to a file that holds it, read at each request
            (a path written as a str would be taken for the secret).
        settings: See `Settings`.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> credential = ClientSecretCredential(
        ...     "aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555", "a-secret")
        >>> credential
        <ClientSecretCredential client_id=11112222-... tenant_id=aaaabbbb-...>
    """

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        client_secret: str | Path,
        **settings: Unpack[Settings],
    ) -> None:
        if not isinstance(client_secret, Path):
            check_secret(client_secret)
        super().__init__(tenant_id, client_id, **settings)
        self._secret = client_secret

    def _proof(self) -> object:
        return _files.stamp(self._secret) if isinstance(self._secret, Path) else None

    def _proof_fields(self) -> Mapping[str, str]:
        secret = self._secret
        return {
            "client_secret": _files.read_line(secret, "client secret") if isinstance(secret, Path) else secret
        }


def check_secret(secret: object) -> None:
    """Refuse what cannot be a client secret, without quoting it.

    Raises:
        ConfigurationError: It is empty, or a file's newline came along.
    """
    if not isinstance(secret, str) or not secret:
        raise ConfigurationError("client_secret is missing: give the secret's value")
    if secret != secret.strip():
        raise ConfigurationError(
            "client_secret begins or ends with white space: strip it, if it came from a file"
        )


def check_tenant(tenant_id: str) -> None:
    """Refuse what cannot be a tenant to get an app's token from.

    Raises:
        ConfigurationError: It is empty, an alias for many tenants, or no id or domain.
    """
    if not isinstance(tenant_id, str) or not _TENANT.fullmatch(tenant_id):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("tenant_id must be the tenant's id (a GUID) or one of its domains")
    if tenant_id.lower() in _NO_TENANT:
        raise ConfigurationError(
            f"an app gets its tokens from one tenant: {tenant_id!r} is none (AADSTS9001023)"
        )


def token_url(authority: Authority, tenant: str) -> str:
    """The v2.0 token endpoint; a B2C policy's URL names its tenant itself."""
    authority.check_tenant(tenant.lower())
    base = authority.url.removesuffix("/v2.0")
    if not authority.is_entra or tenant in urlsplit(base).path.split("/"):
        return f"{base}/oauth2/v2.0/token"
    return f"{base}/{tenant}/oauth2/v2.0/token"


def merged_claims(declared: Mapping[str, Any], challenge: str | None) -> str:
    """The `claims` parameter: what the app can do and what a challenge asks for, if anything."""
    if not declared:
        return challenge or ""
    asked: dict[str, Any] = json.loads(challenge) if challenge else {}
    merged: dict[str, Any] = {**(asked.get("access_token") or {}), **declared}
    return json.dumps({**asked, "access_token": merged}, separators=(",", ":"))


def _declared(capabilities: Iterable[str]) -> dict[str, Any]:
    values = [capabilities] if isinstance(capabilities, str) else list(capabilities)
    return {"xms_cc": {"values": values}} if values else {}


def _keeper(settings: Settings) -> TokenCache:
    return TokenCache(
        cache_size=settings.get("cache_size", REMEMBERED),
        clock=settings.get("clock", time.time),
        monotonic=settings.get("monotonic", time.monotonic),
    )


def _second_level(settings: Settings) -> SharedTokenCache | None:
    store = settings.get("shared")
    return None if store is None else SharedTokenCache(store, settings.get("clock", time.time))


def _client(settings: Settings) -> LazyClient:
    given, context = settings.get("http_client"), settings.get("ssl_context")
    proxy = settings.get("proxy")
    if given is not None and (context is not None or proxy is not None):
        raise ConfigurationError("an http_client brings its own ssl_context and proxy: give one or the other")
    client = LazyClient(given, partial(new_client, ssl_context=context, proxy=proxy))
    client.warm_up()
    return client
