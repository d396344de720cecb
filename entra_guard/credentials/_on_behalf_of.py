"""Tokens for a user of this API, to call the next API in their name (RFC 7523 section 2.1).

Microsoft: "OAuth 2.0 On-Behalf-Of flow".
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from entra_guard.credentials._application import ApplicationCredential
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.token import is_bearer
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from entra_guard.credentials._cache.token import AccessToken

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class OnBehalfOfCredential(CachingCredential):
    """A user's own token exchanged for one for another API.

    Cheap to make for each request: the tokens are kept with the application's credential, by the SHA-256
    of the user's token, so that the next request of the same user finds them.

    Args:
        application: The credential of this API's own application, kept from request to request.
        user_assertion: The access token that the user sent to this API, without 'Bearer'.

    Raises:
        ConfigurationError: The application's credential is of another kind, or there is no assertion.

    Example:
        >>> user = OnBehalfOfCredential(application, request_token)  # doctest: +SKIP
        >>> user.get_token("https://graph.microsoft.com/User.Read")  # doctest: +SKIP
    """

    def __init__(self, application: ApplicationCredential, user_assertion: str) -> None:
        if not isinstance(application, ApplicationCredential):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{type(application).__name__} proves no application: give a credential with a secret, a "
                "certificate or an assertion"
            )
        if not is_bearer(user_assertion):
            raise ConfigurationError("user_assertion must be the token that the user sent, without 'Bearer'")
        super().__init__(application._users)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self.tenant_id, self.authority = application.tenant_id, application.authority
        self._application = application
        self._assertion = user_assertion
        self._digest = sha256(user_assertion.encode()).digest()

    def __repr__(self) -> str:
        return f"<OnBehalfOfCredential of {self._application!r}>"

    def _key(self, scopes: tuple[str, ...]) -> tuple[object, ...]:
        return scopes, self._digest

    def _proof(self) -> object:
        return self._application._proof()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        grant = {
            "grant_type": _GRANT,
            "requested_token_use": "on_behalf_of",
            "assertion": self._assertion,
        }
        obtain = self._application._obtain  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return obtain(grant, scopes, claims, self._digest)
