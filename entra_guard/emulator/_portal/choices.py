"""Which apps, APIs and users the pages offer for a choice, and which one a visit has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.samples import API as SAMPLE_API
from entra_guard.emulator._directory.samples import DAEMON, LEGACY_API, PAGE
from entra_guard.emulator._store.entries import GRAPH, AppRegistration, User

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit


SAMPLES: Final = frozenset({SAMPLE_API, LEGACY_API, DAEMON, PAGE})


def own_apps(visit: Visit) -> list[AppRegistration]:
    """Return the apps of the tenant that are not Microsoft's own."""
    apps = visit.directory.apps_in(visit.tenant.id)
    return [app for app in apps if app.tenant_id == visit.tenant.id]


def apis(visit: Visit, *, graph: bool = False) -> list[AppRegistration]:
    """Return the apps that tokens are requested for: those with roles, scopes or an App ID URI."""
    found = [app for app in own_apps(visit) if app.app_roles or app.scopes or app.identifier_uris]
    known = visit.directory.apps.get(GRAPH) if graph else None
    return [*found, known] if known else found


def users_by_name(visit: Visit) -> list[User]:
    """Return all users of the tenant, ordered by their names."""
    return sorted(visit.directory.users_in(visit.tenant.id), key=lambda user: user.display_name.lower())


def users(visit: Visit) -> list[User]:
    """Return the users of the tenant who can sign in."""
    return [user for user in visit.directory.users_in(visit.tenant.id) if user.enabled and not user.agent_id]


def chosen_api(visit: Visit, *, graph: bool = False) -> AppRegistration | None:
    """Return the API of the form; else one that the client may call, the newest one, or the sample."""
    offered = apis(visit, graph=graph)
    named = next((api for api in offered if api.client_id == visit.text("api")), None)
    called = (api for api in offered if visit.text("client") and _may_call(visit, visit.text("client"), api))
    own = [api for api in offered if api.client_id not in {*SAMPLES, GRAPH}]
    sample = next((api for api in offered if api.client_id == SAMPLE_API), None)
    return named or next(called, None) or next(iter(own[::-1]), None) or sample or next(iter(offered), None)


def _may_call(visit: Visit, client_id: str, api: AppRegistration) -> bool:
    """Return whether an app has a role of the API, or consent to one of its scopes."""
    directory, tenant_id = visit.directory, visit.tenant.id
    caller, target = (directory.principal_of(i, tenant_id) for i in (client_id, api.client_id))
    if caller is None or target is None:
        return False
    granted = any((g.client_id, g.resource_id) == (caller.id, target.id) for g in directory.grants.values())
    return granted or bool(directory.roles_of(frozenset({caller.id}), target.id))


def chosen_client(visit: Visit, api: AppRegistration | None) -> AppRegistration | None:
    """Return the client that the form names; otherwise one that may call the API."""
    offered = own_apps(visit)
    named = next((app for app in offered if app.client_id == visit.text("client")), None)
    allowed = (app for app in offered if api and _may_call(visit, app.client_id, api))
    sample = next((app for app in offered if app.client_id == DAEMON), None)
    return named or next(allowed, None) or sample or next(iter(offered), None)


def chosen_user(visit: Visit) -> User | None:
    """Return the user that the form names; None for the app itself."""
    return next((user for user in users(visit) if user.id == visit.text("user")), None)
