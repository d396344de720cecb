"""A guard's settings read from environment variables. Builds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def settings_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the arguments of `Guard` from ENTRA_GUARD_* variables.

    Raises:
        ConfigurationError: The tenant or the audience is missing, or the leeway is no number.
    """
    tenant = environ.get("ENTRA_GUARD_TENANT") or environ.get("AZURE_TENANT_ID")
    audience = _list(environ.get("ENTRA_GUARD_AUDIENCE", ""))
    if not tenant:
        raise ConfigurationError("set ENTRA_GUARD_TENANT (or AZURE_TENANT_ID) to the tenant id")
    if not audience:
        raise ConfigurationError(
            "set ENTRA_GUARD_AUDIENCE to the API's client id; AZURE_CLIENT_ID is not taken for it, "
            "as on many hosts it is the workload's own identity"
        )
    settings: dict[str, Any] = {"tenant": tenant, "audience": audience}
    if authority := environ.get("ENTRA_GUARD_AUTHORITY") or environ.get("AZURE_AUTHORITY_HOST"):
        settings["authority"] = authority
    for variable, name in (("ALLOWED_CLIENTS", "allowed_clients"), ("TOKEN_VERSIONS", "token_versions")):
        if values := _list(environ.get(f"ENTRA_GUARD_{variable}", "")):
            settings[name] = values
    if leeway := environ.get("ENTRA_GUARD_LEEWAY"):
        settings["leeway"] = _seconds("ENTRA_GUARD_LEEWAY", leeway)
    if keys_file := environ.get("ENTRA_GUARD_KEYS_FILE"):
        settings["keys_file"] = keys_file
    return settings


def _list(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _seconds(variable: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{variable} is a number of seconds") from None
