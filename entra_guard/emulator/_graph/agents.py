"""Graph's objects of AI agents: blueprints, their principals, agent identities and agents' user accounts.

Source: Microsoft Graph v1.0, agentIdentityBlueprint, agentIdentityBlueprintPrincipal, agentIdentity and
agentUser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.applications import create
from entra_guard.emulator._graph.errors import GraphRequestError, bad_request
from entra_guard.emulator._graph.objects import application_row, principal_row, user_row
from entra_guard.emulator._graph.odata import entity
from entra_guard.emulator._graph.principals import create_principal
from entra_guard.emulator._tokens.spec import CREATE_AS_MANAGER

if TYPE_CHECKING:
    from entra_guard.emulator._graph.access import Call
    from entra_guard.emulator._graph.applications import Found
    from entra_guard.emulator._store.entries import AppRegistration

CREATE: Final = ("AgentIdentity.Create.All", CREATE_AS_MANAGER)
CREATE_USER: Final = ("AgentIdUser.ReadWrite.IdentityParentedBy", "User.ReadWrite.All")


def create_blueprint(call: Call, found: Found) -> Any:
    """Create a blueprint. Its principal is created by a separate request."""
    body = call.body()
    if not body.get("displayName"):
        raise bad_request(
            "A value is required for property 'displayName' of resource 'AgentIdentityBlueprint'."
        )
    created = create(call, found)
    app = call.store.directory.apps[created["appId"]]
    row = application_row(call.store.directory, _as_blueprint(call, app))
    return {
        **entity(call.request, "applications", row),
        "@odata.type": "#microsoft.graph.agentIdentityBlueprint",
    }


def _as_blueprint(call: Call, app: AppRegistration) -> AppRegistration:
    """Make a new registration a blueprint, which has one id as object and as client."""
    return call.service.registrations.update_app(app, is_blueprint=True, object_id=app.client_id)


def create_blueprint_principal(call: Call, found: Found) -> Any:
    app = call.store.directory.apps.get(str(call.body().get("appId")))
    if app is None or not app.is_blueprint:
        raise GraphRequestError(
            400,
            "AgentBlueprintPrincipal_RequireAgentBlueprint",
            "Agent identity blueprint principals can only be created for Agent Blueprints.",
        )
    kind = "#microsoft.graph.agentIdentityBlueprintPrincipal"
    return {**create_principal(call, found), "@odata.type": kind}


def create_agent(call: Call, _found: Found) -> Any:
    """Create an agent identity: a blueprint creates its own, other apps need the permission for all."""
    body, store = call.body(), call.store
    name, blueprint_id = str(body.get("displayName") or ""), str(body.get("agentIdentityBlueprintId") or "")
    if not name:
        raise bad_request("A value is required for property 'displayName' of resource 'AgentIdentity'.")
    caller = str(call.claims.get("azp") or call.claims.get("appid"))
    if CREATE[0] not in call.permissions() and caller != blueprint_id:
        raise GraphRequestError(
            403,
            "Error_AgentIdentitySelfCreateRequired",
            "Applications can only create agent identities under themselves.",
        )
    app = store.directory.apps.get(blueprint_id)
    if app is None or not app.is_blueprint:
        words = "The specified Application (AppId) isn't an Agent Blueprint."
        raise GraphRequestError(400, "AgentIdentity_IncompatibleParentType", words)
    if store.directory.principal_of(blueprint_id, call.tenant.id) is None:
        words = "The required agent identity blueprint principal doesn't exist."
        raise GraphRequestError(400, "AgentIdentity_AgentBlueprintPrincipalDoesNotExist", words)
    agent = call.service.agents.add_agent(name, blueprint_id)
    row = principal_row(store.directory, store.directory.principals[agent.id])
    return entity(call.request, "servicePrincipals", row)


def create_user(call: Call, _found: Found) -> Any:
    """Create the user account of an agent."""
    body = call.body()
    name, parent = str(body.get("userPrincipalName") or ""), str(body.get("identityParentId") or "")
    try:
        account = call.service.registrations.add_user(name, agent=parent)
    except (RegistrationError, LookupError) as error:
        raise bad_request(str(error.args[0])) from None
    kind = "#microsoft.graph.agentUser"
    row = {**user_row(account), "@odata.type": kind, "identityParentId": account.agent_id}
    return entity(call.request, "users", row)
