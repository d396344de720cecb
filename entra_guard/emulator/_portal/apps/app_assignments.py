"""Who holds which app role of an API: users, groups and apps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.applications import with_graph_names
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app, principal_here, render_app
from entra_guard.emulator._portal.choices import users_by_name
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post, segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration, RoleAssignment

_SECTION: Final = "assignments"


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """One assignment: who holds which role."""

    id: str
    holder: str
    address: str
    type: str
    role: str


def show(visit: Visit) -> Response:
    """Show the assignments in this tenant."""
    return _page(visit, find_app(visit), [])


def _page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    principal = visit.directory.principal_of(app.client_id, visit.tenant.id)
    target = principal.id if principal is not None else ""
    held = [a for a in visit.directory.assignments.values() if a.resource_id == target]
    return render_app(
        visit,
        app,
        _SECTION,
        "app_assignments.html",
        errors=errors,
        rows=[_row(visit, app, assignment) for assignment in held],
        required=principal is not None and principal.assignment_required,
        holders=list(_possible_holders(visit, app)),
        roles=[(role.value, role.value) for role in app.app_roles if role.enabled],
    )


def _row(visit: Visit, app: AppRegistration, assignment: RoleAssignment) -> AssignmentRow:
    directory, holder = visit.directory, assignment.principal_id
    name, address, kind = holder, "", assignment.principal_type
    if holder in directory.users:
        name, address = directory.users[holder].display_name, f"/portal/users/{segment(holder)}"
    elif holder in directory.groups:
        name, address = directory.groups[holder].name, f"/portal/groups/{segment(holder)}"
    elif holder in directory.identities:
        name, address = directory.identities[holder].name, "/portal/identities"
    elif holder in directory.agents:
        agent = directory.agents[holder]
        name, address = agent.name, f"{LIST}/{segment(agent.blueprint_id)}"
    elif holder in directory.principals:
        client = directory.principals[holder]
        name = client.name
        address = f"{LIST}/{segment(client.app_id)}" if client.app_id in directory.apps else ""
    words = {"ServicePrincipal": "App", "User": "User", "Group": "Group"}[kind]
    roles = {role.id: role.value for role in app.app_roles}
    return AssignmentRow(assignment.id, name, address, words, roles.get(assignment.role_id, "Default access"))


def _possible_holders(visit: Visit, app: AppRegistration) -> Iterator[tuple[str, str]]:
    """Yield who can hold a role, as options: kind and id, and the name."""
    directory, tenant = visit.directory, visit.tenant
    for user in users_by_name(visit):
        yield f"user:{user.id}", f"{user.display_name} (user)"
    for group in directory.groups.values():
        if group.tenant_id == tenant.id:
            yield f"group:{group.id}", f"{group.name} (group)"
    for other in directory.apps_in(tenant.id):
        if other.tenant_id and other.client_id != app.client_id:
            yield f"app:{other.client_id}", f"{other.name} (app)"
    for identity in directory.identities.values():
        if identity.tenant_id == tenant.id:
            yield f"identity:{identity.id}", f"{identity.name} (managed identity)"
    for agent in directory.agents.values():
        if agent.tenant_id == tenant.id:
            yield f"agent:{agent.id}", f"{agent.name} (agent)"


def add(visit: Visit) -> Response:
    """Assign a role to a user, a group or an app."""
    app, role = find_app(visit), visit.text("role")
    kind, _, identifier = visit.text("holder").partition(":")
    consents, directory = visit.service.consents, visit.directory
    try:
        if kind == "app":
            consents.grant(identifier, app, role, tenant=visit.tenant)
        elif kind == "identity":
            consents.grant(directory.identities[identifier], app, role)
        elif kind == "agent":
            consents.grant(directory.agents[identifier], app, role)
        elif kind == "group":
            consents.assign(directory.groups[identifier], app, role)
        else:
            consents.assign(directory.users[identifier], app, role)
    except RegistrationError as error:
        return _page(visit, app, [FieldError("role", with_graph_names(error))])
    except LookupError:
        return _page(visit, app, [FieldError("holder", "Choose who gets the role.")])
    return visit.redirect(address_of(app, _SECTION), notice=f"{role} is assigned.")


def remove(visit: Visit) -> Response:
    """Remove an assignment."""
    app, wanted = find_app(visit), visit.text("id")
    principal = visit.directory.principal_of(app.client_id, visit.tenant.id)
    assignment = visit.directory.assignments.get(wanted)
    if assignment is not None and principal is not None and assignment.resource_id == principal.id:
        visit.service.store.remove(assignments=wanted)
    return visit.redirect(address_of(app, _SECTION), notice="The assignment is removed.")


def set_required(visit: Visit) -> Response:
    """Decide whether only assigned users and apps get tokens."""
    app = find_app(visit)
    principal = principal_here(visit, app)
    changed = replace(principal, assignment_required=visit.text("required") == "1")
    visit.service.store.upsert(principals=changed)
    return visit.redirect(address_of(app, _SECTION), notice="Saved.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_SECTION}", show),
    post(f"{LIST}/{{app}}/{_SECTION}/add", add),
    post(f"{LIST}/{{app}}/{_SECTION}/remove", remove),
    post(f"{LIST}/{{app}}/{_SECTION}/required", set_required),
)
