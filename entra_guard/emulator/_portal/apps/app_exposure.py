"""What an API offers: its Application ID URI, scopes and app roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError, check_removed
from entra_guard.emulator._graph.applications import with_graph_names
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app, render_app
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._store.entries import AppRole, AuthorizedClient, Scope
from entra_guard.emulator._store.ids import is_guid

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

_EXPOSE: Final = "expose"
_ROLES: Final = "roles"


def show_scopes(visit: Visit) -> Response:
    """Show the Application ID URI and the scopes."""
    return _scopes_page(visit, find_app(visit), [])


def _scopes_page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    names = {known.client_id: known.name for known in visit.directory.apps.values()}
    scopes = {scope.id: scope.value for scope in app.scopes}
    clients = [
        (c.client_id, names.get(c.client_id, ""), [scopes.get(i, i) for i in c.scope_ids])
        for c in app.authorized_clients
    ]
    return render_app(
        visit,
        app,
        _EXPOSE,
        "app_expose.html",
        errors=errors,
        clients=clients,
        ticked=set(visit.all("authorized_scope")),
    )


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
    """Enable or disable a scope, or remove a disabled one."""
    app, wanted, how = find_app(visit), visit.text("id"), visit.text("change")
    scopes = (
        replace(scope, enabled=how == "enable") if scope.id == wanted else scope
        for scope in app.scopes
        if how != "remove" or scope.id != wanted
    )
    changed = tuple(scopes)
    check_removed(app, replace(app, scopes=changed))
    known = {scope.id for scope in changed}
    kept = (
        replace(client, scope_ids=tuple(i for i in client.scope_ids if i in known))
        for client in app.authorized_clients
    )
    clients = tuple(client for client in kept if client.scope_ids)
    visit.service.registrations.update_app(app, scopes=changed, authorized_clients=clients)
    return visit.redirect(address_of(app, _EXPOSE), notice="Saved.")


def add_client(visit: Visit) -> Response:
    """Authorize a client application: its users need not consent to these scopes."""
    app, client_id = find_app(visit), visit.text("authorized_client").lower()
    scope_ids = tuple(scope.id for scope in app.scopes if scope.id in visit.all("authorized_scope"))
    if not is_guid(client_id):
        return _scopes_page(visit, app, [FieldError("authorized_client", "Enter the client id of the app.")])
    if not scope_ids:
        return _scopes_page(visit, app, [FieldError("authorized_scope", "Tick at least one scope.")])
    others = tuple(client for client in app.authorized_clients if client.client_id != client_id)
    clients = (*others, AuthorizedClient(client_id, scope_ids))
    visit.service.registrations.update_app(app, authorized_clients=clients)
    return visit.redirect(address_of(app, _EXPOSE), notice="The client is authorized.")


def remove_client(visit: Visit) -> Response:
    """Remove an authorized client application. Its users must consent from now on."""
    app, client_id = find_app(visit), visit.text("id")
    clients = tuple(client for client in app.authorized_clients if client.client_id != client_id)
    visit.service.registrations.update_app(app, authorized_clients=clients)
    return visit.redirect(address_of(app, _EXPOSE), notice="The client is not authorized any more.")


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
    """Enable or disable an app role, or remove a disabled one with its assignments."""
    app, wanted, how = find_app(visit), visit.text("id"), visit.text("change")
    roles = tuple(
        replace(role, enabled=how == "enable") if role.id == wanted else role
        for role in app.app_roles
        if how != "remove" or role.id != wanted
    )
    check_removed(app, replace(app, app_roles=roles))
    visit.service.registrations.update_app(app, app_roles=roles)
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
    post(f"{LIST}/{{app}}/{_EXPOSE}/client", add_client),
    post(f"{LIST}/{{app}}/{_EXPOSE}/client/remove", remove_client),
    get(f"{LIST}/{{app}}/{_ROLES}", show_roles),
    post(f"{LIST}/{{app}}/{_ROLES}/add", add_role),
    post(f"{LIST}/{{app}}/{_ROLES}/change", change_role),
)
