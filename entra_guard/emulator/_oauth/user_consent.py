"""Consent by users for themselves: what signing in to an app grants to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._http.trail import note, note_api
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes
from entra_guard.emulator._store.entries import AppRegistration, DelegatedGrant, User

if TYPE_CHECKING:
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._store.store import Store


def known_resource(store: Store, name: str) -> AppRegistration | None:
    """Return the API of that name in any tenant."""
    wanted = name.removesuffix("/")
    apps = store.directory.apps.values()
    return next((app for app in apps if wanted in {n.removesuffix("/") for n in app.names()}), None)


def missing_consent(
    service: DirectoryService, app: AppRegistration, user: User, scopes: RequestedScopes
) -> tuple[str, ...]:
    """Return the requested scopes without consent for this user.

    Raises:
        EntraError: The API or one of its scopes does not exist here.
    """
    directory = service.directory
    api = _resource_for(service, user, scopes)
    wanted = _wanted_scopes(app, api, scopes)
    client = directory.principal_of(app.client_id, user.tenant_id)
    target = service.directory.principal_of(api.client_id, user.tenant_id)
    held = directory.scopes_of(client.id, target.id, user.id) if client and target else ()
    return tuple(name for name in wanted if name not in held)


def _resource_for(service: DirectoryService, user: User, scopes: RequestedScopes) -> AppRegistration:
    """Return the API in the user's tenant. A multi-tenant API becomes present with the first consent."""
    api = known_resource(service.store, scopes.resource)
    tenant = service.directory.tenants[user.tenant_id]
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name)
    try:
        service.consents.consent(api, tenant=tenant)
    except RegistrationError:
        raise EntraError(500011, resource=scopes.resource, tenant=tenant.name) from None
    return api


def _wanted_scopes(app: AppRegistration, api: AppRegistration, scopes: RequestedScopes) -> tuple[str, ...]:
    known = [scope.value for scope in api.scopes if scope.enabled]
    if scopes.default:
        return tuple(scope.value for scope in api.scopes if scope.enabled and scope.type == "User")
    unknown = [name for name in scopes.names if name not in known and name != DEFAULT]
    if unknown:
        raise EntraError(650053, name=app.name, scope=" ".join(unknown), resource=api.client_id)
    return scopes.names


def wanted_scopes(
    service: DirectoryService, app: AppRegistration, user: User, scopes: RequestedScopes
) -> tuple[str, ...]:
    """Return all requested scopes of the API, with `.default` replaced by those that users may consent to.

    Raises:
        EntraError: The API or one of its scopes does not exist here.
    """
    return _wanted_scopes(app, _resource_for(service, user, scopes), scopes)


def check_user_may_consent(
    service: DirectoryService, app: AppRegistration, user: User, scopes: RequestedScopes
) -> None:
    """Check that no requested scope needs an administrator, unless one has consented already.

    Raises:
        EntraError: Only an administrator may grant one of them.
    """
    missing = missing_consent(service, app, user, scopes)
    api = _resource_for(service, user, scopes)
    if any(scope.value in missing for scope in api.scopes if scope.type == "Admin"):
        raise EntraError(90094, name=app.name)


def consent_as(service: DirectoryService, app: AppRegistration, user: User, scopes: RequestedScopes) -> None:
    """Grant the requested scopes to the app, as this user.

    Raises:
        EntraError: A scope does not exist, or only an administrator may grant it.
    """
    missing = missing_consent(service, app, user, scopes)
    api = _resource_for(service, user, scopes)
    note_api(api.name)
    check_user_may_consent(service, app, user, scopes)
    note("consent", ", ".join(missing) or "granted before")
    client_id = _client_principal_id(service, app, user)
    target = service.consents.consent(api, tenant=user.tenant_id)
    if missing:
        identifier = service.store.ids.text(32)
        grant = DelegatedGrant(identifier, user.tenant_id, client_id, target.id, missing, user.id)
        service.store.upsert(grants=grant)


def _client_principal_id(service: DirectoryService, app: AppRegistration, user: User) -> str:
    """Return the id of the app's service principal in the user's tenant."""
    try:
        return service.consents.consent(app, tenant=user.tenant_id).id
    except RegistrationError:
        tenant = service.directory.tenants[user.tenant_id]
        raise EntraError(700016, app=app.client_id, tenant=tenant.name) from None
