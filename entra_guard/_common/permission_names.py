"""Check settings that are a name or several: roles and scopes. Values from an unset variable are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

from entra_guard._common.audiences import IS_IT_SET, SEPARATORS, json_strings
from entra_guard.errors import ConfigurationError

# What a challenge can carry (RFC 6749 section 3.3, RFC 9470 section 3), and Entra allows.
SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# OpenID Connect Core, sections 5.4 and 11; Microsoft: "Scopes and permissions in the Microsoft identity
# platform", OpenID Connect scopes.
OPENID_SCOPES: Final = frozenset({"openid", "profile", "email", "offline_access"})


def names_of(setting: str, values: object) -> tuple[str, ...]:
    """Return one name or several as a tuple. An empty list is allowed, what an unset variable gives is not.

    Args:
        setting: The name of the setting.
        values: What the user gave.

    Raises:
        ConfigurationError: It is None or empty text, of a wrong type, or several names in one string.
    """
    if values is None or (isinstance(values, str) and not values.strip()):
        raise ConfigurationError(
            f"{setting} must be a name or a list of names, got {values!r}. {IS_IT_SET} "
            f"Omit {setting} if nothing is required"
        )
    if isinstance(values, str):
        return (_one(setting, values),)
    if isinstance(values, bytes | bytearray | Mapping) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{setting} must be a name or a list of names, got {values!r}")
    return tuple(non_empty_string(setting, name) for name in cast("Iterable[object]", values))


def permission_names(setting: str, values: object) -> tuple[str, ...]:
    """Return the names of roles or scopes, as tokens have them.

    Raises:
        ConfigurationError: As `names_of`, or no token can have one of them; the text has the right value.
    """
    names = names_of(setting, values)
    for name in names:
        _check_name(setting, name)
    return names


def requested_scopes(values: object) -> tuple[str, ...]:
    """Return the names of scopes as clients request them: with the App ID URI, or without.

    Raises:
        ConfigurationError: As `permission_names`, for the last part of a name.
    """
    names = names_of("scopes", values)
    for name in names:
        check_scope(name)
        _check_name("scopes", name.rpartition("/")[2])
    return names


def check_scope(name: str) -> None:
    """Check that a scope, in full or not, is one that an API can have.

    Raises:
        ConfigurationError: It has a character that no scope has, or is about the sign-in.
    """
    _check_characters("scopes", name)
    if name.lower() in OPENID_SCOPES:
        raise ConfigurationError(
            f"scopes {name!r} is about the sign-in (OpenID Connect), and permits nothing in an API. Name "
            "scopes of the API, such as 'access_as_user'"
        )


def _check_characters(setting: str, name: str) -> None:
    if not SCOPE_TOKEN.fullmatch(name):
        raise ConfigurationError(
            f"{setting} are names in ASCII without white space and quotes, each as a separate string: "
            f"got {name!r:.200}"
        )


def _one(setting: str, text: str) -> str:
    """Return a string that is one name."""
    parts = json_strings(text) or [part for part in SEPARATORS.split(text) if part]
    if parts != [text]:
        raise ConfigurationError(f"{setting} {text!r} is not one name: use the list {setting}={parts}")
    return text


def non_empty_string(setting: str, name: object) -> str:
    """Return one of the values of a setting.

    Raises:
        ConfigurationError: It is not a string, or empty.
    """
    if not isinstance(name, str):
        hint = f" {IS_IT_SET}" if name is None else ""
        raise ConfigurationError(f"{setting} must contain only strings, got {name!r}.{hint}")
    if not name.strip():
        raise ConfigurationError(f"{setting} contains an empty string. {IS_IT_SET}")
    return name


def _check_name(setting: str, name: str) -> None:
    if setting == "scopes":
        check_scope(name)
    else:
        _check_characters(setting, name)
    if name.endswith(".default"):
        raise ConfigurationError(
            f"{setting} {name!r} is what a client requests: name each of {setting} as the token has it"
        )
    if "://" in name:
        raise ConfigurationError(
            f"{setting} are named as the token has them: {name.rpartition('/')[2]!r}, not {name!r}"
        )
