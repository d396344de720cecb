"""Which apps, APIs and users the pages offer for a choice, and which one a visit has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.samples import API as SAMPLE_API
from entra_guard.emulator._directory.samples import DAEMON
from entra_guard.emulator._store.directory import CONSUMERS, GRAPH, AppRegistration, User

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit


def own_apps(visit: Visit) -> list[AppRegistration]:
    """Return the apps of the tenant that are not Microsoft's own."""
    apps = visit.directory.apps_in(visit.tenant.id)
    return [app for app in apps if app.tenant_id == visit.tenant.id]


def apis(visit: Visit, *, graph: bool = False) -> list[AppRegistration]:
    """Return the apps that tokens are requested for: those with roles, scopes or an App ID URI."""
    found = [app for app in own_apps(visit) if app.app_roles or app.scopes or app.identifier_uris]
    known = visit.directory.apps.get(GRAPH) if graph else None
    return [*found, known] if known else found


def users(visit: Visit) -> list[User]:
    """Return the users of the tenant who can sign in."""
    return [user for user in visit.directory.users_in(visit.tenant.id) if user.enabled]


def chosen_api(visit: Visit, *, graph: bool = False) -> AppRegistration | None:
    """Return the API that the form names; otherwise the newest one, the sample as the last choice."""
    offered = apis(visit, graph=graph)
    named = next((api for api in offered if api.client_id == visit.text("api")), None)
    own = [api for api in offered if api.client_id not in {SAMPLE_API, GRAPH}]
    sample = next((api for api in offered if api.client_id == SAMPLE_API), None)
    return named or sample or next(iter(own[::-1]), None) or next(iter(offered), None)


def chosen_client(visit: Visit, api: AppRegistration | None) -> AppRegistration | None:
    """Return the client that the form names; otherwise one that has a role of the API."""
    offered = own_apps(visit)
    named = next((app for app in offered if app.client_id == visit.text("client")), None)
    target = visit.directory.principal_of(api.client_id, visit.tenant.id) if api else None
    allowed = (app for app in offered if target and _holds_role(visit, app, target.id))
    sample = next((app for app in offered if app.client_id == DAEMON), None)
    return named or next(allowed, None) or sample or next(iter(offered), None)


def _holds_role(visit: Visit, app: AppRegistration, target_id: str) -> bool:
    principal = visit.directory.principal_of(app.client_id, visit.tenant.id)
    return principal is not None and bool(visit.directory.roles_of(frozenset({principal.id}), target_id))


def chosen_user(visit: Visit) -> User | None:
    """Return the user that the form names; None for the app itself."""
    return next((user for user in users(visit) if user.id == visit.text("user")), None)


def is_personal(visit: Visit) -> bool:
    """Return whether the tenant is the one of personal accounts, which has no apps."""
    return visit.tenant.id == CONSUMERS
