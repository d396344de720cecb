"""Adapters between our credentials and azure-core's two protocols. Imports nothing of azure."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio

from entra_guard._common.boundary import public
from entra_guard._common.clock import wall_clock
from entra_guard.credentials._azure_types import as_access_token, as_access_token_info
from entra_guard.credentials._base import (
    BaseCredential,
    CachingCredential,
    check_claims,
    check_options,
    token_options,
)
from entra_guard.credentials._cache.token import AccessToken, is_bearer, new_token
from entra_guard.credentials._cache.token_cache import DEFAULT_WAIT, TokenCache, TokenRequest
from entra_guard.credentials._token_errors import error_from_azure
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from types import TracebackType


class AsyncCredential:
    """A credential of ours for async clients of the Azure SDK: an AsyncTokenCredential of azure-core.

    Args:
        credential: The credential, which remains usable itself.

    Example:
        >>> client = SecretClient(vault_url, credential.as_async())
    """

    def __init__(self, credential: BaseCredential) -> None:
        self.credential = credential

    def __repr__(self) -> str:
        return f"{self.credential!r}.as_async()"

    @public
    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        """Return a token: see `Credential.aget_token`."""
        return await self.credential.aget_token(*scopes, claims=claims, tenant_id=tenant_id, **options)

    @public
    async def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        """Return a token as azure-core's AccessTokenInfo: see `Credential.get_token_info`."""
        return as_access_token_info(await self.credential.aget_token(*scopes, **token_options(options)))

    async def close(self) -> None:
        """Close the connections; the credential remains usable."""
        self.credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        problem: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


def adapted(credential: Any) -> BaseCredential:
    """Return any credential as one of ours.

    Raises:
        ConfigurationError: It has no `get_token`.
    """
    if isinstance(credential, BaseCredential):
        return credential
    if isinstance(credential, AsyncCredential):
        return credential.credential
    if not callable(getattr(credential, "get_token", None)):
        raise ConfigurationError(
            f"{type(credential).__name__} is not a credential: give one of entra_guard.credentials or of "
            "azure-identity"
        )
    if inspect.iscoroutinefunction(credential.get_token):
        return _AzureAsync(credential)
    return _Azure(credential)


def needs_event_loop(credential: BaseCredential) -> bool:
    """Return whether a credential can be used only in the event loop it belongs to."""
    return isinstance(credential, _AzureAsync)


class _Azure(CachingCredential):
    """A TokenCredential of azure-core: its tokens are cached, requested once and renewed as ours are."""

    def __init__(self, credential: Any) -> None:
        super().__init__(TokenCache())
        self._azure = credential

    def __repr__(self) -> str:
        return f"<{self._log_name()}>"

    def _log_name(self) -> str:
        return f"{type(self._azure).__name__} of azure-identity"

    def _token_request(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, options: dict[str, Any]
    ) -> TokenRequest:
        """Pass a tenant on: which ones the credential serves, it decides itself."""
        request = super()._token_request(scopes, claims, None, options)
        check_options(tenant_id, ())
        if not tenant_id:
            return request
        send = partial(self._request, scopes, claims, tenant_id)
        return replace(request, key=(scopes, tenant_id.lower()), send=send)

    def _request(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None = None
    ) -> AccessToken:
        try:
            token = self._azure.get_token(*scopes, enable_cae=True, **_given(claims, tenant_id))
        except Exception as error:
            raise error_from_azure(error) from error
        return _read_azure_token(token, self._clock())

    def close(self) -> None:
        """Leave the credential to its owner."""


class _AzureAsync(BaseCredential):
    """An AsyncTokenCredential of azure-core. It belongs to one event loop: nothing is cached here."""

    def __init__(self, credential: Any) -> None:
        self._azure = credential

    def __repr__(self) -> str:
        return f"<{type(self._azure).__name__} of azure-identity's aio>"

    @public
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ARG002  # as in BaseCredential
        raise ConfigurationError(
            f"{type(self._azure).__name__} is an async credential: use it with an AsyncClient, or take the "
            "one of the same name from azure.identity"
        )

    @public
    async def aget_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        check_claims(claims)
        check_options(tenant_id, options)
        try:
            with anyio.fail_after(DEFAULT_WAIT):
                token = await self._azure.get_token(*scopes, enable_cae=True, **_given(claims, tenant_id))
        except TimeoutError:
            raise TokenAcquisitionError(
                f"No token: {self!r} returned none in time.", error="timeout", retryable=True
            ) from None
        except Exception as error:
            raise error_from_azure(error) from error
        return as_access_token(_read_azure_token(token, wall_clock()))


def _given(claims: str | None, tenant_id: str | None) -> dict[str, str]:
    return {name: value for name, value in {"claims": claims, "tenant_id": tenant_id}.items() if value}


def _read_azure_token(token: Any, now: float) -> AccessToken:
    """Return azure-core's token as ours.

    Raises:
        TokenAcquisitionError: It is not a bearer token; it is not quoted.
    """
    text, ends, renew = (getattr(token, name, None) for name in ("token", "expires_on", "refresh_on"))
    if is_bearer(text) and isinstance(ends, int | float):
        return new_token(text, now, ends - now, renew - now if isinstance(renew, int | float) else None)
    del token, text  # no frame of an error holds what may be a token
    raise TokenAcquisitionError(
        "No token: the credential returned no bearer token with its time.", error="content"
    )
