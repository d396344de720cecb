"""To and fro between our credentials and azure-core's two protocols. Imports nothing of azure."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

from entra_guard.credentials._credential import Credential, KeptCredential
from entra_guard.credentials._keeper import TokenKeeper
from entra_guard.credentials._refusals import retold
from entra_guard.credentials._token import AccessToken, token_of
from entra_guard.errors import ConfigurationError

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


class _Azure(KeptCredential):
    """A TokenCredential of azure-core: its tokens kept, joined and renewed as ours are."""

    def __init__(self, credential: Any) -> None:
        super().__init__(TokenKeeper())
        self._azure = credential

    def __repr__(self) -> str:
        return f"<{self._name()}>"

    def _name(self) -> str:
        return f"{type(self._azure).__name__} of azure-identity"

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        more = {"claims": claims} if claims else {}
        try:
            return _ours(self._azure.get_token(*scopes, enable_cae=True, **more), self._clock())
        except Exception as error:
            raise retold(str(error)) from error

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
        more = {name: value for name, value in {"claims": claims, "tenant_id": tenant_id}.items() if value}
        try:
            token = await self._azure.get_token(*scopes, enable_cae=True, **more)
        except Exception as error:
            raise retold(str(error)) from error
        return _ours(token, 0.0)


def _ours(token: Any, now: float) -> AccessToken:
    """azure-core's token as ours."""
    lifetime = token.expires_on - now
    refresh_on = getattr(token, "refresh_on", None)
    return token_of(token.token, now, lifetime, refresh_on - now if refresh_on else None)
