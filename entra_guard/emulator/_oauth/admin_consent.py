"""Admin consent: the page, and what accepting it grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._http.form_guard import is_foreign, is_own_form
from entra_guard.emulator._oauth.consent_page import RequestedPermission, consent_page
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.redirects import platform_of, redirect
from entra_guard.emulator._oauth.scopes import DEFAULT, parse_scopes
from entra_guard.emulator._oauth.token_request import tenant_of
from entra_guard.emulator._oauth.user_consent import known_resource
from entra_guard.emulator._store.entries import V1, AppRegistration, PermissionType, Tenant
from entra_guard.emulator._store.permissions import offered

if TYPE_CHECKING:
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission to grant: of which API, of which kind, and its value."""

    api_id: str
    type: PermissionType
    value: str


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A request for admin consent whose client and redirect URI are valid."""

    app: AppRegistration
    tenant: Tenant
    version: int
    fields: dict[str, str]

    @property
    def scope(self) -> str:
        return self.fields.get("scope", "")


def admin_consent(service: DirectoryService, request: Request, segment: str, version: int) -> Response:
    """Grant an app everything it is registered to need; at the v2.0 endpoint, the named scopes.

    With `auto=1`, the decision needs no page.

    Raises:
        EntraError: The client or its redirect URI is not valid.
    """
    fields = request.form() if request.method == "POST" else request.parameters()
    consent = _parse(service.store, segment, version, fields)
    decision = _decision(service.store, request, fields)
    if not decision:
        return _consent_page(service.store, request, consent)
    result = _accept(service, consent) if decision == "accept" else _decline(consent)
    state = {"state": fields["state"]} if "state" in fields else {}
    return redirect(fields["redirect_uri"], "query", {**result, **state})


def _decision(store: Store, request: Request, fields: dict[str, str]) -> str:
    """Return the administrator's decision; an empty string if another web page sent it."""
    if request.method == "POST":
        return fields.get("decision", "") if is_own_form(request, fields, store.form_token) else ""
    return "accept" if fields.get("auto") == "1" and not is_foreign(request) else ""


def _parse(store: Store, segment: str, version: int, fields: dict[str, str]) -> ConsentRequest:
    tenant = tenant_of(store, segment, fields)
    client_id, uri = fields.get("client_id", ""), fields.get("redirect_uri", "")
    app = store.directory.apps.get(client_id.lower())
    if app is None:
        raise EntraError(700016, app=client_id, tenant=tenant.name)
    if platform_of(app, uri) is None:
        raise EntraError(50011, uri=uri, app=app.client_id)
    return ConsentRequest(app, tenant, version, fields)


def _consent_page(store: Store, request: Request, consent: ConsentRequest) -> Response:
    apps = store.directory.apps
    permissions = [
        RequestedPermission(apps[p.api_id].name, _display_name(apps[p.api_id], p), p.value)
        for p in _permissions(store, consent)
    ]
    return consent_page(
        store, consent.app, permissions, action=request.path, fields=consent.fields, everyone=consent.tenant
    )


def _display_name(api: AppRegistration, permission: Permission) -> str:
    offers = api.app_roles if permission.type == "Role" else api.scopes
    return next((o.display_name for o in offers if o.value == permission.value), "") or permission.value


def _decline(consent: ConsentRequest) -> dict[str, str]:
    if consent.version == V1:
        return {"error": "permission_denied", "error_description": "The admin canceled the request"}
    description = str(EntraError(65004))
    return {"admin_consent": "True", "error": "consent_required", "error_description": description}


def _accept(service: DirectoryService, consent: ConsentRequest) -> dict[str, str]:
    try:
        service.consents.consent(consent.app, tenant=consent.tenant)
        for permission in _permissions(service.store, consent):
            _grant(service, consent, permission)
    except RegistrationError:
        # The app, or an API it needs, is for its own organisation only.
        raise EntraError(700016, app=consent.app.client_id, tenant=consent.tenant.name) from None
    granted = {"admin_consent": "True", "tenant": consent.tenant.id}
    return granted if consent.version == V1 else {**granted, "scope": consent.scope}


def consent_to_registered(service: DirectoryService, app: AppRegistration, tenant: Tenant) -> None:
    """Grant an app everything it is registered to need, for a whole tenant.

    Raises:
        RegistrationError: The app, or an API it needs, is for its own organisation only.
    """
    service.consents.consent(app, tenant=tenant)
    for permission in _registered(service.store, app):
        _grant(service, ConsentRequest(app, tenant, V1, {}), permission)


def _permissions(store: Store, consent: ConsentRequest) -> list[Permission]:
    """Return the permissions to grant; what an API no longer offers is left out."""
    scopes = parse_scopes("" if consent.version == V1 else consent.scope)
    if not scopes.names:
        return _registered(store, consent.app)
    api = known_resource(store, scopes.resource)
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=consent.tenant.name)
    if scopes.default:
        return [p for p in _registered(store, consent.app) if p.api_id == api.client_id]
    values = offered(api).items()
    return [
        Permission(api.client_id, permission.type, value)
        for permission, value in values
        if value in scopes.names and value != DEFAULT
    ]


def _registered(store: Store, app: AppRegistration) -> list[Permission]:
    apis = store.directory.apps
    known = {access.api_id: offered(apis[access.api_id]) for access in app.required if access.api_id in apis}
    return [
        Permission(access.api_id, permission.type, known[access.api_id][permission])
        for access in app.required
        for permission in access.permissions
        if permission in known.get(access.api_id, ())
    ]


def _grant(service: DirectoryService, consent: ConsentRequest, permission: Permission) -> None:
    api = service.directory.apps[permission.api_id]
    if permission.type == "Role":
        offers = {role.value for role in api.app_roles if "Application" in role.allowed_member_types}
        if permission.value in offers:
            service.consents.grant(consent.app, api, permission.value, tenant=consent.tenant)
    elif any(scope.value == permission.value and scope.enabled for scope in api.scopes):
        service.consents.grant_delegated(consent.app, api, permission.value, tenant=consent.tenant)
