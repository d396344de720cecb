"""The guard's settings, and where each value comes from: an option, a variable, a file, or a guard object."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entra_guard._guard.settings_from_env import PREFIX
from entra_guard.cli.doctor._facts import Setting, SettingsFacts, variables_of_settings
from entra_guard.cli.doctor._guard_parts import parts_of
from entra_guard.errors import ConfigurationError
from entra_guard.guard import Guard
from entra_guard.policy import TOKEN_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INSTEAD: Final = {f"{PREFIX}TENANT": "AZURE_TENANT_ID", f"{PREFIX}AUTHORITY": "AZURE_AUTHORITY_HOST"}
_DEFAULTS: Final = {
    "authority": "public",
    "token_versions": " ".join(sorted(TOKEN_VERSIONS)),
    "leeway": "60",
    "guests": "true",
    "agents": "true",
}
_RIGHT: Final = {
    "tenant": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
    "audience": "11112222-bbbb-3333-cccc-4444dddd5555",
}
_FIRST_VARIABLE: Final = re.compile(r"\b(?:ENTRA_GUARD|AZURE)_[A-Z_]+")


class Variable(NamedTuple):
    """The value of a variable, and where it comes from: an option, the variable itself, or a file."""

    value: str
    origin: str


def values_of(variables: Mapping[str, Variable]) -> dict[str, str]:
    """Return the values of variables, as an environment."""
    return {name: variable.value for name, variable in variables.items()}


def read_env_file(path: Path) -> dict[str, str]:
    """Read NAME=value lines, as `docker run --env-file` and systemd's EnvironmentFile do.

    Raises:
        ConfigurationError: It cannot be read, or a line is not an assignment; the line is not repeated.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{path} cannot be read: {reason}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.removeprefix("export ").partition("=")
        if not separator:
            raise ConfigurationError(f"{path}, line {number} is not NAME=value")
        found[name.strip()] = value.strip()
    return found


def settings_of_variables(
    variables: Mapping[str, Variable], settings: Mapping[str, Any]
) -> tuple[SettingsFacts, Guard | None]:
    """Build the guard of some variables, and return its settings with their origins.

    Args:
        variables: The variables by name.
        settings: More arguments of `Guard`.
    """
    environ = values_of(variables)
    rows = tuple(_row(name, variable, variables) for name, variable in variables_of_settings().items())
    try:
        guard = Guard.from_env(environ, **settings)
    except ConfigurationError as error:
        text = str(error)
        others, is_complete = _other_errors(environ, blamed_by(text), settings)
        return SettingsFacts(rows, text, blamed_by(text), other_errors=others, all_checked=is_complete), None
    parts = parts_of(guard)
    if not guard.authority.is_entra:  # AZURE_TENANT_ID is not used then
        none = Setting("tenant", "none", "this authority has none")
        rows = tuple(none if row.name == "tenant" else row for row in rows)
    return SettingsFacts(rows, "", "", guard.policy, parts.source, parts.own_client), guard


def _other_errors(
    environ: Mapping[str, str], blamed: str, settings: Mapping[str, Any]
) -> tuple[dict[str, str], bool]:
    """Return what is wrong beside the first error, and whether all settings were checked.

    Each wrong setting is replaced by one that is right, and the guard is built again.
    """
    variables, found = variables_of_settings(), dict[str, str]()
    tried, environ = set[str](), dict(environ)
    while blamed and blamed not in tried:
        tried.add(blamed)
        variable = variables[blamed]
        for name in (variable, _INSTEAD.get(variable, "")):
            environ.pop(name, None)
        if blamed in _RIGHT:
            environ[variable] = _RIGHT[blamed]
        try:
            Guard.from_env(environ, **settings)
        except ConfigurationError as error:
            blamed = blamed_by(str(error))
            if blamed:
                found.setdefault(blamed, str(error))
        else:
            return found, True
    return found, False


def settings_of_guard(guard: Guard, name: str) -> SettingsFacts:
    """Return the settings of a guard that the application has built.

    Args:
        guard: The guard.
        name: What the user called it, such as 'main:guard'.
    """
    policy, parts = guard.policy, parts_of(guard)
    tenants = " ".join(sorted(policy.tenants.ids)) or policy.tenants.alias
    clients = policy.allowed_clients
    values = {
        "tenant": tenants,
        "audience": " ".join(sorted(policy.audiences)),
        "allowed_clients": "" if clients is None else " ".join(sorted(clients)),
        "token_versions": " ".join(sorted(policy.token_versions)),
        "authority": guard.authority.url,
        "leeway": f"{policy.leeway:g}",
        "keys_file": str(parts.keys_file or ""),
        "guests": str(policy.guests).lower(),
        "agents": str(policy.agents).lower(),
        "app_specific_keys": parts.source.app_id,
    }
    rows = tuple(Setting(setting, value, f"guard {name}") for setting, value in values.items() if value)
    return SettingsFacts(rows, "", "", policy, parts.source, parts.own_client)


def blamed_by(text: str) -> str:
    """Return the setting that an error of `Guard.from_env` is about; '' if it names none.

    Example:
        >>> blamed_by("ENTRA_GUARD_LEEWAY must be a number of seconds"), blamed_by("audience 'x' ...")
        ('leeway', 'audience')
    """
    names = variables_of_settings()
    by_variable = {variable: name for name, variable in names.items()}
    by_variable |= {other: by_variable[variable] for variable, other in _INSTEAD.items()}
    if found := _FIRST_VARIABLE.search(text):
        return by_variable.get(found[0], "")
    first = re.match(r"\w+", text)
    return first[0] if first and first[0] in names else ""


def _row(name: str, variable: str, variables: Mapping[str, Variable]) -> Setting:
    for wanted in (variable, _INSTEAD.get(variable, "")):
        found = variables.get(wanted)
        if found is not None and found.value:
            return Setting(name, found.value, found.origin)
    return Setting(name, _DEFAULTS.get(name, ""), "default")
