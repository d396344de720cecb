"""Exchange a user's token of this API for a token for the next API (RFC 7523 section 2.1).

Microsoft: "OAuth 2.0 On-Behalf-Of flow".
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.boundary import public
from entra_guard.credentials._application import ApplicationCredential
from entra_guard.credentials._azure import AsyncCredential
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.token import is_bearer
from entra_guard.credentials._chain import ChainedCredential
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._environment import EnvironmentCredential
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from entra_guard.credentials._cache.token import AccessToken

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class OnBehalfOfCredential(CachingCredential, Credential):
    """A user's token exchanged for one for another API.

    Build one for each request: the tokens are cached with the application's credential, by the SHA-256 of the
    user's token, so that the next request of the same user finds them.

    Args:
        application: The credential of this API's own application, which outlives the request: one with a
            secret, a certificate or an assertion, or an `EnvironmentCredential` that describes one, or a
            chain whose first configured credential is one.
        user_assertion: The access token that the user sent to this API, without 'Bearer'.

    Raises:
        ConfigurationError: The credential does not prove an application or is an agent's with a user account,
            or there is no assertion.

    Example:
        >>> user = OnBehalfOfCredential(application, request_token)
        >>> client = httpx.Client(auth=user.auth("https://graph.microsoft.com/User.Read"))
    """

    @public
    def __init__(self, application: Credential | AsyncCredential, user_assertion: str) -> None:
        proving = application_of(application, "on-behalf-of")
        if getattr(proving, "user", None) is not None:
            raise ConfigurationError(
                "application is an agent with its own user account, and on-behalf-of acts for the signed-in "
                "user: give AgentCredential without user"
            )
        if not is_bearer(user_assertion):
            raise ConfigurationError("user_assertion must be the token that the user sent, without 'Bearer'")
        super().__init__(proving._user_tokens)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self.tenant_id: str = proving.tenant_id
        self.authority: str = proving.authority
        self._application = proving
        self._assertion = user_assertion
        self._digest = sha256(user_assertion.encode()).digest()

    def __repr__(self) -> str:
        return f"<OnBehalfOfCredential of {self._application!r}>"

    def health(self) -> dict[str, Any]:
        return self._application.health()

    def _cache_key(self, scopes: tuple[str, ...]) -> tuple[object, ...]:
        return scopes, self._digest

    def _proof_version(self) -> object:
        return self._application._proof_version()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        grant = {
            "grant_type": _GRANT,
            "requested_token_use": "on_behalf_of",
            "assertion": self._assertion,
        }
        request = self._application._request_grant  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return request(grant, scopes, claims, self._digest)


def application_of(credential: object, what: str) -> ApplicationCredential:
    """Return the application that a credential proves.

    Args:
        credential: Any credential.
        what: What needs the application, for the error.

    Raises:
        ConfigurationError: It proves none.
    """
    found, problem = _find_application(credential)
    if found is None:
        raise ConfigurationError(
            f"{problem}; {what} needs a credential with a client secret, a certificate or an assertion"
        )
    return found


def _find_application(credential: object) -> tuple[ApplicationCredential | None, str]:
    """Return the application, or why there is none."""
    if isinstance(credential, ApplicationCredential):
        return credential, ""
    if isinstance(credential, AsyncCredential):
        return _find_application(credential.credential)
    if isinstance(credential, EnvironmentCredential):
        found = credential.credential
        return (None, f"the environment: {credential.account}") if found is None else _find_application(found)
    if isinstance(credential, ChainedCredential):
        for each in credential.credentials:
            if not (isinstance(each, EnvironmentCredential) and each.credential is None):
                return _find_application(each)
    return None, f"{type(credential).__name__} does not prove an application"
