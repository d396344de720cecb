"""The permissions that an API offers, by value and kind, and those that an app needs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._store.entries import AppRegistration, RequiredAccess, RequiredPermission

if TYPE_CHECKING:
    from collections.abc import Iterable


def offered(api: AppRegistration) -> dict[RequiredPermission, str]:
    """Return the value of each permission that an API offers."""
    roles = {RequiredPermission(role.id, "Role"): role.value for role in api.app_roles}
    return roles | {RequiredPermission(scope.id, "Scope"): scope.value for scope in api.scopes}


def named(api: AppRegistration, name: str) -> RequiredPermission:
    """Return an API's permission of that value; `role:` or `scope:` before it selects the kind.

    Raises:
        LookupError: The API has no such permission, or both a role and a scope of that value.
    """
    permissions = offered(api)
    found = [permission for permission, value in permissions.items() if value == name]
    kind, colon, value = name.partition(":")
    if not found and colon:
        wanted = {"role": "Role", "scope": "Scope"}.get(kind.lower())
        found = [p for p, offer in permissions.items() if (p.type, offer) == (wanted, value)]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(
            f"{api.name} has both an app role and a scope {name!r}: write 'role:{name}' or 'scope:{name}'."
        )
    known = ", ".join(permissions.values()) or "none"
    raise LookupError(f"{api.name} has no permission {name!r}. It offers: {known}.")


def with_permissions(
    required: tuple[RequiredAccess, ...], api_id: str, added: Iterable[RequiredPermission]
) -> tuple[RequiredAccess, ...]:
    """Return what an app needs with more permissions of one API; those it has already stay once."""
    present = next((access.permissions for access in required if access.api_id == api_id), ())
    access = RequiredAccess(api_id, tuple(dict.fromkeys((*present, *added))))
    others = tuple(each for each in required if each.api_id != api_id)
    return (*others, access) if not present else tuple(access if a.api_id == api_id else a for a in required)
