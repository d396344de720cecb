"""Consent by users, for themselves: what signing in to an app grants it. Knows no pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes
from entra_guard.emulator._store.directory import AppRegistration, DelegatedGrant, User

if TYPE_CHECKING:
    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._store.store import Store


def known_resource(store: Store, name: str) -> AppRegistration | None:
    """The API of that name in any tenant."""
    wanted = name.removesuffix("/")
    apps = store.directory.apps.values()
    return next((app for app in apps if wanted in {n.removesuffix("/") for n in app.names()}), None)


def missing_consent(
    store: AppCredentials, app: AppRegistration, user: User, scopes: RequestedScopes
) -> tuple[str, ...]:
    """The scopes asked for that nobody has consented to for this user yet.

    Raises:
        EntraError: The API, or one of its scopes, does not exist here.
    """
    api = _resource(store, user, scopes)
    wanted = _wanted(app, api, scopes)
    client = store.directory.principal_of(app.client_id, user.tenant_id)
    target = store.directory.principal_of(api.client_id, user.tenant_id)
    held = store.directory.scopes_of(client.id, target.id, user.id) if client and target else ()
    return tuple(name for name in wanted if name not in held)


def _resource(store: AppCredentials, user: User, scopes: RequestedScopes) -> AppRegistration:
    """The API in the user's tenant; one of another tenant comes in with the first consent, if it may."""
    api = known_resource(store, scopes.resource)
    tenant = store.directory.tenants[user.tenant_id]
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name)
    try:
        store.consent(api, tenant=tenant)
    except RegistrationError:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name) from None
    return api


def _wanted(app: AppRegistration, api: AppRegistration, scopes: RequestedScopes) -> tuple[str, ...]:
    known = [scope.value for scope in api.scopes if scope.enabled]
    if scopes.default:
        return tuple(scope.value for scope in api.scopes if scope.enabled and scope.type == "User")
    unknown = [name for name in scopes.names if name not in known and name != DEFAULT]
    if unknown:
        raise EntraError(650053, name=app.name, scope=" ".join(unknown), resource=api.client_id)
    return scopes.names


def consent_as(store: AppCredentials, app: AppRegistration, user: User, scopes: RequestedScopes) -> None:
    """Grant the app what it asks for, as this user.

    Raises:
        EntraError: Only an administrator may grant it, or it does not exist.
    """
    missing = missing_consent(store, app, user, scopes)
    api = _resource(store, user, scopes)
    admin = {scope.value for scope in api.scopes if scope.type == "Admin"}
    if admin.intersection(missing):
        raise EntraError(90094, name=app.name)
    client = _client(store, app, user)
    target = store.consent(api, tenant=user.tenant_id)
    if missing:
        store.put(
            grants=DelegatedGrant(store.ids.text(32), user.tenant_id, client, target.id, missing, user.id)
        )


def _client(store: AppCredentials, app: AppRegistration, user: User) -> str:
    """The id of the app's service principal where the user is."""
    try:
        return store.consent(app, tenant=user.tenant_id).id
    except RegistrationError:
        tenant = store.directory.tenants[user.tenant_id]
        raise EntraError(700016, app=app.client_id, tenant=tenant.name) from None
