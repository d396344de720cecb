"""The permissions of other APIs that an app needs, and admin consent to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._oauth.admin_consent import consent_to_registered
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app, render_app
from entra_guard.emulator._portal.visit import FieldError, NotFoundError, PortalPage, get, post
from entra_guard.emulator._store.entries import RequiredAccess, RequiredPermission
from entra_guard.emulator._store.permissions import offered, with_permissions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import AppRegistration, ServicePrincipal

_SECTION: Final = "permissions"


@dataclass(frozen=True, slots=True)
class PermissionRow:
    """One permission of one API. `value` is empty if the API does not offer the id any more."""

    api_id: str
    api_name: str
    id: str
    kind: str
    value: str
    admin: bool
    granted: bool
    users: int
    configured: bool


def show(visit: Visit) -> Response:
    """Show the permissions and whether they are granted."""
    app = find_app(visit)
    rows = list(_configured(visit, app))
    known = {(row.api_id, row.id) for row in rows}
    others = [row for row in _granted(visit, app) if (row.api_id, row.id) not in known]
    return render_app(
        visit,
        app,
        _SECTION,
        "app_permissions.html",
        rows=rows,
        others=others,
        missing=[row for row in rows if row.value and not row.granted],
    )


def _configured(visit: Visit, app: AppRegistration) -> Iterator[PermissionRow]:
    for access in app.required:
        for permission in access.permissions:
            yield _row(visit, app, access.api_id, permission, configured=True)


def _granted(visit: Visit, app: AppRegistration) -> Iterator[PermissionRow]:
    """Yield what administrators of this tenant granted to the app."""
    directory = visit.directory
    client = directory.principal_of(app.client_id, visit.tenant.id)
    if client is None:
        return
    for assignment in directory.assignments.values():
        api = directory.principals.get(assignment.resource_id)
        if assignment.principal_id == client.id and api is not None:
            permission = RequiredPermission(assignment.role_id, "Role")
            yield _row(visit, app, api.app_id, permission, configured=False)
    for grant in directory.grants.values():
        api = directory.principals.get(grant.resource_id)
        if grant.client_id == client.id and grant.principal_id is None and api is not None:
            registered = directory.apps.get(api.app_id)
            for scope in registered.scopes if registered else ():
                if scope.value in grant.scopes:
                    permission = RequiredPermission(scope.id, "Scope")
                    yield _row(visit, app, api.app_id, permission, configured=False)


def _row(
    visit: Visit, app: AppRegistration, api_id: str, permission: RequiredPermission, *, configured: bool
) -> PermissionRow:
    directory = visit.directory
    api = directory.apps.get(api_id)
    value = offered(api).get(permission, "") if api else ""
    client = directory.principal_of(app.client_id, visit.tenant.id)
    target = directory.principal_of(api_id, visit.tenant.id)
    admin = permission.type == "Role" or any(
        s.id == permission.id and s.type == "Admin" for s in (api.scopes if api else ())
    )
    return PermissionRow(
        api_id,
        api.name if api else api_id,
        permission.id,
        permission.type,
        value,
        admin,
        _is_granted(directory, client, target, permission, value),
        _consenting_users(directory, client, target, value) if permission.type == "Scope" else 0,
        configured,
    )


def _is_granted(
    directory: Directory,
    client: ServicePrincipal | None,
    target: ServicePrincipal | None,
    permission: RequiredPermission,
    value: str,
) -> bool:
    if client is None or target is None:
        return False
    if permission.type == "Role":
        return permission.id in directory.roles_of(frozenset({client.id}), target.id)
    grant = directory.grant_of(client.id, target.id)
    return grant is not None and value in grant.scopes


def _consenting_users(
    directory: Directory, client: ServicePrincipal | None, target: ServicePrincipal | None, value: str
) -> int:
    if client is None or target is None:
        return 0
    held = (g for g in directory.grants.values() if (g.client_id, g.resource_id) == (client.id, target.id))
    return sum(1 for grant in held if grant.principal_id is not None and value in grant.scopes)


def choose(visit: Visit) -> Response:
    """Choose an API; then its permissions."""
    app, api_id = find_app(visit), visit.text("api")
    apis = sorted(
        (a for a in visit.directory.apps_in(visit.tenant.id) if a.scopes or a.app_roles),
        key=lambda api: (not api.tenant_id, api.name.lower()),
    )
    api = next((a for a in apis if a.client_id == api_id), None)
    if api_id and api is None:
        raise NotFoundError(f"No API has the id {api_id} in {visit.tenant.name}.", address_of(app, _SECTION))
    return _choices(visit, app, api, apis, [])


def _choices(
    visit: Visit,
    app: AppRegistration,
    api: AppRegistration | None,
    apis: list[AppRegistration],
    errors: list[FieldError],
) -> Response:
    chosen = {
        p for access in app.required if api and access.api_id == api.client_id for p in access.permissions
    }
    return render_app(
        visit,
        app,
        _SECTION,
        "app_permissions_add.html",
        errors=errors,
        apis=apis,
        api=api,
        scopes=[s for s in (api.scopes if api else ()) if s.enabled],
        roles=[
            r for r in (api.app_roles if api else ()) if r.enabled and "Application" in r.allowed_member_types
        ],
        held={permission.id for permission in chosen},
    )


def add(visit: Visit) -> Response:
    """Add the ticked permissions. Consent is a separate step."""
    app = find_app(visit)
    api = visit.directory.apps.get(visit.text("api"))
    if api is None:
        raise NotFoundError("The API does not exist any more.", address_of(app, _SECTION), "API permissions")
    ticked = set(visit.all("permission"))
    wanted = [permission for permission in offered(api) if permission.id in ticked]
    if not wanted:
        return _choices(visit, app, api, [], [FieldError("", "Tick at least one permission.")])
    required = with_permissions(app.required, api.client_id, wanted)
    visit.service.registrations.update_app(app, required=required)
    return visit.redirect(
        address_of(app, _SECTION),
        notice=f"{len(wanted)} {'permission' if len(wanted) == 1 else 'permissions'} added.",
    )


def remove(visit: Visit) -> Response:
    """Remove a permission from the registration. What was granted stays granted, as in Entra."""
    app = find_app(visit)
    gone = visit.text("api"), visit.text("permission")
    required = (
        RequiredAccess(access.api_id, tuple(p for p in access.permissions if (access.api_id, p.id) != gone))
        for access in app.required
    )
    kept = tuple(access for access in required if access.permissions)
    visit.service.registrations.update_app(app, required=kept)
    return visit.redirect(address_of(app, _SECTION), notice="The permission is removed.")


def grant(visit: Visit) -> Response:
    """Grant admin consent to all permissions of the registration, for the tenant."""
    app = find_app(visit)
    consent_to_registered(visit.service, app, visit.tenant)
    return visit.redirect(
        address_of(app, _SECTION), notice=f"Admin consent is granted for {visit.tenant.name}."
    )


def revoke(visit: Visit) -> Response:
    """Withdraw the tenant's consent to one permission."""
    app, store = find_app(visit), visit.service.store
    directory, api_id, wanted = visit.directory, visit.text("api"), visit.text("permission")
    client = directory.principal_of(app.client_id, visit.tenant.id)
    target = directory.principal_of(api_id, visit.tenant.id)
    if client is not None and target is not None:
        for assignment in directory.assignments.values():
            same = (assignment.principal_id, assignment.resource_id, assignment.role_id)
            if same == (client.id, target.id, wanted):
                store.remove(assignments=assignment.id)
        value = next((s.value for s in directory.apps[api_id].scopes if s.id == wanted), "")
        given = directory.grant_of(client.id, target.id)
        if given is not None and value in given.scopes:
            kept = tuple(scope for scope in given.scopes if scope != value)
            if kept:
                store.upsert(grants=replace(given, scopes=kept))
            else:
                store.remove(grants=given.id)
    return visit.redirect(address_of(app, _SECTION), notice="The consent is withdrawn.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_SECTION}", show),
    get(f"{LIST}/{{app}}/{_SECTION}/add", choose),
    post(f"{LIST}/{{app}}/{_SECTION}/add", add),
    post(f"{LIST}/{{app}}/{_SECTION}/remove", remove),
    post(f"{LIST}/{{app}}/{_SECTION}/grant", grant),
    post(f"{LIST}/{{app}}/{_SECTION}/revoke", revoke),
)
