"""Credentials of an application that proves its identity to an authority, whatever the proof is."""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import urlsplit

from entra_guard._common.clock import wall_clock
from entra_guard._common.guid import is_guid
from entra_guard._common.http import new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._common.logs import get_logger
from entra_guard._common.telemetry import TELEMETRY
from entra_guard._keys.authority import Authority
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.shared_token_cache import SharedTokenCache, entry_name
from entra_guard.credentials._cache.token_cache import (
    DEFAULT_CACHE_SIZE,
    DEFAULT_WAIT,
    CacheOptions,
    TokenCache,
)
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._endpoint import TokenEndpoint
from entra_guard.credentials._proofs import PROOF_ERRORS, REFUSED_PROOF, ProofRotation
from entra_guard.credentials._settings import Settings, check_settings, wrong_value
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard.credentials._cache.token import AccessToken

log: Final = get_logger("entra_guard.credentials")

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TENANT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_NOT_ONE_TENANT: Final = frozenset({"common", "consumers", "organizations"})


class ApplicationCredential(CachingCredential, Credential):
    """An application that gets tokens for itself from one authority (RFC 6749 section 4.4).

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        settings: See `Settings`.

    Raises:
        ConfigurationError: A setting cannot work.
    """

    def __init__(self, tenant_id: str, client_id: str, **settings: Unpack[Settings]) -> None:
        check_settings(settings)
        check_tenant(tenant_id)
        check_client_id(client_id)
        authority = Authority.named(settings.get("authority", "public"))
        self.tenant_id: str = tenant_id
        self.client_id: str = client_id
        self.authority: str = authority.url
        self._endpoint = TokenEndpoint(token_url(authority, tenant_id), _client(settings))
        self._declared = _declared_capabilities(settings.get("capabilities", ("cp1",)))
        self._proofs = ProofRotation("proof")
        self._cache_options = _cache_options(settings)
        super().__init__(TokenCache(**self._cache_options))
        self._shared = _shared_token_cache(settings)
        # Tokens for users, for `OnBehalfOfCredential`: they do not displace the app's own.
        self._user_tokens = TokenCache(**self._cache_options)

    def _use(self, cache: TokenCache) -> None:
        super()._use(cache)
        TELEMETRY.observed.credentials.add(self)  # its own proofs, which other credentials use

    def __repr__(self) -> str:
        return f"<{type(self).__name__} client_id={self.client_id} tenant_id={self.tenant_id}>"

    @abstractmethod
    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:
        """Return the form fields that prove the application, made for one request.

        Args:
            number: Which of its proofs, if it has several.
        """

    def health(self) -> dict[str, Any]:
        """Return the credential and its proofs: which is in use, the days left, and why one failed.

        Example:
            >>> credential.health()["proofs"]
            [{'name': 'client secret', 'in_use': True, 'days_left': None, 'failed': None}]
        """
        return {"credential": repr(self), "proofs": self._proofs.health(self._clock())}

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        return self._request_grant({"grant_type": "client_credentials"}, scopes, claims)

    def _request_grant(
        self, grant: Mapping[str, str], scopes: tuple[str, ...], claims: str | None, user: bytes = b""
    ) -> AccessToken:
        """Request a token, or find the one that another process has requested.

        Args:
            grant: The grant's form fields, without scopes.
            scopes: What the token is for.
            claims: A claims challenge to satisfy: no cached token satisfies it.
            user: What distinguishes the user it is for.
        """
        send = partial(self._send_with_proof, {**grant, "scope": " ".join(scopes)}, claims)
        if self._shared is None:
            return send()
        name = entry_name(self._endpoint.url, self.client_id, self._declared, sorted(scopes), user)
        return self._shared.get_or_request(name, send, bypass=claims is not None)

    def _send_with_proof(self, grant: Mapping[str, str], claims: str | None) -> AccessToken:
        """Send a grant with the proof in use; if that one is not accepted, with the application's others."""
        self._warn_before_expiry()
        errors: list[TokenAcquisitionError] = []
        for _ in range(len(self._proofs)):
            number = self._proofs.current
            try:
                token = self._send(grant, claims, number)
            except TokenAcquisitionError as error:
                if error.error not in PROOF_ERRORS:
                    raise
                self._proofs.failed(number, error.codes or (error.error,))
                errors.append(error)
            else:
                if change := self._proofs.accepted(number):
                    log.warning("client %s: %s", self.client_id, change)
                return token
        raise _deciding(errors)

    def _send(self, grant: Mapping[str, str], claims: str | None, number: int) -> AccessToken:
        form = {"client_id": self.client_id, **grant, **self._proof_fields(number)}
        if merged := merged_claims(self._declared, claims):
            form["claims"] = merged
        return self._endpoint.request_token(form, self._clock)

    def _warn_before_expiry(self) -> None:
        for warning in self._proofs.due_warnings(self._clock()):
            log.warning("client %s: %s", self.client_id, warning)

    def close(self) -> None:
        """Close the connections of the client that the credential made itself."""
        self._endpoint.client.close()


def _deciding(errors: list[TokenAcquisitionError]) -> TokenAcquisitionError:
    """Return the error to raise for several proofs: a refusal by Entra rather than a file that is missing."""
    error = next((each for each in errors if each.error == REFUSED_PROOF), errors[0])
    if len(errors) > 1:
        error.args = (f"{error} All {len(errors)} proofs of this credential failed.",)
    return error


def check_client_id(client_id: object) -> None:
    """Check that a value is a client id. The error does not quote it: it may be a secret in the wrong place.

    Raises:
        ConfigurationError: It is not a GUID.
    """
    if not isinstance(client_id, str) or not is_guid(client_id):
        raise ConfigurationError(
            "client_id must be the app's Application (client) ID, a GUID such as "
            f"11112222-bbbb-3333-cccc-4444dddd5555{wrong_value(client_id)}"
        )


def check_tenant(tenant_id: str) -> None:
    """Check that a value is a tenant that an app can get tokens from.

    Raises:
        ConfigurationError: It is empty, an alias for many tenants, or neither an id nor a domain.
    """
    if not isinstance(tenant_id, str) or not _TENANT.fullmatch(tenant_id):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"tenant_id must be the tenant's id (a GUID) or one of its domains{wrong_value(tenant_id)}"
        )
    if tenant_id.lower() in _NOT_ONE_TENANT:
        raise ConfigurationError(
            f"an app gets its tokens from one tenant, and {tenant_id!r} means many (AADSTS9001023): give the "
            "tenant's id"
        )


def token_url(authority: Authority, tenant: str) -> str:
    """Return the v2.0 token endpoint; a B2C policy's URL names its tenant itself."""
    authority.check_tenant(tenant.lower())
    base = authority.url.removesuffix("/v2.0")
    if not authority.is_entra or tenant in urlsplit(base).path.split("/"):
        return f"{base}/oauth2/v2.0/token"
    return f"{base}/{tenant}/oauth2/v2.0/token"


def merged_claims(declared: Mapping[str, Any], challenge: str | None) -> str:
    """Return the `claims` parameter: the app's capabilities and a challenge's claims, if any."""
    if not declared:
        return challenge or ""
    requested: dict[str, Any] = json.loads(challenge) if challenge else {}
    merged: dict[str, Any] = {**(requested.get("access_token") or {}), **declared}
    return json.dumps({**requested, "access_token": merged}, separators=(",", ":"))


def _declared_capabilities(capabilities: Iterable[str]) -> dict[str, Any]:
    values = [capabilities] if isinstance(capabilities, str) else list(capabilities)
    return {"xms_cc": {"values": values}} if values else {}


def _cache_options(settings: Settings) -> CacheOptions:
    return {
        "cache_size": settings.get("cache_size", DEFAULT_CACHE_SIZE),
        "wait": settings.get("wait", DEFAULT_WAIT),
        "clock": settings.get("clock", wall_clock),
        "monotonic": settings.get("monotonic", time.monotonic),
    }


def _shared_token_cache(settings: Settings) -> SharedTokenCache | None:
    store = settings.get("shared")
    return None if store is None else SharedTokenCache(store, settings.get("clock", wall_clock))


def _client(settings: Settings) -> LazyClient:
    given, context = settings.get("http_client"), settings.get("ssl_context")
    proxy = settings.get("proxy")
    if given is not None and (context is not None or proxy is not None):
        raise ConfigurationError(
            "give either http_client, or ssl_context and proxy: a client has its own of both"
        )
    client = LazyClient(given, partial(new_client, ssl_context=context, proxy=proxy))
    client.warm_up()
    return client
