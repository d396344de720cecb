"""Graph's service principals, their role assignments and grants."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.errors import GraphRequestError, bad_request, missing
from entra_guard.emulator._graph.objects import assignment_row, grant_row, principal_row
from entra_guard.emulator._graph.odata import PlainText, collection, count, entity
from entra_guard.emulator._graph.people import find_group, find_user
from entra_guard.emulator._store.entries import DEFAULT_ROLE, DelegatedGrant, RoleAssignment

if TYPE_CHECKING:
    from entra_guard.emulator._graph.access import Call
    from entra_guard.emulator._store.entries import ServicePrincipal

Found = re.Match[str]
_CHANGEABLE: Final = {"accountEnabled": "enabled", "appRoleAssignmentRequired": "assignment_required"}
ASSIGN: Final = ("AppRoleAssignment.ReadWrite.All",)
GRANT: Final = ("DelegatedPermissionGrant.ReadWrite.All",)
GRANTS: Final = (*GRANT, "Directory.Read.All", "Directory.ReadWrite.All")


def principals(call: Call, _found: Found) -> Any:
    directory = call.store.directory
    rows = [principal_row(directory, p) for p in directory.principals_in(call.tenant.id)]
    return collection(call.request, "servicePrincipals", rows)


def principal(call: Call, found: Found) -> Any:
    return entity(
        call.request, "servicePrincipals", principal_row(call.store.directory, _find_principal(call, found))
    )


def create_principal(call: Call, _found: Found) -> Any:
    app_id = str(call.body().get("appId"))
    if call.store.directory.principal_of(app_id, call.tenant.id):
        raise bad_request(
            f"The service principal cannot be created: one for the appId '{app_id}' exists already."
        )
    try:
        created = call.service.consents.consent(app_id, tenant=call.tenant)
    except (RegistrationError, LookupError):
        raise bad_request(
            f"The appId '{app_id}' of the service principal does not reference a valid application."
        ) from None
    return entity(call.request, "servicePrincipals", principal_row(call.store.directory, created))


def principals_count(call: Call, _found: Found) -> PlainText:
    directory = call.store.directory
    return count(
        call.request,
        "servicePrincipals",
        [principal_row(directory, p) for p in directory.principals_in(call.tenant.id)],
    )


def change_principal(call: Call, found: Found) -> None:
    """Enable, disable, or require an assignment."""
    present, body = _find_principal(call, found), call.body()
    unknown = [name for name in body if name not in _CHANGEABLE]
    if unknown:
        raise bad_request(
            f"The emulator cannot set the property '{unknown[0]}' of resource 'ServicePrincipal'."
        )
    wrong = [name for name, value in body.items() if not isinstance(value, bool)]
    if wrong:
        raise bad_request(
            f"Invalid value specified for property '{wrong[0]}' of resource 'ServicePrincipal'."
        )
    call.store.upsert(principals=replace(present, **{_CHANGEABLE[name]: body[name] for name in body}))


def delete_principal(call: Call, found: Found) -> None:
    call.service.registrations.remove_principal(_find_principal(call, found).id)


def assigned_to(call: Call, found: Found) -> Any:
    """Return the assignments of this API's roles."""
    target = _find_principal(call, found)
    return _assignment_collection(
        call, found, [a for a in _tenant_assignments(call) if a.resource_id == target.id]
    )


def assignments(call: Call, found: Found) -> Any:
    """Return the roles that are assigned to this app."""
    holder = _find_principal(call, found)
    return _assignment_collection(
        call, found, [a for a in _tenant_assignments(call) if a.principal_id == holder.id]
    )


def _tenant_assignments(call: Call) -> list[RoleAssignment]:
    return [a for a in call.store.directory.assignments.values() if a.tenant_id == call.tenant.id]


def _assignment_collection(call: Call, found: Found, held: list[RoleAssignment]) -> Any:
    rows = [assignment_row(call.store.directory, a) for a in held]
    return collection(
        call.request, f"servicePrincipals('{found['id']}')/{found.string.rpartition('/')[2]}", rows
    )


def assign(call: Call, found: Found) -> Any:
    """Assign a role to an app (which is admin consent), a user or a group."""
    here, body = _find_principal(call, found), call.body()
    created = RoleAssignment(
        id=call.store.ids.text(32),
        tenant_id=call.tenant.id,
        principal_id=str(body.get("principalId")),
        principal_type=_principal_type(call, str(body.get("principalId"))),
        resource_id=str(body.get("resourceId")),
        role_id=str(body.get("appRoleId") or DEFAULT_ROLE),
        created=call.store.now(),
    )
    if here.id not in {created.principal_id, created.resource_id}:
        raise bad_request("principalId or resourceId must be this service principal.")
    _check_offered(call, created)
    call.store.upsert(assignments=created)
    context = f"servicePrincipals('{found['id']}')/appRoleAssignedTo"
    return entity(call.request, context, assignment_row(call.store.directory, created))


def _principal_type(call: Call, holder_id: str) -> Literal["ServicePrincipal", "User", "Group"]:
    directory = call.store.directory
    if holder_id in directory.principals:
        return "ServicePrincipal"
    if holder_id in directory.users:
        return "User"
    if holder_id in directory.groups:
        return "Group"
    raise bad_request("principalId does not name a service principal, user or group.")


def _check_offered(call: Call, created: RoleAssignment) -> None:
    """Check that the API offers the role to such a principal and that it is not assigned yet."""
    resource = call.store.directory.principals.get(created.resource_id)
    if resource is None:
        raise bad_request("resourceId does not name a service principal.")
    app = call.store.directory.apps.get(resource.app_id)
    member = "Application" if created.principal_type == "ServicePrincipal" else "User"
    offered = {r.id for r in (app.app_roles if app else ()) if r.enabled and member in r.allowed_member_types}
    if created.role_id not in {*offered, DEFAULT_ROLE}:
        raise bad_request("Permission being assigned was not found on application.")
    same = (created.principal_id, created.resource_id, created.role_id)
    if any((a.principal_id, a.resource_id, a.role_id) == same for a in _tenant_assignments(call)):
        raise bad_request("Permission being assigned already exists on the object.")


def unassign(call: Call, found: Found) -> None:
    _find_principal(call, found)
    call.store.remove(assignments=_assignment_id(call, found["assignment"]))


def _assignment_id(call: Call, identifier: str) -> str:
    if identifier not in {a.id for a in _tenant_assignments(call)}:
        raise missing(identifier)
    return identifier


def grants(call: Call, _found: Found) -> Any:
    held = [g for g in call.store.directory.grants.values() if g.tenant_id == call.tenant.id]
    return collection(call.request, "oauth2PermissionGrants", [grant_row(g) for g in held])


def grants_of(call: Call, found: Found) -> Any:
    client = _find_principal(call, found)
    held = [g for g in call.store.directory.grants.values() if g.client_id == client.id]
    return collection(call.request, "oauth2PermissionGrants", [grant_row(g) for g in held])


def create_grant(call: Call, _found: Found) -> Any:
    """Consent to delegated permissions, for all users or for one."""
    body, known = call.body(), call.store.directory.principals
    client, resource = str(body.get("clientId")), str(body.get("resourceId"))
    person = str(body["principalId"]) if body.get("consentType") == "Principal" else None
    if client not in known or resource not in known or (person and person not in call.store.directory.users):
        raise bad_request("clientId, resourceId and principalId must name existing objects.")
    scopes = tuple(str(body.get("scope") or "").split())
    if call.store.directory.grant_of(client, resource, person):
        raise GraphRequestError(
            409, "Request_MultipleObjectsWithSameKeyValue", "Permission entry already exists."
        )
    created = DelegatedGrant(call.store.ids.text(32), call.tenant.id, client, resource, scopes, person)
    call.store.upsert(grants=created)
    return entity(call.request, "oauth2PermissionGrants", grant_row(created))


def change_grant(call: Call, found: Found) -> None:
    """Replace the scopes of a grant."""
    present, body = _find_grant(call, found), call.body()
    scope = body.get("scope")
    if set(body) != {"scope"} or not isinstance(scope, str):
        raise bad_request("Only the property 'scope' of resource 'oAuth2PermissionGrant' can be changed.")
    call.store.upsert(grants=replace(present, scopes=tuple(dict.fromkeys(scope.split()))))


def delete_grant(call: Call, found: Found) -> None:
    call.store.remove(grants=_find_grant(call, found).id)


def _find_grant(call: Call, found: Found) -> DelegatedGrant:
    grant = call.store.directory.grants.get(found["id"])
    if grant is None or grant.tenant_id != call.tenant.id:
        raise missing(found["id"])
    return grant


def assignments_of_user(call: Call, found: Found) -> Any:
    return _assignments_of(call, find_user(call, found["id"]).id)


def assignments_of_group(call: Call, found: Found) -> Any:
    return _assignments_of(call, find_group(call, found["id"]).id)


def _assignments_of(call: Call, holder_id: str) -> Any:
    held = [a for a in _tenant_assignments(call) if a.principal_id == holder_id]
    rows = [assignment_row(call.store.directory, a) for a in held]
    return collection(call.request, "appRoleAssignments", rows)


def _find_principal(call: Call, found: Found) -> ServicePrincipal:
    identifier = found["id"]
    by_app = "appid=" in found.string.lower()
    here = call.store.directory.principals_in(call.tenant.id)
    wanted = identifier.lower()
    known = next((p for p in here if wanted == (p.app_id if by_app else p.id)), None)
    if known is None:
        raise missing(identifier)
    return known
