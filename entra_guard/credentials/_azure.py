"""To and fro between our credentials and azure-core's two protocols. Imports nothing of azure."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from entra_guard.credentials._base import CachingCredential, Credential
from entra_guard.credentials._cache.token import AccessToken, is_bearer, token_of
from entra_guard.credentials._cache.token_cache import Order, TokenCache
from entra_guard.credentials._token_errors import retold
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from types import TracebackType


class AsyncCredential:
    """A credential of ours for Azure's async clients: an AsyncTokenCredential of azure-core.

    Args:
        credential: The credential, which stays usable itself.

    Example:
        >>> client = SecretClient(vault_url, credential.as_async())  # doctest: +SKIP
    """

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def __repr__(self) -> str:
        return f"{self._credential!r}.as_async()"

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        """Get a token: see `Credential.aget_token`."""
        return await self._credential.aget_token(*scopes, claims=claims, tenant_id=tenant_id, **options)

    async def close(self) -> None:
        """Close what connections there are; the credential can be used on."""
        self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        problem: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


def adapted(credential: Any) -> Credential:
    """Make any credential one of ours.

    Raises:
        ConfigurationError: It gets no tokens.
    """
    if isinstance(credential, Credential):
        return credential
    if isinstance(credential, AsyncCredential):
        return credential._credential  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module
    if not callable(getattr(credential, "get_token", None)):
        raise ConfigurationError(
            f"{type(credential).__name__} is no credential: give one of entra_guard.credentials "
            "or of azure-identity"
        )
    if inspect.iscoroutinefunction(credential.get_token):
        return _AzureAsync(credential)
    return _Azure(credential)


def needs_event_loop(credential: Credential) -> bool:
    """Tell whether a credential has no use outside the event loop it lives on."""
    return isinstance(credential, _AzureAsync)


class _Azure(CachingCredential):
    """A TokenCredential of azure-core: its tokens kept, joined and renewed as ours are."""

    def __init__(self, credential: Any) -> None:
        super().__init__(TokenCache())
        self._azure = credential

    def __repr__(self) -> str:
        return f"<{self._name()}>"

    def _name(self) -> str:
        return f"{type(self._azure).__name__} of azure-identity"

    def _order(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, options: dict[str, Any]
    ) -> Order:
        """Whose tokens it gets is its own affair: a tenant that is asked for is passed on."""
        order = super()._order(scopes, claims, None, options)
        if not tenant_id:
            return order
        request = partial(self._request, scopes, claims, tenant_id)
        return replace(order, key=(scopes, tenant_id.lower()), request=request)

    def _request(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None = None
    ) -> AccessToken:
        try:
            token = self._azure.get_token(*scopes, enable_cae=True, **_told(claims, tenant_id))
        except Exception as error:
            raise retold(error) from error
        return _ours(token, self._clock())

    def close(self) -> None:
        """Leave the credential to its owner."""


class _AzureAsync(Credential):
    """An AsyncTokenCredential of azure-core. It lives on one event loop: nothing is shared or kept here."""

    def __init__(self, credential: Any) -> None:
        self._azure = credential

    def __repr__(self) -> str:
        return f"<{type(self._azure).__name__} of azure-identity's aio>"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ARG002  # as in Credential
        raise ConfigurationError(
            f"{type(self._azure).__name__} is an async credential: use it with an AsyncClient, or take the "
            "one of the same name from azure.identity"
        )

    async def aget_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **_options: Any
    ) -> AccessToken:
        try:
            token = await self._azure.get_token(*scopes, enable_cae=True, **_told(claims, tenant_id))
        except Exception as error:
            raise retold(error) from error
        return _ours(token, 0.0)


def _told(claims: str | None, tenant_id: str | None) -> dict[str, str]:
    return {name: value for name, value in {"claims": claims, "tenant_id": tenant_id}.items() if value}


def _ours(token: Any, now: float) -> AccessToken:
    """azure-core's token as ours.

    Raises:
        TokenAcquisitionError: It is none; it is not repeated.
    """
    text = getattr(token, "token", None)
    if not is_bearer(text):
        raise TokenAcquisitionError("No token: what came is no bearer token.", error="content")
    refresh_on = getattr(token, "refresh_on", None)
    return token_of(text, now, token.expires_on - now, refresh_on - now if refresh_on else None)
