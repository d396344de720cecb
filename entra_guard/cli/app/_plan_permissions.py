"""Plans about permissions: app roles and scopes of an API, and what a client needs and is granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError, GraphCall, Plan, Question, Row
from entra_guard.cli.app._find import WELL_KNOWN, find_api, find_app, principal_of
from entra_guard.cli.app._plan_apps import change_app
from entra_guard.cli.app._rows import check_absent, roles_of, rows_in, scopes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission of an API: its id, its kind (`Role` or `Scope`) and its value."""

    id: str
    type: str
    value: str


def add_role(ref: str, role: Row, *, by_name: bool, widen: bool = False) -> Plan[Row]:
    """Add an app role to an API.

    Args:
        ref: The API.
        role: The app role.
        by_name: Whether a display name identifies an API.
        widen: Whether a role that the API has for fewer kinds of callers is then for these, too.

    Raises:
        CommandError: The API has a role of that value for these callers.
    """
    app = yield from find_app(ref, by_name=by_name)
    present: list[Row] = roles_of(app)
    same = next((row for row in present if row["value"] == role["value"]), None)
    if widen and same is not None and not {*role["allowedMemberTypes"]} <= {*same["allowedMemberTypes"]}:
        wider = {
            **same,
            "allowedMemberTypes": sorted({*same["allowedMemberTypes"], *role["allowedMemberTypes"]}),
        }
        roles = [wider if row is same else row for row in present]
        yield change_app(app, "Let more kinds of callers hold the app role", {"appRoles": roles})
        return app
    check_absent(present, role["value"], "app role", str(app["displayName"]))
    yield change_app(app, "Add the app role to those that it has", {"appRoles": [*present, role]})
    return app


def add_scope(ref: str, scope: Row, *, by_name: bool) -> Plan[Row]:
    """Add a scope to an API, and the App ID URI that scopes need.

    Raises:
        CommandError: The API has a scope of that value.
    """
    app = yield from find_app(ref, by_name=by_name)
    present: list[Row] = scopes_of(app)
    check_absent(present, scope["value"], "scope", str(app["displayName"]))
    body: Row = {"api": {"oauth2PermissionScopes": [*present, scope]}}
    if not app.get("identifierUris"):
        body["identifierUris"] = [f"api://{app['appId']}"]
    yield change_app(app, "Add the scope to those that it has", body)
    return app


def offered(api: Row) -> list[Permission]:
    """Return the permissions that an API's service principal offers to applications and users."""
    roles = [r for r in roles_of(api) if "Application" in r["allowedMemberTypes"] and r["isEnabled"]]
    scopes = [s for s in rows_in(api, "oauth2PermissionScopes") if s["isEnabled"]]
    return [
        *(Permission(row["id"], "Role", row["value"]) for row in roles),
        *(Permission(row["id"], "Scope", row["value"]) for row in scopes),
    ]


def chosen(api: Row, names: Iterable[str], roles: Iterable[str], scopes: Iterable[str]) -> list[Permission]:
    """Return the permissions of these values.

    Args:
        api: The API's service principal.
        names: Values of either kind.
        roles: Values of app roles.
        scopes: Values of scopes.

    Raises:
        CommandError: The API does not offer one, or one is both a role and a scope.
    """
    wanted = [*((n, "") for n in names), *((r, "Role") for r in roles), *((s, "Scope") for s in scopes)]
    return [_choice(api, value, kind) for value, kind in wanted]


def _choice(api: Row, value: str, kind: str) -> Permission:
    if str(api["id"]).startswith("<"):  # a dry run that cannot read
        return Permission(f"<id of {value}>", kind or "Role", value)
    fits = [p for p in offered(api) if p.value == value and kind in {"", p.type}]
    owner = escape(str(api["displayName"]))
    if len(fits) > 1:
        raise CommandError(
            f"{owner} has both an app role and a scope {escape(value)!r}.",
            "ambiguous_permission",
            f"Use --role {escape(value)} for applications without a user, or --scope for signed-in users.",
        )
    if not fits:
        more = " Add one with 'entra-guard app role add' or 'app scope add'."
        foreign = str(api.get("appId")) in WELL_KNOWN.values()  # Microsoft's own
        known = ", ".join(f"{p.value} ({p.type.lower()})" for p in offered(api)[:12]) or "none"
        raise CommandError(
            f"{owner} offers no {kind.lower() or 'permission'} {escape(value)!r} to applications.",
            "unknown_permission",
            f"It offers: {escape(known)}.{'' if foreign else more}",
        )
    return fits[0]


@dataclass(frozen=True, slots=True)
class Needs:
    """The permissions that a client needs of one API."""

    client: Row
    api: Row
    permissions: Sequence[Permission]


def add_permissions(client: Row, api: Row, added: Sequence[Permission]) -> Plan[Row]:
    """Add permissions to what a client is registered to need; returns the changed registration."""
    required: list[Row] = [dict(access) for access in rows_in(client, "requiredResourceAccess")]
    access = next((a for a in required if a["resourceAppId"] == api["appId"]), None)
    if access is None:
        access = Row({"resourceAppId": api["appId"], "resourceAccess": []})
        required.append(access)
    rows = [{"id": p.id, "type": p.type} for p in added]
    new = [row for row in rows if row not in access["resourceAccess"]]
    if not new:
        return client
    access["resourceAccess"] = [*access["resourceAccess"], *new]
    body = {"requiredResourceAccess": required}
    yield change_app(client, "Add the permissions to those that the client needs", body, settles=True)
    return {**client, **body}


def need_permissions(
    client_ref: str,
    api_ref: str,
    names: Sequence[str],
    roles: Sequence[str],
    scopes: Sequence[str],
    *,
    by_name: bool,
) -> Plan[Needs]:
    """Find a client and an API, and add permissions to what the client needs."""
    client = yield from find_app(client_ref, by_name=by_name)
    api = yield from find_api(api_ref, by_name=by_name)
    permissions = chosen(api, names, roles, scopes)
    changed = yield from add_permissions(client, api, permissions)
    return Needs(changed, api, permissions)


def grant(
    client: Row, *, only_api: str | None = None, known: Sequence[Row] = (), confirm: bool = True
) -> Plan[list[Needs]]:
    """Consent, as an administrator, to everything that a client is registered to need, after a question.

    Args:
        client: The application.
        only_api: The client id of the only API to consent to; all by default.
        known: Service principals that the plan has already.
        confirm: Whether to yield a question; False if the caller has yielded one.

    Raises:
        CommandError: It needs nothing, or its API no longer offers something.
    """
    needs: list[Needs] = []
    present = {str(row["appId"]): row for row in known}
    for access in rows_in(client, "requiredResourceAccess"):
        if only_api in {None, access["resourceAppId"]}:
            app_id = access["resourceAppId"]
            api = present.get(app_id) or (yield from principal_of(app_id))
            needs.append(Needs(client, api, _registered(api, access["resourceAccess"])))
    if not any(need.permissions for need in needs):
        raise CommandError(
            f"{escape(str(client['displayName']))} needs no permissions, so there is nothing to grant.",
            "nothing_to_grant",
            f"First run: entra-guard app permission add {client['appId']} <API> <permission>",
        )
    listed = ", ".join(f"{need.api['displayName']}: {p.value}" for need in needs for p in need.permissions)
    if confirm:
        yield Question(f"Grant {escape(str(client['displayName']))}, for the whole tenant: {escape(listed)}?")
    principal = present.get(client["appId"]) or (yield from principal_of(str(client["appId"])))
    for need in needs:
        yield from _assign_roles(principal, need)
        yield from _grant_scopes(principal, need)
    return needs


def _registered(api: Row, rows: Sequence[Row]) -> list[Permission]:
    known = {(p.type, p.id): p for p in offered(api)}
    found: list[Permission] = []
    for row in rows:
        permission = known.get((row["type"], row["id"]))
        if permission is None and str(api["id"]).startswith("<"):
            value = str(row["id"]).removeprefix("<id of ").removesuffix(">")
            permission = Permission(row["id"], row["type"], value)
        if permission is None:
            raise CommandError(
                f"{escape(str(api['displayName']))} no longer offers permission {row['id']} ({row['type']}).",
                "unknown_permission",
                "Add it to the API again, or remove it from the client on its page 'API permissions'.",
            )
        found.append(permission)
    return found


def _assign_roles(principal: Row, need: Needs) -> Plan[None]:
    wanted = [p for p in need.permissions if p.type == "Role"]
    if not wanted:
        return
    path = f"/servicePrincipals/{principal['id']}/appRoleAssignments"
    held = yield _present(path, "List the app roles that it has")
    present = {(row["resourceId"], row["appRoleId"]) for row in held}
    for permission in wanted:
        if (need.api["id"], permission.id) not in present:
            yield assign_role(principal["id"], need.api, permission)


def _present(path: str, purpose: str) -> GraphCall:
    return GraphCall(purpose, "GET", path, assumed=[], pages=True, settles=True)


def assign_role(holder_id: str, api: Row, permission: Permission) -> GraphCall:
    """Return the request that assigns an app role to a service principal, user or group."""
    return GraphCall(
        f"Assign the app role {permission.value}",
        "POST",
        f"/servicePrincipals/{api['id']}/appRoleAssignedTo",
        {"principalId": holder_id, "resourceId": api["id"], "appRoleId": permission.id},
        assumed={"id": "<assignment id>"},
        settles=True,
    )


def _grant_scopes(principal: Row, need: Needs) -> Plan[None]:
    wanted = [p.value for p in need.permissions if p.type == "Scope"]
    if not wanted:
        return
    path = f"/servicePrincipals/{principal['id']}/oauth2PermissionGrants"
    held = yield _present(path, "List the scopes that are granted")
    for_all = (g for g in held if g["resourceId"] == need.api["id"] and g["consentType"] == "AllPrincipals")
    present: Any = next(for_all, None)
    scope = " ".join(dict.fromkeys([*(str(present["scope"]).split() if present else ()), *wanted]))
    if present is None:
        parties = {"clientId": principal["id"], "resourceId": need.api["id"]}
        body = {**parties, "consentType": "AllPrincipals", "scope": scope}
        yield GraphCall(
            "Grant the scopes for all users", "POST", "/oauth2PermissionGrants", body, settles=True
        )
    elif scope != present["scope"]:
        path = f"/oauth2PermissionGrants/{present['id']}"
        yield GraphCall("Grant the scopes for all users", "PATCH", path, {"scope": scope})


def grant_of(ref: str, api_ref: str | None, *, by_name: bool) -> Plan[tuple[Row, list[Needs]]]:
    """Find a client and consent to what it needs; returns the client and what was granted."""
    client = yield from find_app(ref, by_name=by_name)
    only_api = None
    if api_ref:
        only_api = str((yield from find_api(api_ref, by_name=by_name))["appId"])
    needs = yield from grant(client, only_api=only_api)
    return client, needs
