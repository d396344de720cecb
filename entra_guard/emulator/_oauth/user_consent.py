"""Consent by users, for themselves: what signing in to an app grants it. Knows no pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.scopes import DEFAULT, AskedScopes
from entra_guard.emulator._store.directory import AppRegistration, DelegatedGrant, User

if TYPE_CHECKING:
    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._store.store import World


def known_resource(world: World, name: str) -> AppRegistration | None:
    """The API of that name in any tenant."""
    wanted = name.removesuffix("/")
    apps = world.directory.apps.values()
    return next((app for app in apps if wanted in {n.removesuffix("/") for n in app.names()}), None)


def missing_consent(
    world: AppCredentials, app: AppRegistration, user: User, scopes: AskedScopes
) -> tuple[str, ...]:
    """The scopes asked for that nobody has consented to for this user yet.

    Raises:
        EntraError: The API, or one of its scopes, does not exist here.
    """
    api = _resource(world, user, scopes)
    wanted = _wanted(app, api, scopes)
    client = world.directory.principal_of(app.client_id, user.tenant_id)
    target = world.directory.principal_of(api.client_id, user.tenant_id)
    held = world.directory.scopes_of(client.id, target.id, user.id) if client and target else ()
    return tuple(name for name in wanted if name not in held)


def _resource(world: AppCredentials, user: User, scopes: AskedScopes) -> AppRegistration:
    """The API in the user's tenant; one of another tenant comes in with the first consent, if it may."""
    api = known_resource(world, scopes.resource)
    tenant = world.directory.tenants[user.tenant_id]
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name)
    try:
        world.consent(api, tenant=tenant)
    except RegistrationError:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name) from None
    return api


def _wanted(app: AppRegistration, api: AppRegistration, scopes: AskedScopes) -> tuple[str, ...]:
    known = [scope.value for scope in api.scopes if scope.enabled]
    if scopes.default:
        return tuple(scope.value for scope in api.scopes if scope.enabled and scope.type == "User")
    unknown = [name for name in scopes.names if name not in known and name != DEFAULT]
    if unknown:
        raise EntraError(650053, name=app.name, scope=" ".join(unknown), resource=api.client_id)
    return scopes.names


def consent_as(world: AppCredentials, app: AppRegistration, user: User, scopes: AskedScopes) -> None:
    """Grant the app what it asks for, as this user.

    Raises:
        EntraError: Only an administrator may grant it, or it does not exist.
    """
    missing = missing_consent(world, app, user, scopes)
    api = _resource(world, user, scopes)
    admin = {scope.value for scope in api.scopes if scope.type == "Admin"}
    if admin.intersection(missing):
        raise EntraError(90094, name=app.name)
    client = _client(world, app, user)
    target = world.consent(api, tenant=user.tenant_id)
    if missing:
        world.put(
            grants=DelegatedGrant(world.ids.text(32), user.tenant_id, client, target.id, missing, user.id)
        )


def _client(world: AppCredentials, app: AppRegistration, user: User) -> str:
    """The id of the app's service principal where the user is."""
    try:
        return world.consent(app, tenant=user.tenant_id).id
    except RegistrationError:
        tenant = world.directory.tenants[user.tenant_id]
        raise EntraError(700016, app=app.client_id, tenant=tenant.name) from None
