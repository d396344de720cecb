"""Graph's service principals: apps' presence in a tenant, and what is assigned and consented to there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.objects import assignment_row, grant_row, principal_row
from entra_guard.emulator._graph.odata import bad_request, collection, entity, missing
from entra_guard.emulator._store.directory import DEFAULT_ROLE, DelegatedGrant, RoleAssignment

if TYPE_CHECKING:
    from entra_guard.emulator._graph.access import Call
    from entra_guard.emulator._store.directory import ServicePrincipal

Found = re.Match[str]
ASSIGN: Final = ("AppRoleAssignment.ReadWrite.All",)
GRANT: Final = ("DelegatedPermissionGrant.ReadWrite.All",)
GRANTS: Final = (*GRANT, "Directory.Read.All", "Directory.ReadWrite.All")


def principals(call: Call, _found: Found) -> Any:
    directory = call.store.directory
    rows = [principal_row(directory, p) for p in directory.principals_in(call.tenant.id)]
    return collection(call.request, "servicePrincipals", rows)


def principal(call: Call, found: Found) -> Any:
    return entity(
        call.request, "servicePrincipals", principal_row(call.store.directory, _principal(call, found))
    )


def create_principal(call: Call, _found: Found) -> Any:
    app_id = str(call.body().get("appId"))
    if call.store.directory.principal_of(app_id, call.tenant.id):
        raise bad_request(
            f"The service principal cannot be created: one for the appId '{app_id}' exists already."
        )
    try:
        made = call.store.consent(app_id, tenant=call.tenant)
    except (RegistrationError, LookupError):
        raise bad_request(
            f"The appId '{app_id}' of the service principal does not reference a valid application."
        ) from None
    return entity(call.request, "servicePrincipals", principal_row(call.store.directory, made))


def delete_principal(call: Call, found: Found) -> None:
    call.store.remove_principal(_principal(call, found).id)


def assigned_to(call: Call, found: Found) -> Any:
    """Who holds roles of this API."""
    target = _principal(call, found)
    return _assignments(call, found, [a for a in _all(call) if a.resource_id == target.id])


def assignments(call: Call, found: Found) -> Any:
    """Which roles this app holds."""
    holder = _principal(call, found)
    return _assignments(call, found, [a for a in _all(call) if a.principal_id == holder.id])


def _all(call: Call) -> list[RoleAssignment]:
    return [a for a in call.store.directory.assignments.values() if a.tenant_id == call.tenant.id]


def _assignments(call: Call, found: Found, held: list[RoleAssignment]) -> Any:
    rows = [assignment_row(call.store.directory, a) for a in held]
    return collection(
        call.request, f"servicePrincipals('{found['id']}')/{found.string.rpartition('/')[2]}", rows
    )


def assign(call: Call, found: Found) -> Any:
    """Give a role to an app (which is admin consent), a user or a group."""
    here, body = _principal(call, found), call.body()
    made = RoleAssignment(
        id=call.store.ids.text(32),
        tenant_id=call.tenant.id,
        principal_id=str(body.get("principalId")),
        principal_type=_kind(call, str(body.get("principalId"))),
        resource_id=str(body.get("resourceId")),
        role_id=str(body.get("appRoleId") or DEFAULT_ROLE),
        created=call.store.now(),
    )
    if here.id not in {made.principal_id, made.resource_id}:
        raise bad_request("principalId or resourceId must be this service principal.")
    _check_offered(call, made)
    call.store.put(assignments=made)
    context = f"servicePrincipals('{found['id']}')/appRoleAssignedTo"
    return entity(call.request, context, assignment_row(call.store.directory, made))


def _kind(call: Call, holder_id: str) -> Literal["ServicePrincipal", "User", "Group"]:
    directory = call.store.directory
    if holder_id in directory.principals:
        return "ServicePrincipal"
    if holder_id in directory.users:
        return "User"
    if holder_id in directory.groups:
        return "Group"
    raise bad_request("principalId does not name a service principal, user or group.")


def _check_offered(call: Call, made: RoleAssignment) -> None:
    """The API must offer the role to such a holder, and not twice."""
    resource = call.store.directory.principals.get(made.resource_id)
    if resource is None:
        raise bad_request("resourceId does not name a service principal.")
    app = call.store.directory.apps.get(resource.app_id)
    member = "Application" if made.principal_type == "ServicePrincipal" else "User"
    offered = {r.id for r in (app.app_roles if app else ()) if r.enabled and member in r.allowed_member_types}
    if made.role_id not in {*offered, DEFAULT_ROLE}:
        raise bad_request("Permission being assigned was not found on application.")
    same = (made.principal_id, made.resource_id, made.role_id)
    if any((a.principal_id, a.resource_id, a.role_id) == same for a in _all(call)):
        raise bad_request("Permission being assigned already exists on the object.")


def unassign(call: Call, found: Found) -> None:
    _principal(call, found)
    call.store.remove(assignments=_held(call, found["assignment"]))


def _held(call: Call, identifier: str) -> str:
    if identifier not in {a.id for a in _all(call)}:
        raise missing(identifier)
    return identifier


def grants(call: Call, _found: Found) -> Any:
    held = [g for g in call.store.directory.grants.values() if g.tenant_id == call.tenant.id]
    return collection(call.request, "oauth2PermissionGrants", [grant_row(g) for g in held])


def grants_of(call: Call, found: Found) -> Any:
    client = _principal(call, found)
    held = [g for g in call.store.directory.grants.values() if g.client_id == client.id]
    return collection(call.request, "oauth2PermissionGrants", [grant_row(g) for g in held])


def create_grant(call: Call, _found: Found) -> Any:
    """Consent to delegated permissions, for everyone or for one user."""
    body, known = call.body(), call.store.directory.principals
    client, resource = str(body.get("clientId")), str(body.get("resourceId"))
    person = str(body["principalId"]) if body.get("consentType") == "Principal" else None
    if client not in known or resource not in known or (person and person not in call.store.directory.users):
        raise bad_request("clientId, resourceId and principalId must name existing objects.")
    scopes = tuple(str(body.get("scope") or "").split())
    made = DelegatedGrant(call.store.ids.text(32), call.tenant.id, client, resource, scopes, person)
    call.store.put(grants=made)
    return entity(call.request, "oauth2PermissionGrants", grant_row(made))


def delete_grant(call: Call, found: Found) -> None:
    if found["id"] not in call.store.directory.grants:
        raise missing(found["id"])
    call.store.remove(grants=found["id"])


def _principal(call: Call, found: Found) -> ServicePrincipal:
    identifier = found["id"]
    by_app = "appId" in found.string
    here = call.store.directory.principals_in(call.tenant.id)
    known = next((p for p in here if identifier == (p.app_id if by_app else p.id)), None)
    if known is None:
        raise missing(identifier)
    return known
