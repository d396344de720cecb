"""What every credential has: a token in threads and in event loops, from its cache where it keeps one."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from copy import copy
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import urlsplit

from entra_guard._common.arguments import check_names
from entra_guard._common.boundary import detach, public
from entra_guard._common.clock import wall_clock
from entra_guard._common.permission_names import check_scope
from entra_guard._common.single_flight import wait, wait_async
from entra_guard._common.strict_json import NotStrictJsonError, read_object
from entra_guard._common.telemetry import TELEMETRY
from entra_guard._common.time_limit import time_left
from entra_guard.credentials._azure_types import AZURE_CORE, as_access_token, as_access_token_info
from entra_guard.credentials._cache.token import AccessToken
from entra_guard.credentials._cache.token_cache import (
    TokenCache,
    TokenRequest,
    unexpected_error,
)
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType


# azure-core passes `enable_cae` (TokenCredential), newer versions also `pop`; `rejected` is ours.
_OPTIONS: Final = frozenset({"enable_cae", "pop", "rejected"})
_NEAR: Final = 0.75


class BaseCredential(ABC):
    """A source of tokens, usable wherever azure-core expects a TokenCredential.

    Attributes:
        tenant_id: The tenant of its tokens; empty where that is not known beforehand.
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
        """Return a token, from the cache if there is a usable one.

        Args:
            scopes: What for: for an app without a user '<Application ID URI>/.default'.
            claims: A claims challenge in JSON: the cache is bypassed, and the new token is cached.
            tenant_id: If given, it must be the credential's own tenant, where that is known; a credential of
                azure-identity is asked for that tenant, and a managed identity ignores it.
            options: `rejected=` names the token that a challenge was about; others are azure-core's, and
                change nothing.

        Returns:
            An `AccessToken`; where azure-core is loaded, also an `azure.core.credentials.AccessToken`.

        Raises:
            TokenAcquisitionError: There is none; the error says why, and whether to try again.
        """

    @abstractmethod
    async def aget_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **options: Any,
    ) -> AccessToken:
        """Return what `get_token` returns, in a task of asyncio or trio; blocks no event loop."""

    @public
    def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        """Return a token as azure-core's AccessTokenInfo, for clients of the Azure SDK (SupportsTokenInfo).

        Args:
            scopes: As for `get_token`.
            options: azure-core's TokenRequestOptions: `claims` and `tenant_id` are used.
        """
        return as_access_token_info(self.get_token(*scopes, **token_options(options)))

    def health(self) -> dict[str, Any]:
        """Return the state for an operator: the credential, and its proofs with the days left for each."""
        return {"credential": repr(self), "proofs": []}

    def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Close the connections. Not required, and the credential remains usable."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        problem: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.close()


def token_options(options: Any) -> dict[str, Any]:
    """Return azure-core's TokenRequestOptions as keyword arguments of `get_token`."""
    known = ("claims", "tenant_id")
    return {name: options[name] for name in known if options and options.get(name)}


class CachingCredential(BaseCredential):
    """A credential that caches its tokens and renews them in time.

    Args:
        cache: Holds the tokens.
    """

    def __init__(self, cache: TokenCache) -> None:
        self._use(cache)

    def _use(self, cache: TokenCache) -> None:
        self._cache = cache
        self._tokens = cache.tokens
        self._clock = cache.clock
        # The default clock is a function that calls `time.time`: the hot path calls that itself.
        self._own_clock = None if cache.clock is wall_clock else cache.clock
        self._monotonic = cache.monotonic

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle or copy: the settings and secrets, with an empty cache."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in {"_tokens", "_clock", "_own_clock", "_monotonic"}
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._use(self._cache)

    @abstractmethod
    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        """Request a token and wait for it. Runs on its own thread."""

    def _proof_version(self) -> object:
        """Return what changes with the credential's proof: a new request is worth sending then."""
        return None

    def _cache_key(self, scopes: tuple[str, ...]) -> tuple[object, ...]:
        """Return what distinguishes the tokens of this credential."""
        return scopes

    def _log_name(self) -> str:
        return type(self).__name__

    def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        try:
            token = self._tokens.recent[scopes]
            if (
                (self._own_clock or time.time)() < token.refresh_on
                and self._monotonic() < token.refresh_by
                and claims is None
                and tenant_id is None
                and (not options or options.keys() <= _OPTIONS)
            ):
                return as_access_token(token) if AZURE_CORE in sys.modules else token
        except (KeyError, TypeError):
            pass  # not in the cache, or no valid scopes: checked below
        try:
            request = self._token_request(scopes, claims, tenant_id, options)
            longest = time_left(self._cache.wait) or self._cache.wait
            pending = self._cache.get_or_start(request)
            if isinstance(pending, AccessToken):
                return as_access_token(pending)
            try:
                return as_access_token(wait(pending, longest))
            except Exception as error:  # noqa: BLE001  # whatever it was, callers get one kind of error
                raise self._error_for_caller(request, error, longest) from error.__cause__
        except BaseException as error:
            options, request = {}, None  # this frame may stay in the traceback
            detach(error)
            raise

    async def aget_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **options: Any
    ) -> AccessToken:
        try:
            token = self._tokens.recent[scopes]
            if (
                (self._own_clock or time.time)() < token.refresh_on
                and self._monotonic() < token.refresh_by
                and claims is None
                and tenant_id is None
                and (not options or options.keys() <= _OPTIONS)
            ):
                return as_access_token(token) if AZURE_CORE in sys.modules else token
        except (KeyError, TypeError):
            pass
        try:
            request = self._token_request(scopes, claims, tenant_id, options)
            longest = self._cache.wait
            pending = self._cache.get_or_start(request)
            if isinstance(pending, AccessToken):
                return as_access_token(pending)
            try:
                return as_access_token(await wait_async(pending, longest))
            except Exception as error:  # noqa: BLE001  # whatever it was, callers get one kind of error
                raise self._error_for_caller(request, error, longest) from error.__cause__
        except BaseException as error:
            options, request = {}, None  # this frame may stay in the traceback
            detach(error)
            raise

    def _token_request(
        self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, options: dict[str, Any]
    ) -> TokenRequest:
        check_scopes(scopes)
        check_claims(claims)
        check_options(tenant_id, options)
        if tenant_id and self.tenant_id and tenant_id.lower() != self.tenant_id.lower():
            raise TokenAcquisitionError(
                f"No token: tenant {tenant_id!r} was requested, and this credential is for tenant "
                f"{self.tenant_id}.",
                error="wrong_tenant",
                hint="Build a credential for that tenant; or give this one its tenant id, if it is the same.",
            )
        TELEMETRY.look_for_providers()
        send: Callable[[], AccessToken] = partial(self._request, scopes, claims)
        if TELEMETRY.is_on:
            send = partial(self._send_observed, send, scopes, TELEMETRY.current_context())
        return TokenRequest(
            key=self._cache_key(scopes),
            scopes=scopes,
            label=f"{self._log_name()} for {' '.join(scopes)}",
            send=send,
            proof_version=self._proof_version,
            claims=claims or None,
            rejected=options.get("rejected"),
        )

    def _send_observed(
        self, send: Callable[[], AccessToken], scopes: tuple[str, ...], parent: Any
    ) -> AccessToken:
        """Request a token in a span of the caller's trace, and count it."""
        name = type(self).__name__
        attributes = {"entra_guard.credential": name, "entra_guard.scopes": " ".join(scopes)}
        if self.authority:
            attributes["server.address"] = urlsplit(self.authority).hostname or ""
        with TELEMETRY.operation(
            "entra_guard.token.acquire",
            attributes,
            lambda metrics, error: metrics.acquired(name, error),
            parent,
        ):
            return send()

    def _error_for_caller(
        self, request: TokenRequest, error: Exception, waited: float
    ) -> TokenAcquisitionError:
        """Return an error object for this caller alone: many wait for the same request."""
        if isinstance(error, TokenAcquisitionError):
            return copy(error)
        if not isinstance(error, TimeoutError):
            return unexpected_error(error)
        if waited >= self._cache.wait:
            self._cache.abandon(request)
        return TokenAcquisitionError(
            f"No token: none arrived within {waited:g} seconds.",
            error="timeout",
            retryable=True,
        )


def check_scopes(scopes: tuple[object, ...]) -> None:
    """Check that values can be scopes.

    Raises:
        ConfigurationError: There are none, or one is a list or empty, has a character that no scope has, or
            is about the sign-in.
    """
    if not scopes:
        raise ConfigurationError("give at least one scope, such as 'https://graph.microsoft.com/.default'")
    if not all(isinstance(scope, str) and scope.strip() for scope in scopes):
        raise ConfigurationError(
            "scopes are strings, each as a separate argument: get_token('api://orders/.default')"
        )
    for scope in cast("tuple[str, ...]", scopes):
        check_scope(scope)


def check_options(tenant_id: object, options: Iterable[str]) -> None:
    """Check the other arguments of `get_token`: a misspelt `tenant_id` would be ignored.

    Args:
        tenant_id: A tenant, or None.
        options: The names of the other arguments.

    Raises:
        ConfigurationError: The tenant is not a string, or a name is unknown.
    """
    if tenant_id is not None and not isinstance(tenant_id, str):
        raise ConfigurationError(f"tenant_id must be a tenant's id, got {type(tenant_id).__name__}")
    # Azure SDKs may pass arguments of later versions of azure-core: only what looks misspelt is refused.
    known = _OPTIONS | {"claims", "tenant_id"}
    misspelt = [name for name in options if name not in known and get_close_matches(name, known, 1, _NEAR)]
    check_names("get_token()", "argument", misspelt, known)


def check_claims(claims: str | None) -> None:
    """Check that a value can be a claims challenge.

    Raises:
        ConfigurationError: It is not a JSON object.
    """
    if claims is not None and not isinstance(claims, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"claims must be the JSON object of a claims challenge, as text, got {type(claims).__name__}"
        )
    try:
        requested = read_object(claims.encode("utf-8", "surrogatepass") if claims else b"{}")
    except NotStrictJsonError as error:
        raise ConfigurationError(f"claims must be the JSON object of a claims challenge: {error}") from None
    if not isinstance(requested.get("access_token", {}), dict):
        raise ConfigurationError(
            "claims must be the JSON object of a claims challenge: {'access_token': {...}}"
        )
