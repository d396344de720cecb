"""Where the permissions in a token come from: assignments, groups and consents in the directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import AppRegistration, ServicePrincipal, User


@dataclass(frozen=True, slots=True)
class PermissionSource:
    """One permission of an API: whether a token has it, and why."""

    value: str
    granted: bool
    why: str


def permission_sources(
    directory: Directory, tenant_id: str, client: AppRegistration, api: AppRegistration, user: User | None
) -> list[PermissionSource]:
    """Return the permissions that a token of this client for this API has, and those that it lacks.

    Args:
        directory: The directory.
        tenant_id: The tenant that issues the token.
        client: The app that requests it.
        api: The API that it is for.
        user: The signed-in user; None for the app itself.
    """
    target = directory.principal_of(api.client_id, tenant_id)
    caller = directory.principal_of(client.client_id, tenant_id)
    if target is None or caller is None:
        missing = api.name if target is None else client.name
        return [PermissionSource("none", False, f"{missing} has no service principal in this tenant")]
    if user is None:
        return list(_roles(directory, target, api, {caller.id: "granted by an administrator"}, "apps"))
    holders = {user.id: f"assigned to {user.display_name}"}
    for group in directory.groups.values():
        if user.id in group.members:
            holders[group.id] = f"assigned to the group {group.name}"
    return [
        *_scopes(directory, caller, target, api, user),
        *_roles(directory, target, api, holders, "users and groups"),
    ]


def _roles(
    directory: Directory, target: ServicePrincipal, api: AppRegistration, holders: dict[str, str], kind: str
) -> Iterator[PermissionSource]:
    """Yield the app roles; those that this kind of caller cannot have are left out."""
    member = "Application" if kind == "apps" else "User"
    assigned = {
        a.role_id: holders[a.principal_id]
        for a in directory.assignments.values()
        if a.resource_id == target.id and a.principal_id in holders
    }
    for role in api.app_roles:
        if role.enabled and (role.id in assigned or member in role.allowed_member_types):
            why = assigned.get(role.id, "not granted" if kind == "apps" else "not assigned")
            yield PermissionSource(role.value, role.id in assigned, why)


def _scopes(
    directory: Directory, caller: ServicePrincipal, target: ServicePrincipal, api: AppRegistration, user: User
) -> Iterator[PermissionSource]:
    granted: dict[str, str] = {}
    for grant in directory.grants.values():
        if (grant.client_id, grant.resource_id) == (caller.id, target.id):
            by = {None: "consented to by an administrator", user.id: f"consented to by {user.display_name}"}
            if grant.principal_id in by:
                granted.update(dict.fromkeys(grant.scopes, by[grant.principal_id]))
    for scope in api.scopes:
        if scope.enabled:
            missing = (
                "an administrator must consent first"
                if scope.type == "Admin"
                else f"{user.display_name} consents at sign-in"
            )
            yield PermissionSource(scope.value, scope.value in granted, granted.get(scope.value, missing))
