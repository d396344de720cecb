"""Return tokens and errors as classes of azure-core and azure-identity, where the caller has loaded them.

Some libraries check classes: msgraph-sdk sends no token unless it is `azure.core.credentials.AccessToken`,
and azure-identity's chain continues only after its own CredentialUnavailableError. Imports nothing of azure.
"""

# The base classes are known at run time only, so a type checker cannot see their members.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportInconsistentConstructor=false
# pyright: reportUnknownArgumentType=false, reportAssignmentType=false

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Final

from entra_guard.credentials._cache.token import AccessToken

AZURE_CORE: Final = "azure.core.credentials"
_loaded: Final = sys.modules.get
_classes: Final[dict[object, type[AccessToken]]] = {}  # by azure-core's own class


def as_access_token(token: AccessToken) -> AccessToken:
    """Return a token as azure-core's AccessToken where azure-core is loaded, else unchanged.

    azure-core's class is a tuple, which error trackers write out item by item: keep the result in no local
    variable of a frame from which an error can leave.
    """
    module = _loaded(AZURE_CORE)
    if module is None:
        return token
    azure = getattr(module, "AccessToken", None)
    if azure is None:  # another thread imports it
        return token
    joined: Any = _classes.get(azure) or _access_token_class(azure)
    made: AccessToken = tuple.__new__(joined, (token.token, token.expires_on))
    made.__dict__["refresh_on"] = token.refresh_on
    return made


def as_access_token_info(token: AccessToken) -> Any:
    """Return a token as azure-core's AccessTokenInfo where azure-core has it loaded, else unchanged."""
    azure = getattr(_loaded(AZURE_CORE), "AccessTokenInfo", None)
    return (
        token
        if azure is None
        else _token_info_class(azure)(token.token, token.expires_on, refresh_on=int(token.refresh_on))
    )


def _access_token_class(azure: type) -> type[AccessToken]:
    class AzureAccessToken(AccessToken, azure):  # type: ignore[misc]  # a class that is known at run time
        refresh_on = 0.0

        def __reduce__(self) -> tuple[Any, ...]:
            return _restored, (self.token, self.expires_on, self.refresh_on)

        # Equal to azure-core's own token with the same fields, as a tuple is.
        __eq__ = azure.__eq__
        __hash__ = azure.__hash__

    AzureAccessToken.__qualname__ = AzureAccessToken.__name__ = "AccessToken"
    # Of two threads at once, the first decides: tokens of one library have one class.
    return _classes.setdefault(azure, AzureAccessToken)


def _restored(token: str, expires_on: int, refresh_on: float) -> AccessToken:
    return as_access_token(AccessToken(token, expires_on, refresh_on))


@cache
def _token_info_class(azure: type) -> type:
    class AzureAccessTokenInfo(azure):  # type: ignore[misc]
        def __repr__(self) -> str:
            return f"AccessTokenInfo(expires_on={self.expires_on}, refresh_on={self.refresh_on})"

        def __reduce__(self) -> tuple[Any, ...]:
            return _restored_info, (self.token, self.expires_on, self.refresh_on)

    AzureAccessTokenInfo.__qualname__ = AzureAccessTokenInfo.__name__ = "AccessTokenInfo"
    return AzureAccessTokenInfo


def _restored_info(token: str, expires_on: int, refresh_on: float) -> Any:
    return as_access_token_info(AccessToken(token, expires_on, refresh_on))


def unavailable_class(ours: Any) -> Any:
    """Return our error class, joined with azure-identity's own where that is loaded."""
    azure = getattr(_loaded("azure.identity"), "CredentialUnavailableError", None)
    return ours if azure is None else _unavailable_class(ours, azure)


@cache
def _unavailable_class(ours: Any, azure: Any) -> Any:
    class AzureCredentialUnavailableError(ours, azure):  # type: ignore[misc]  # as above
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            # azure-core records the error that is being handled, with its traceback.
            self.exc_type = self.exc_value = self.exc_traceback = None
            self.exc_msg = self.message

        @property
        def message(self) -> str:
            """Return the text, which azure-identity's chain quotes."""
            return str(self.args[0]) if self.args else ""

        @message.setter
        def message(self, _text: str) -> None:
            """Ignore azure-core's copy: the text may be completed later."""

    AzureCredentialUnavailableError.__qualname__ = AzureCredentialUnavailableError.__name__ = ours.__name__
    AzureCredentialUnavailableError.__module__ = ours.__module__
    return AzureCredentialUnavailableError
