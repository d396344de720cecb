"""Several credentials tried in order; the first that gets a token stays in use. Keeps no token itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.credentials._azure import adapted
from entra_guard.credentials._credential import Credential
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from entra_guard.credentials._token import AccessToken


class ChainedCredential(Credential):
    """The first of several credentials that gets a token, from then on alone.

    Once one has succeeded, its failures are the caller's to see: an outage must not change who is calling.

    Args:
        credentials: Tried in this order; those of azure-identity serve as well.

    Raises:
        ConfigurationError: None at all, or something that gets no tokens.

    Example:
        >>> ChainedCredential(EnvironmentCredential(), ManagedIdentityCredential())  # doctest: +SKIP
    """

    def __init__(self, *credentials: Any) -> None:
        if not credentials:
            raise ConfigurationError("name at least one credential to try")
        self._credentials = tuple(adapted(credential) for credential in credentials)
        self._chosen: Credential | None = None

    def __repr__(self) -> str:
        return f"<ChainedCredential {' then '.join(repr(each) for each in self._credentials)}>"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if self._chosen is not None:
            return self._chosen.get_token(*scopes, **options)
        said: list[TokenAcquisitionError] = []
        for credential in self._credentials:
            try:
                token = credential.get_token(*scopes, **options)
            except TokenAcquisitionError as error:
                said.append(error)
            else:
                self._chosen = credential
                return token
        raise self._none(said)

    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        if self._chosen is not None:
            return await self._chosen.aget_token(*scopes, **options)
        said: list[TokenAcquisitionError] = []
        for credential in self._credentials:
            try:
                token = await credential.aget_token(*scopes, **options)
            except TokenAcquisitionError as error:
                said.append(error)
            else:
                self._chosen = credential
                return token
        raise self._none(said)

    def _none(self, said: list[TokenAcquisitionError]) -> TokenAcquisitionError:
        """One error with what each of them said."""
        lines = [f"{each!r} said: {error}" for each, error in zip(self._credentials, said, strict=True)]
        waits = [error.retry_after for error in said if error.retry_after is not None]
        return TokenAcquisitionError(
            "\n  ".join([f"No token from any of {len(said)} credentials.", *lines]),
            error=said[0].error if len(said) == 1 else "chain",
            codes=[code for error in said for code in error.codes],
            retryable=any(error.retryable for error in said),
            retry_after=min(waits, default=None),
        )

    def close(self) -> None:
        """Close what connections there are."""
        for credential in self._credentials:
            credential.close()
