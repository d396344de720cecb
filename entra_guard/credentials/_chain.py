"""Several credentials tried in order; the first that is there stays in use. Keeps no token itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.credentials._azure import adapted
from entra_guard.credentials._base import Credential
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.credentials._cache.token import AccessToken


class ChainedCredential(Credential):
    """The first of several credentials that is there, from then on alone.

    Only what is absent is passed over: an environment that describes nothing, a host without a managed
    identity, a file that is not there. Whoever is there and fails or is refused is the caller's to hear of:
    neither an outage nor an expired secret must change who is calling.

    Args:
        credentials: Tried in this order; those of azure-identity serve as well, and are absent where they
            raise CredentialUnavailableError.

    Attributes:
        tenant_id: The tenant of all of them that tell one; empty where they differ.
        authority: The authority of all of them that tell one; empty where they differ.

    Raises:
        ConfigurationError: None at all, or something that gets no tokens.

    Example:
        >>> ChainedCredential(EnvironmentCredential(), ManagedIdentityCredential())  # doctest: +SKIP
    """

    def __init__(self, *credentials: Any) -> None:
        if not credentials:
            raise ConfigurationError("name at least one credential to try")
        self._credentials = tuple(adapted(credential) for credential in credentials)
        self._chosen: dict[str, Credential] = {}
        """At most one; in a dictionary, as the first of several threads that choose decides for all."""
        self.tenant_id = _only({each.tenant_id for each in self._credentials})
        self.authority = _only({each.authority for each in self._credentials})

    def __repr__(self) -> str:
        return f"<ChainedCredential {' then '.join(repr(each) for each in self._credentials)}>"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        said: list[TokenAcquisitionError] = []
        for credential in self._to_try():
            try:
                token = credential.get_token(*scopes, **options)
            except CredentialUnavailableError as error:
                said.append(error)
            except TokenAcquisitionError as error:
                said.append(error)
                break
            else:
                chosen = self._choose(credential)
                return token if chosen is credential else chosen.get_token(*scopes, **options)
        raise self._none(said)

    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        said: list[TokenAcquisitionError] = []
        for credential in self._to_try():
            try:
                token = await credential.aget_token(*scopes, **options)
            except CredentialUnavailableError as error:
                said.append(error)
            except TokenAcquisitionError as error:
                said.append(error)
                break
            else:
                chosen = self._choose(credential)
                return token if chosen is credential else await chosen.aget_token(*scopes, **options)
        raise self._none(said)

    def _to_try(self) -> tuple[Credential, ...]:
        chosen = self._chosen.get("")
        return self._credentials if chosen is None else (chosen,)

    def _choose(self, credential: Credential) -> Credential:
        return self._chosen.setdefault("", credential)

    def _none(self, said: list[TokenAcquisitionError]) -> TokenAcquisitionError:
        """One error with what each that was tried said; the last one decides, unless all are absent."""
        if self._chosen or len(self._credentials) == 1:
            return said[-1]
        lines = [f"{each!r} said: {error}" for each, error in zip(self._credentials, said, strict=False)]
        deciding = [error for error in said if not isinstance(error, CredentialUnavailableError)] or said
        waits = [error.retry_after for error in deciding if error.retry_after is not None]
        which = "any" if len(said) == len(self._credentials) else "the one that is there"
        together = TokenAcquisitionError(
            "\n  ".join([f"No token from {which} of {len(self._credentials)} credentials.", *lines]),
            error=deciding[0].error if len(deciding) == 1 else "chain",
            codes=[code for error in said for code in error.codes],
            correlation_id=deciding[0].correlation_id if len(deciding) == 1 else None,
            retryable=any(error.retryable for error in deciding),
            retry_after=min(waits, default=None),
            claims=deciding[0].claims if len(deciding) == 1 else None,
        )
        together.hint = deciding[0].hint  # its words are in the line already
        return together

    def close(self) -> None:
        """Close what connections there are."""
        for credential in self._credentials:
            credential.close()


def members_of(credential: Credential) -> Iterator[Credential]:
    """The credentials of a chain, and of chains in it; or the one that is none."""
    if not isinstance(credential, ChainedCredential):
        yield credential
        return
    for each in credential._credentials:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module
        yield from members_of(each)


def _only(values: set[str]) -> str:
    """The one value that is not empty, if there is but one."""
    told = values - {""}
    return told.pop() if len(told) == 1 else ""
