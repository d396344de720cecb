"""Plans that add users and assign app roles to them, to groups and to managed identities. Do no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.guid import is_guid
from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError, GraphCall, Plan, Question, Row, quoted
from entra_guard.cli.app._find import find_api, only
from entra_guard.cli.app._plan_permissions import Permission, assign_role
from entra_guard.cli.app._rows import roles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS: Final = {"users": "User", "groups": "User", "servicePrincipals": "Application"}


@dataclass(frozen=True, slots=True)
class UserSpec:
    """The user to add. `name` is the user principal name, or its part before the @."""

    name: str
    display_name: str
    password: str = field(repr=False)


def add_user(spec: UserSpec) -> Plan[Row]:
    """Create a user."""
    upn = spec.name
    if "@" not in upn:
        upn = f"{upn}@{(yield from _default_domain())}"
    body = {
        "accountEnabled": True,
        "displayName": spec.display_name,
        "mailNickname": upn.partition("@")[0],
        "userPrincipalName": upn,
        "passwordProfile": {"password": spec.password, "forceChangePasswordNextSignIn": True},
    }
    yield Question(f"Create the user {escape(upn)}?")
    assumed = {"id": "<object id>", "userPrincipalName": upn, "displayName": spec.display_name}
    made = yield GraphCall("Create the user", "POST", "/users", body, assumed=assumed, masked=("password",))
    return made  # type: ignore[no-any-return]


def _default_domain() -> Plan[str]:
    domain = {"name": "<domain>", "isDefault": True}
    assumed = [{"verifiedDomains": [domain]}]
    rows = yield GraphCall("Find the tenant's domain", "GET", "/organization", assumed=assumed, pages=True)
    domains: list[Row] = list(rows[0]["verifiedDomains"])
    return str(next((d for d in domains if d.get("isDefault")), domains[0])["name"])


def assign(
    api_ref: str, values: Sequence[str], kind: str, holder: str, *, by_name: bool
) -> Plan[tuple[Row, Row]]:
    """Assign app roles of an API to a user, a group or a service principal; return the API and the holder.

    Args:
        api_ref: The API.
        values: Values of its app roles.
        kind: 'users', 'groups' or 'servicePrincipals'.
        holder: The user's name, the group's name, or the app's or identity's name or id.
        by_name: Whether a display name identifies an API.

    Raises:
        CommandError: Something is not found, or the API does not offer a role to this kind of holder.
    """
    api = yield from find_api(api_ref, by_name=by_name)
    found = yield from _find_holder(kind, holder)
    roles = [_role_for(api, value, _KINDS[kind]) for value in values]
    listed = ", ".join(values)
    yield Question(f"Assign {escape(listed)} of {escape(str(api['displayName']))} to {escape(holder)}?")
    path = f"/{kind}/{found['id']}/appRoleAssignments"
    held = yield GraphCall("List the app roles that it has", "GET", path, assumed=[], pages=True)
    present = {(row["resourceId"], row["appRoleId"]) for row in held}
    for role in roles:
        if (api["id"], role.id) not in present:
            yield assign_role(found["id"], api, role)
    return api, found


def roles_for_identity(
    wanted: Sequence[tuple[str, str]], *, by_name: bool
) -> Plan[list[tuple[Row, Permission]]]:
    """Find app roles of APIs that applications may hold, before an identity is added for them.

    Raises:
        CommandError: An API or a role is not found.
    """
    found: list[tuple[Row, Permission]] = []
    for api_ref, value in wanted:
        api = yield from find_api(api_ref, by_name=by_name)
        found.append((api, _role_for(api, value, "Application")))
    return found


def assign_all(holder_id: str, roles: Sequence[tuple[Row, Permission]]) -> Plan[None]:
    """Assign app roles to a service principal that has none yet."""
    for api, role in roles:
        yield assign_role(holder_id, api, role)


def _role_for(api: Row, value: str, member: str) -> Permission:
    if str(api["id"]).startswith("<"):
        return Permission(f"<id of {value}>", "Role", value)
    roles: list[Row] = roles_of(api)
    found = next((role for role in roles if role["value"] == value), None)
    owner = escape(str(api["displayName"]))
    if found is None:
        known = ", ".join(str(role["value"]) for role in roles) or "none"
        raise CommandError(
            f"{owner} has no app role {escape(value)!r}.",
            "unknown_permission",
            f"It has: {escape(known)}. Add one: entra-guard app role add {api['appId']} {escape(value)}",
        )
    if member not in found["allowedMemberTypes"]:
        raise CommandError(
            f"{owner} offers the app role {escape(value)!r} to "
            f"{', '.join(found['allowedMemberTypes'])} only.",
            "Request_BadRequest",
            f"Allow {member} on the API's page 'App roles', or use another role.",
        )
    return Permission(str(found["id"]), "Role", value)


def _find_holder(kind: str, ref: str) -> Plan[Row]:
    assumed: Row = {"id": f"<object id of {ref}>", "displayName": ref}
    found: Any = None
    if kind == "users":
        rows = yield _rows_of(
            kind, f"startswith(userPrincipalName,{quoted(ref.partition('@')[0] + '@')})", assumed
        )
        fits = [
            row for row in rows if "@" not in ref or row.get("userPrincipalName", ref).lower() == ref.lower()
        ]
        found = only([{"appId": row.get("userPrincipalName"), **row} for row in fits], ref)
    if found is None and is_guid(ref):
        found = yield GraphCall("Find it by its id", "GET", f"/{kind}/{ref}", assumed=assumed, optional=True)
        if found is None and kind == "servicePrincipals":
            path = f"/servicePrincipals(appId='{ref}')"
            found = yield GraphCall("Find it by its client id", "GET", path, assumed=assumed, optional=True)
    if found is None and kind != "users":
        rows = yield _rows_of(kind, f"displayName eq {quoted(ref)}", assumed)
        found = only([{"appId": row["id"], **row} for row in rows], ref)
    if found is None:
        what = {"users": "user", "groups": "group"}.get(kind, "application or managed identity")
        raise CommandError(
            f"There is no {what} {escape(ref)!r}.",
            "Request_ResourceNotFound",
            "Use its object id, or add it: 'entra-guard user add', 'entra-guard identity add'.",
        )
    return found  # type: ignore[no-any-return]


def _rows_of(kind: str, query: str, assumed: Row) -> GraphCall:
    return GraphCall(
        "Find it by its name", "GET", f"/{kind}", params={"$filter": query}, assumed=[assumed], pages=True
    )
