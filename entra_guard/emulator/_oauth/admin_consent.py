"""Admin consent: the page, and what accepting it grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.redirects import platform_of, redirect
from entra_guard.emulator._oauth.scopes import DEFAULT, parse_scopes
from entra_guard.emulator._oauth.token_request import tenant_of
from entra_guard.emulator._oauth.user_consent import known_resource
from entra_guard.emulator._store.directory import V1, AppRegistration, Tenant

if TYPE_CHECKING:
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store


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
    automatic = "accept" if fields.get("auto") == "1" else ""
    decision = fields.get("decision", "") if request.method == "POST" else automatic
    if not decision:
        return _consent_page(service.store, request, consent)
    result = _accept(service, consent) if decision == "accept" else _decline(consent)
    state = {"state": fields["state"]} if "state" in fields else {}
    return redirect(fields["redirect_uri"], "query", {**result, **state})


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
    permissions = _permissions(store, consent)
    return page(
        "admin_consent.html",
        title="Permissions requested",
        app=consent.app,
        tenant=consent.tenant,
        permissions=[(apps[api_id].name, name) for api_id, names in permissions for name in names],
        action=request.path,
        fields={name: value for name, value in consent.fields.items() if name != "decision"},
    )


def _decline(consent: ConsentRequest) -> dict[str, str]:
    if consent.version == V1:
        return {"error": "permission_denied", "error_description": "The admin canceled the request"}
    description = str(EntraError(65004))
    return {"admin_consent": "True", "error": "consent_required", "error_description": description}


def _accept(service: DirectoryService, consent: ConsentRequest) -> dict[str, str]:
    try:
        service.consents.consent(consent.app, tenant=consent.tenant)
        for api_id, names in _permissions(service.store, consent):
            _grant(service, consent, api_id, names)
    except RegistrationError:
        # The app, or an API it needs, is for its own organisation only.
        raise EntraError(700016, app=consent.app.client_id, tenant=consent.tenant.name) from None
    granted = {"admin_consent": "True", "tenant": consent.tenant.id}
    return granted if consent.version == V1 else {**granted, "scope": consent.scope}


def _permissions(store: Store, consent: ConsentRequest) -> list[tuple[str, tuple[str, ...]]]:
    """Return the APIs and the permissions of each, by value."""
    registered = list(consent.app.required)
    scopes = parse_scopes("" if consent.version == V1 else consent.scope)
    if not scopes.names:
        return registered
    api = known_resource(store, scopes.resource)
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=consent.tenant.name)
    if scopes.default:
        return [entry for entry in registered if entry[0] == api.client_id]
    return [(api.client_id, tuple(name for name in scopes.names if name != DEFAULT))]


def _grant(service: DirectoryService, consent: ConsentRequest, api_id: str, names: tuple[str, ...]) -> None:
    api = service.directory.apps[api_id]
    roles = [r.value for r in api.app_roles if r.value in names and "Application" in r.allowed_member_types]
    scopes = [s.value for s in api.scopes if s.value in names and s.enabled]
    if roles:
        service.consents.grant(consent.app, api, *roles, tenant=consent.tenant)
    if scopes:
        service.consents.grant_delegated(consent.app, api, *scopes, tenant=consent.tenant)
