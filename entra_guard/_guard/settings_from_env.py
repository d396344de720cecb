"""A guard's settings read from environment variables. Builds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.arguments import check_names, letters_of
from entra_guard._common.audiences import QUOTES, json_strings
from entra_guard._keys.authority import Authority
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

PREFIX: Final = "ENTRA_GUARD_"


def settings_from(environ: Mapping[str, str], given: Container[str] = ()) -> dict[str, Any]:
    """Read the arguments of `Guard` from ENTRA_GUARD_* variables.

    Args:
        environ: The variables.
        given: The arguments that the caller gives, for which no variable is needed.

    Raises:
        ConfigurationError: The tenant or the audience is missing, a name with the prefix is not known, or a
            value cannot be meant: quoted, JSON, an empty list, or a leeway that is not a number.
    """
    if not isinstance(environ, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"environ must be a mapping such as os.environ, got {type(environ).__name__}"
        )
    ours = [name for name in environ if letters_of(name).startswith(letters_of(PREFIX))]
    check_names("Guard.from_env()", "variable", ours, VARIABLES)
    tenant = _value(environ, "TENANT")
    uses_tenants = _uses_tenants(environ, given)
    if uses_tenants:
        tenant = tenant or _text(environ, "AZURE_TENANT_ID")
    audience = _list(environ, "AUDIENCE")
    if not tenant and uses_tenants and "tenant" not in given:
        raise ConfigurationError("set ENTRA_GUARD_TENANT (or AZURE_TENANT_ID) to the tenant id")
    if not audience and "audience" not in given:
        raise ConfigurationError(
            "set ENTRA_GUARD_AUDIENCE to the API's client id. AZURE_CLIENT_ID is not used for it: "
            "on many hosts it is the workload's own identity"
        )
    settings: dict[str, Any] = {"tenant": tenant, "audience": audience}
    for name, read in _OPTIONAL.items():
        value = read(environ, name)
        if value is not None:
            settings[name.lower()] = value
    return settings


def _uses_tenants(environ: Mapping[str, str], given: Container[str]) -> bool:
    """Return whether the authority has tenants; that of a B2C policy has none."""
    named = None if "authority" in given else _authority(environ, "AUTHORITY")
    try:
        return named is None or Authority.named(named).is_entra
    except ConfigurationError:
        return True  # the guard reports it


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


def _string(environ: Mapping[str, str], name: str) -> str | None:
    return _value(environ, name) or None


def _authority(environ: Mapping[str, str], name: str) -> str | None:
    return _string(environ, name) or _text(environ, "AZURE_AUTHORITY_HOST") or None


def _seconds(environ: Mapping[str, str], name: str) -> float | None:
    text = _value(environ, name)
    try:
        return float(text) if text else None
    except ValueError:
        raise ConfigurationError(f"{PREFIX}{name} must be a number of seconds, got {text!r}") from None


def _app_specific_keys(environ: Mapping[str, str], name: str) -> bool | str | None:
    text = _value(environ, name)
    return {"": None, "true": True, "false": False}.get(text.lower(), text)


def _flag(environ: Mapping[str, str], name: str) -> object:
    return _choice(environ, name, {"true": True, "false": False}, "true or false")


def _agents(environ: Mapping[str, str], name: str) -> object:
    return _choice(environ, name, {"true": True, "false": False, "only": "only"}, "true, false or only")


def _choice(environ: Mapping[str, str], name: str, choices: Mapping[str, object], words: str) -> object:
    """Return what a variable means; None if it is not set. An empty value must not mean the default."""
    if f"{PREFIX}{name}" not in environ:
        return None
    text = _value(environ, name).lower()
    if text not in choices:
        raise ConfigurationError(f"{PREFIX}{name} must be {words}, got {text!r}")
    return choices[text]


# What reads each variable that may be missing: as a setting, or as None if it is not set.
_OPTIONAL: Final[Mapping[str, Callable[[Mapping[str, str], str], object]]] = {
    "ALLOWED_CLIENTS": _list,
    "TOKEN_VERSIONS": _list,
    "AUTHORITY": _authority,
    "LEEWAY": _seconds,
    "APP_SPECIFIC_KEYS": _app_specific_keys,
    "KEYS_FILE": _string,
    "TRACE_USERS": _flag,
    "GUESTS": _flag,
    "AGENTS": _agents,
    "REASONS_URL": _string,
}
VARIABLES: Final = tuple(f"{PREFIX}{name}" for name in ("TENANT", "AUDIENCE", *_OPTIONAL))
