"""An application that proves its identity with a client secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from entra_guard._common.arguments import known_arguments
from entra_guard._common.audiences import QUOTES
from entra_guard._common.boundary import public
from entra_guard.credentials._application import ApplicationCredential
from entra_guard.credentials._files import file_stamp, read_line
from entra_guard.credentials._proofs import ProofRotation, expiry_time
from entra_guard.credentials._settings import SETTING_NAMES, listed, wrong_value
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from entra_guard.credentials._settings import Settings

_NOTHING: Final = frozenset({"none", "null", "undefined", "nan"})
# As templates, shells, pipelines and App Service leave them, if nothing replaces them.
_PLACEHOLDER: Final = re.compile(
    r"<.*>|\{.*\}|\$\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|%\w+%|__\w+__|#\{.*\}#?|@Microsoft\.KeyVault\(.*"
    r"|your[-_ ].*secret.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ClientSecret:
    """A client secret with its expiry, which Entra shows when it is created. No repr shows the secret.

    Args:
        value: The secret's value, or the path of a file that holds it.
        expires_on: A date, a datetime with a time zone, ISO 8601 text, or seconds since the epoch. From 30
            days before, a warning is logged once a day.

    Raises:
        ConfigurationError: The value cannot be a secret, or the expiry cannot be read.

    Example:
        >>> ClientSecret("a-secret", expires_on="2027-01-31")
        ClientSecret(expires_on='2027-01-31')
    """

    value: str | Path = field(repr=False)
    expires_on: dt.date | dt.datetime | str | float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, Path):
            check_secret(self.value)
        expiry_time(self.expires_on)


# The generated constructor, whose frames would hold the secret if it is refused.
ClientSecret.__init__ = public(ClientSecret.__init__)  # type: ignore[method-assign]


class ClientSecretCredential(ApplicationCredential):
    """An application with a client secret.

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        client_secret: The secret's value; or a `pathlib.Path` to a file that holds it, read at each request
            (a path written as a str would be taken for the secret); or a `ClientSecret` with its expiry. A
            list holds an old and a new one: when Entra refuses one, the next is used.
        settings: See `Settings`.

    Raises:
        ConfigurationError: A setting cannot work.

    Example:
        >>> credential = ClientSecretCredential(
        ...     "aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555", "a-secret")
        >>> credential
        <ClientSecretCredential client_id=11112222-... tenant_id=aaaabbbb-...>
    """

    @public
    @known_arguments(*SETTING_NAMES)
    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        client_secret: str | Path | ClientSecret | Sequence[str | Path | ClientSecret],
        **settings: Unpack[Settings],
    ) -> None:
        secrets: Final = _secrets(client_secret)
        super().__init__(tenant_id, client_id, **settings)
        self._secrets = tuple(secret.value for secret in secrets)
        self._proofs = ProofRotation("client secret", [expiry_time(each.expires_on) for each in secrets])

    def _proof_version(self) -> object:
        stamps = tuple(file_stamp(secret) for secret in self._secrets if isinstance(secret, Path))
        return stamps or None

    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:
        secret = self._secrets[number]
        return {"client_secret": read_line(secret, "client secret") if isinstance(secret, Path) else secret}


def _secrets(given: object) -> list[ClientSecret]:
    secrets = listed(given)
    if not secrets:
        raise ConfigurationError("client_secret is an empty list: give at least one secret")
    return [each if isinstance(each, ClientSecret) else ClientSecret(each) for each in secrets]  # type: ignore[arg-type]  # checked there


def _not_a_secret(text: str) -> str:
    """Return why a text is not a secret but what was to be replaced by one; '' if it may be one."""
    if text[0] == text[-1] and text[0] in QUOTES:
        return "has quotes around it (docker --env-file keeps them): remove them"
    if text.lower() in _NOTHING or _PLACEHOLDER.fullmatch(text):
        return "is a placeholder, not a secret's value: put the value in its place"
    return ""


def check_secret(secret: object) -> None:
    """Check that a value can be a client secret; the error does not quote it.

    Raises:
        ConfigurationError: It is not a str, is empty, or came with white space or a byte order mark.
    """
    if not isinstance(secret, str) or not secret:
        raise ConfigurationError(
            f"client_secret must be the secret's value, or a pathlib.Path to its file{wrong_value(secret)}"
        )
    if secret != secret.strip():
        raise ConfigurationError(
            "client_secret begins or ends with white space: strip it, if it was read from a file"
        )
    if wrong := _not_a_secret(secret):
        raise ConfigurationError(f"client_secret {wrong}. Is the variable set?")
    if not secret.isprintable():
        raise ConfigurationError(
            "client_secret contains a byte order mark or control characters: save its file as ASCII, or "
            "pass the file's pathlib.Path"
        )
