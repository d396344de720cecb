"""What all credentials share: a token in both worlds, and ways to put it on requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from entra_guard._common.single_flight import wait, wait_async
from entra_guard._common.strict_json import NotStrictJsonError, read_object
from entra_guard.credentials._cache.token import AccessToken
from entra_guard.credentials._cache.token_cache import Order, TokenCache, surprise
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from entra_guard.credentials._azure import AsyncCredential
    from entra_guard.credentials._bearer_auth import BearerAuth

PATIENCE: Final = 30.0
"""Seconds that a caller waits for a token at the most; the request itself ends long before."""


class Credential(ABC):
    """Something that gets tokens. Serves wherever azure-core asks for a TokenCredential.

    Attributes:
        tenant_id: Whose tokens it gets; empty where that is not known beforehand.
        authority: Where it gets them; empty where that is not known beforehand.
    """

    tenant_id: str = ""
    authority: str = ""

    @abstractmethod
    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **options: Any,
    ) -> AccessToken:
        """Get a token, from memory if there is a good one.

        Args:
            scopes: What for: for an app on its own '<Application ID URI>/.default'.
            claims: A claims challenge in JSON: the cache is bypassed, and the new token kept.
            tenant_id: If given, it must be the credential's own tenant, where that is known; a credential of
                azure-identity is asked for it, and a managed identity, which has but one, takes no notice.
            options: `rejected=` names the token that a challenge was about; others are azure-core's, and
                change nothing.

        Raises:
            TokenAcquisitionError: There is none to be had; it tells why, and whether to try again.
        """

    @abstractmethod
    async def aget_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **options: Any,
    ) -> AccessToken:
        """Do what `get_token` does, in a task of asyncio or trio; blocks no event loop."""

    def auth(self, *scopes: str, hosts: Iterable[str] | None = None) -> BearerAuth:
        """Put tokens on the requests of an httpx or httpx2 client, sync or async.

        Args:
            scopes: What the tokens are for.
            hosts: The only hosts that get a token, such as 'graph.microsoft.com'; all others go without.

        Raises:
            ConfigurationError: No scope, or something that is no host.

        Example:
            >>> httpx.Client(auth=credential.auth("https://graph.microsoft.com/.default"))  # doctest: +SKIP
        """
        from entra_guard.credentials._bearer_auth import BearerAuth  # noqa: PLC0415  # it needs httpx

        return BearerAuth(self, *scopes, hosts=hosts)

    def as_async(self) -> AsyncCredential:
        """The same credential for Azure's async clients, which want an AsyncTokenCredential."""
        from entra_guard.credentials._azure import AsyncCredential  # noqa: PLC0415  # it is built on this class

        return AsyncCredential(self)

    def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Close what connections there are. Not required, and the credential can be used on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CachingCredential(Credential):
    """A credential that keeps its tokens, and has them renewed in time.

    Args:
        keeper: Keeps them.
    """

    def __init__(self, keeper: TokenCache) -> None:
        self._keeper = keeper
        self._kept = keeper.tokens
        self._clock = keeper.clock

    @abstractmethod
    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        """Ask for a token and wait for it. Runs on a thread of its own."""

    def _proof(self) -> object:
        """What stands for the credential's proof now: where it changes, asking again is worth it."""
        return None

    def _key(self, scopes: tuple[str, ...]) -> tuple[object, ...]:
        """What tells the tokens of this credential apart."""
        return scopes

    def _name(self) -> str:
        """What the log calls it."""
        return type(self).__name__

    def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        try:
            token = self._kept.recent[scopes]
            if self._clock() < token.refresh_on and claims is None and tenant_id is None:
                return token
        except (KeyError, TypeError):
            pass  # not at hand, or no scopes at all: the long way tells
        order = self._order(scopes, claims, tenant_id, options)
        sought = self._keeper.seek(order)
        if isinstance(sought, AccessToken):
            return sought
        try:
            return wait(sought, PATIENCE)
        except Exception as error:  # noqa: BLE001  # whatever it was, the caller gets it as one kind
            raise self._own(order, error) from error.__cause__

    async def aget_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        try:
            token = self._kept.recent[scopes]
            if self._clock() < token.refresh_on and claims is None and tenant_id is None:
                return token
        except (KeyError, TypeError):
            pass
        order = self._order(scopes, claims, tenant_id, options)
        sought = self._keeper.seek(order)
        if isinstance(sought, AccessToken):
            return sought
        try:
            return await wait_async(sought, PATIENCE)
        except Exception as error:  # noqa: BLE001  # whatever it was, the caller gets it as one kind
            raise self._own(order, error) from error.__cause__

    def _order(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, options: dict[str, Any]
    ) -> Order:
        check_scopes(scopes)
        check_claims(claims)
        if tenant_id and self.tenant_id and tenant_id.lower() != self.tenant_id.lower():
            raise TokenAcquisitionError(
                f"No token: one of tenant {tenant_id} was asked for, and this credential is of tenant "
                f"{self.tenant_id}.",
                error="wrong_tenant",
                hint="Build a credential for that tenant; or give this one its tenant id, if it is the same.",
            )
        return Order(
            key=self._key(scopes),
            label=f"{self._name()} for {' '.join(scopes)}",
            request=partial(self._request, scopes, claims),
            proof=self._proof,
            claims=claims or None,
            rejected=options.get("rejected"),
        )

    def _own(self, order: Order, error: Exception) -> TokenAcquisitionError:
        """An error of this caller's own, as many wait for the same work."""
        if isinstance(error, TokenAcquisitionError):
            return copy(error)
        if not isinstance(error, TimeoutError):
            return surprise(error)
        self._keeper.abandon(order)
        return TokenAcquisitionError(
            f"No token within {PATIENCE:.0f} seconds.", error="timeout", retryable=True
        )


def check_scopes(scopes: tuple[object, ...]) -> None:
    """Refuse what cannot be scopes.

    Raises:
        ConfigurationError: None at all, a list instead of names, or an empty name.
    """
    if not scopes:
        raise ConfigurationError("name at least one scope, such as 'https://graph.microsoft.com/.default'")
    if not all(isinstance(scope, str) and scope.strip() for scope in scopes):
        raise ConfigurationError(
            "scopes are names, each an argument of its own: get_token('api://orders/.default')"
        )


def check_claims(claims: str | None) -> None:
    """Refuse what cannot be a claims challenge.

    Raises:
        ConfigurationError: It is no JSON object.
    """
    try:
        asked = read_object(claims.encode() if claims else b"{}")
    except NotStrictJsonError as error:
        raise ConfigurationError(f"claims must be the JSON object of a claims challenge: {error}") from None
    if not isinstance(asked.get("access_token", {}), dict):
        raise ConfigurationError(
            "claims must be the JSON object of a claims challenge: {'access_token': {...}}"
        )
