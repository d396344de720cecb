"""Parts of Graph's JSON: app roles, scopes, credentials. Pure."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING

from entra_guard._common.json_values import as_list, as_object
from entra_guard._common.permission_names import permission_names
from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def part(row: Row, name: str) -> Row:
    """Return an object member of Graph's JSON; an empty object if it is missing or null."""
    return as_object(row.get(name))


def rows_in(row: Row, name: str) -> list[Row]:
    """Return a list member of Graph's JSON; an empty list if it is missing or null."""
    return list(as_list(row.get(name)))


def roles_of(app: Row) -> list[Row]:
    """Return the app roles of an application, as a PATCH may send them back."""
    return _without_origin(rows_in(app, "appRoles"))


def scopes_of(app: Row) -> list[Row]:
    """Return the scopes of an application, as a PATCH may send them back."""
    return _without_origin(rows_in(part(app, "api"), "oauth2PermissionScopes"))


def _without_origin(rows: list[Row]) -> list[Row]:
    """Return the rows without `origin`, which "must not be included in any POST or PATCH requests"."""
    return [{name: value for name, value in row.items() if name != "origin"} for row in rows]


def new_role(
    value: str,
    identifier: str,
    members: Sequence[str] = ("Application", "User"),
    *,
    name: str = "",
    description: str = "",
) -> Row:
    """Return an app role."""
    shown = name or value
    return {
        "id": identifier,
        "value": value,
        "displayName": shown,
        "description": description or shown,
        "allowedMemberTypes": list(members),
        "isEnabled": True,
    }


def new_scope(value: str, identifier: str, *, admin: bool = False, name: str = "") -> Row:
    """Return a delegated permission.

    Raises:
        ConfigurationError: An API cannot require a scope of that name.
    """
    permission_names("scopes", [value])
    shown = name or value
    words = [f"{who}Consent{what}" for who in ("admin", "user") for what in ("DisplayName", "Description")]
    kind = "Admin" if admin else "User"
    return {"id": identifier, "value": value, "type": kind, "isEnabled": True, **dict.fromkeys(words, shown)}


def merged(present: Sequence[Row], wanted: Sequence[str], make: Callable[[str], Row]) -> list[Row]:
    """Return the existing roles or scopes and the wanted ones that are missing."""
    known = {row.get("value") for row in present}
    return [*present, *(make(value) for value in dict.fromkeys(wanted) if value not in known)]


def check_absent(rows: Sequence[Row], value: str, what: str, owner: str) -> None:
    """Check that a role or scope is new.

    Raises:
        CommandError: There is one of that value.
    """
    if any(row.get("value") == value for row in rows):
        raise CommandError(
            f"{escape(owner)} has the {what} {escape(value)!r} already.",
            "already_there",
            "There is nothing to do. 'entra-guard app show' lists what it has.",
        )


def graph_time(seconds: float) -> str:
    """Return a time in Graph's format; the argument is in seconds since 1970."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(time: str) -> float:
    """Return a time of Graph in seconds since 1970."""
    return dt.datetime.fromisoformat(time).timestamp()


def certificate_row(der: bytes, name: str) -> Row:
    """Return a certificate as a key credential."""
    return {
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "displayName": name,
        "key": base64.b64encode(der).decode(),
    }
