"""Several credentials tried in order; the first that is configured remains in use. Caches no token itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard._common.boundary import public
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.credentials._base import BaseCredential
    from entra_guard.credentials._cache.token import AccessToken


class ChainedCredential(Credential):
    """The first of several credentials that is configured here, and from then on that one alone.

    The next credential is tried only if one is not configured: an environment that describes nothing, a host
    without a managed identity, a missing file. If an available credential fails, its error is raised; the
    chain does not continue: neither an outage nor an expired secret must change who is calling.

    Args:
        credentials: Tried in this order; those of azure-identity can be used, too, and are skipped where they
            raise CredentialUnavailableError.

    Attributes:
        credentials: The credentials.
        tenant_id: The one tenant that they name; empty where they differ.
        authority: The one authority that they name; empty where they differ.

    Raises:
        ConfigurationError: There is none, or a value is not a credential.

    Example:
        >>> credential = ChainedCredential(EnvironmentCredential(), ManagedIdentityCredential())
    """

    @public
    def __init__(self, *credentials: Any) -> None:
        if not credentials:
            raise ConfigurationError("give at least one credential")
        self.credentials: tuple[BaseCredential, ...] = tuple(
            adapted(credential) for credential in credentials
        )
        # At most one entry: of several threads that choose at once, the first decides for all.
        self._chosen: dict[str, BaseCredential] = {}
        self.tenant_id: str = _only({each.tenant_id for each in self.credentials})
        self.authority: str = _only({each.authority for each in self.credentials})

    def __repr__(self) -> str:
        return f"<ChainedCredential {' then '.join(repr(each) for each in self.credentials)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: on another host another credential may be configured."""
        return {**self.__dict__, "_chosen": {}}

    @public
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        errors: list[TokenAcquisitionError] = []
        for credential in self._to_try():
            try:
                token = credential.get_token(*scopes, **options)
            except CredentialUnavailableError as error:
                errors.append(error)
            except TokenAcquisitionError as error:
                errors.append(error)
                break
            else:
                chosen = self._choose(credential)
                if chosen is credential:
                    return token
                del token  # no frame of an error holds a token
                return chosen.get_token(*scopes, **options)
        raise self._combined(errors)

    @public
    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        errors: list[TokenAcquisitionError] = []
        for credential in self._to_try():
            try:
                token = await credential.aget_token(*scopes, **options)
            except CredentialUnavailableError as error:
                errors.append(error)
            except TokenAcquisitionError as error:
                errors.append(error)
                break
            else:
                chosen = self._choose(credential)
                if chosen is credential:
                    return token
                del token  # no frame of an error holds a token
                return await chosen.aget_token(*scopes, **options)
        raise self._combined(errors)

    def _to_try(self) -> tuple[BaseCredential, ...]:
        chosen = self._chosen.get("")
        return self.credentials if chosen is None else (chosen,)

    def _choose(self, credential: BaseCredential) -> BaseCredential:
        return self._chosen.setdefault("", credential)

    def _combined(self, errors: list[TokenAcquisitionError]) -> TokenAcquisitionError:
        """Return one error that quotes each; the last one decides, unless no credential is configured."""
        if self._chosen or len(self.credentials) == 1:
            return errors[-1]
        lines = [f"{each!r}: {error}" for each, error in zip(self.credentials, errors, strict=False)]
        available = [error for error in errors if not isinstance(error, CredentialUnavailableError)]
        deciding = available or errors
        waits = [error.retry_after for error in deciding if error.retry_after is not None]
        which = "the one that is configured" if available else "any"
        kind = TokenAcquisitionError if available else CredentialUnavailableError
        combined = kind(
            "\n  ".join([f"No token from {which} of {len(self.credentials)} credentials.", *lines]),
            error=deciding[0].error if len(deciding) == 1 else "chain",
            codes=[code for error in errors for code in error.codes],
            correlation_id=deciding[0].correlation_id if len(deciding) == 1 else None,
            retryable=any(error.retryable for error in deciding),
            retry_after=min(waits, default=None),
            claims=deciding[0].claims if len(deciding) == 1 else None,
        )
        combined.hint = deciding[0].hint  # its line has the words already
        return combined

    def health(self) -> dict[str, Any]:
        """Return the state of each credential, and of the one in use."""
        chosen = self._chosen.get("")
        return {
            "credential": repr(self),
            "proofs": [] if chosen is None else chosen.health()["proofs"],
            "credentials": [each.health() for each in self.credentials],
        }

    def close(self) -> None:
        """Close the connections."""
        for credential in self.credentials:
            credential.close()


def members_of(credential: BaseCredential) -> Iterator[BaseCredential]:
    """Yield the credentials of a chain, and of chains in it; or the credential itself."""
    if not isinstance(credential, ChainedCredential):
        yield credential
        return
    for each in credential.credentials:
        yield from members_of(each)


def _only(values: set[str]) -> str:
    """Return the one value that is not empty, or nothing if there are several."""
    named = values - {""}
    return named.pop() if len(named) == 1 else ""
