"""A guard's settings read from environment variables. Builds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.arguments import check_names, letters_of
from entra_guard._common.audiences import QUOTES, json_strings
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._common.agent import Agents

PREFIX: Final = "ENTRA_GUARD_"
VARIABLES: Final = tuple(
    f"{PREFIX}{name}"
    for name in (
        "TENANT",
        "AUDIENCE",
        "ALLOWED_CLIENTS",
        "TOKEN_VERSIONS",
        "AUTHORITY",
        "LEEWAY",
        "APP_SPECIFIC_KEYS",
        "KEYS_FILE",
        "TRACE_USERS",
        "GUESTS",
        "AGENTS",
        "REASONS_URL",
    )
)


def settings_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the arguments of `Guard` from ENTRA_GUARD_* variables.

    Raises:
        ConfigurationError: The tenant or the audience is missing, a name with the prefix is not known, or a
            value cannot be meant: quoted, JSON, an empty list, or a leeway that is not a number.
    """
    ours = [name for name in environ if letters_of(name).startswith(letters_of(PREFIX))]
    check_names("the environment", "variable of entra_guard", ours, VARIABLES)
    tenant = _value(environ, "TENANT") or _text(environ, "AZURE_TENANT_ID")
    audience = _list(environ, "AUDIENCE")
    if not tenant:
        raise ConfigurationError("set ENTRA_GUARD_TENANT (or AZURE_TENANT_ID) to the tenant id")
    if not audience:
        raise ConfigurationError(
            "set ENTRA_GUARD_AUDIENCE to the API's client id. AZURE_CLIENT_ID is not used for it: "
            "on many hosts it is the workload's own identity"
        )
    settings: dict[str, Any] = {"tenant": tenant, "audience": audience}
    if authority := _value(environ, "AUTHORITY") or _text(environ, "AZURE_AUTHORITY_HOST"):
        settings["authority"] = authority
    for variable, name in (("ALLOWED_CLIENTS", "allowed_clients"), ("TOKEN_VERSIONS", "token_versions")):
        values = _list(environ, variable)
        if values is not None:
            settings[name] = values
    if leeway := _value(environ, "LEEWAY"):
        settings["leeway"] = _seconds(f"{PREFIX}LEEWAY", leeway)
    settings |= _other_settings(environ)
    if f"{PREFIX}GUESTS" in environ:
        settings["guests"] = _flag(environ, "GUESTS")
    if f"{PREFIX}AGENTS" in environ:
        settings["agents"] = _agents(_value(environ, "AGENTS").lower())
    return settings


def _other_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if app_id := _value(environ, "APP_SPECIFIC_KEYS"):
        settings["app_specific_keys"] = {"true": True, "false": False}.get(app_id.lower(), app_id)
    if f"{PREFIX}TRACE_USERS" in environ:
        settings["trace_users"] = _flag(environ, "TRACE_USERS")
    for variable, name in (("KEYS_FILE", "keys_file"), ("REASONS_URL", "reasons_url")):
        if value := _value(environ, variable):
            settings[name] = value
    return settings


def _agents(text: str) -> Agents:
    known: dict[str, Agents] = {"true": True, "false": False, "only": "only"}
    if text not in known:
        raise ConfigurationError(f"{PREFIX}AGENTS must be true, false or only, got {text!r}")
    return known[text]


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = _value(environ, name).lower()
    if text not in {"true", "false"}:
        raise ConfigurationError(f"{PREFIX}{name} must be true or false, got {text!r}")
    return text == "true"


def _value(environ: Mapping[str, str], name: str) -> str:
    """Return the value of one of our variables; '' if it is not set."""
    return _text(environ, f"{PREFIX}{name}")


def _text(environ: Mapping[str, str], variable: str) -> str:
    text = environ.get(variable, "").strip()
    if text[:1] in QUOTES and text[:1]:
        raise ConfigurationError(
            f"{variable} has quotes around its value (docker --env-file keeps them): use {text.strip(QUOTES)}"
        )
    return text


def _list(environ: Mapping[str, str], name: str) -> list[str] | None:
    """Return a variable's values; None if it is not set. An empty list must not mean "accept all"."""
    variable = f"{PREFIX}{name}"
    if variable not in environ:
        return None
    text = _value(environ, name)
    if items := json_strings(text):
        raise ConfigurationError(f"{variable} is a JSON list: use {' '.join(items)}")
    values = text.replace(",", " ").split()
    if not values:
        raise ConfigurationError(f"{variable} is set, but empty: give it a value, or do not set it")
    return values


def _seconds(variable: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{variable} must be a number of seconds, got {text!r}") from None
