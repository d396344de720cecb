"""What an API offers: its Application ID URI, scopes and app roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.applications import with_graph_names
from entra_guard.emulator._portal.app_frame import LIST, address_of, find_app, render_app
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._store.directory import AppRole, Scope

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.directory import AppRegistration

_EXPOSE: Final = "expose"
_ROLES: Final = "roles"


def show_scopes(visit: Visit) -> Response:
    """Show the Application ID URI and the scopes."""
    return _scopes_page(visit, find_app(visit), [])


def _scopes_page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    return render_app(visit, app, _EXPOSE, "app_expose.html", errors=errors)


def set_uri(visit: Visit) -> Response:
    """Set the first Application ID URI; an empty field removes it."""
    app, uri = find_app(visit), visit.text("identifier_uri")
    uris = (uri, *app.identifier_uris[1:]) if uri else app.identifier_uris[1:]
    try:
        visit.service.registrations.update_app(app, identifier_uris=tuple(dict.fromkeys(uris)))
    except RegistrationError as error:
        return _scopes_page(visit, app, [FieldError("identifier_uri", with_graph_names(error))])
    return visit.redirect(address_of(app, _EXPOSE), notice="The Application ID URI is saved.")


def add_scope(visit: Visit) -> Response:
    """Add a scope."""
    app, value = find_app(visit), visit.text("scope")
    scope = Scope(
        visit.service.store.ids.guid(),
        value,
        "Admin" if visit.text("consent") == "Admin" else "User",
        visit.text("display_name") or value,
        visit.text("state") != "disabled",
    )
    try:
        visit.service.registrations.update_app(app, scopes=(*app.scopes, scope))
    except RegistrationError as error:
        return _scopes_page(visit, app, [FieldError("scope", str(error))])
    return visit.redirect(address_of(app, _EXPOSE), notice=f"The scope {value} is added.")


def change_scope(visit: Visit) -> Response:
    """Enable, disable or remove a scope."""
    app, wanted, how = find_app(visit), visit.text("id"), visit.text("change")
    scopes = (
        replace(scope, enabled=how == "enable") if scope.id == wanted else scope
        for scope in app.scopes
        if how != "remove" or scope.id != wanted
    )
    visit.service.registrations.update_app(app, scopes=tuple(scopes))
    return visit.redirect(address_of(app, _EXPOSE), notice="Saved.")


def show_roles(visit: Visit) -> Response:
    """Show the app roles, and how many hold each in this tenant."""
    return _roles_page(visit, find_app(visit), [])


def _roles_page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    principal = visit.directory.principal_of(app.client_id, visit.tenant.id)
    target = principal.id if principal else ""
    held = [a.role_id for a in visit.directory.assignments.values() if a.resource_id == target]
    return render_app(
        visit,
        app,
        _ROLES,
        "app_roles.html",
        errors=errors,
        holders={role.id: held.count(role.id) for role in app.app_roles},
    )


def add_role(visit: Visit) -> Response:
    """Create an app role."""
    app, value = find_app(visit), visit.text("role")
    role = AppRole(
        visit.service.store.ids.guid(),
        value,
        tuple(m for m in ("User", "Application") if m in visit.all("members")),
        visit.text("display_name") or value,
        visit.text("description"),
    )
    if not role.allowed_member_types:
        return _roles_page(visit, app, [FieldError("members", "Choose who can hold the role.")])
    try:
        visit.service.registrations.update_app(app, app_roles=(*app.app_roles, role))
    except RegistrationError as error:
        return _roles_page(visit, app, [FieldError("role", with_graph_names(error))])
    return visit.redirect(address_of(app, _ROLES), notice=f"The app role {value} is created.")


def change_role(visit: Visit) -> Response:
    """Enable, disable or remove an app role. Its assignments are removed with it."""
    app, wanted, how = find_app(visit), visit.text("id"), visit.text("change")
    roles = (
        replace(role, enabled=how == "enable") if role.id == wanted else role
        for role in app.app_roles
        if how != "remove" or role.id != wanted
    )
    visit.service.registrations.update_app(app, app_roles=tuple(roles))
    if how == "remove":
        targets = {p.id for p in visit.directory.principals.values() if p.app_id == app.client_id}
        for assignment in visit.directory.assignments.values():
            if assignment.role_id == wanted and assignment.resource_id in targets:
                visit.service.store.remove(assignments=assignment.id)
    return visit.redirect(address_of(app, _ROLES), notice="Saved.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_EXPOSE}", show_scopes),
    post(f"{LIST}/{{app}}/{_EXPOSE}/uri", set_uri),
    post(f"{LIST}/{{app}}/{_EXPOSE}/scope", add_scope),
    post(f"{LIST}/{{app}}/{_EXPOSE}/change", change_scope),
    get(f"{LIST}/{{app}}/{_ROLES}", show_roles),
    post(f"{LIST}/{{app}}/{_ROLES}/add", add_role),
    post(f"{LIST}/{{app}}/{_ROLES}/change", change_role),
)
