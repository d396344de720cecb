"""Administrators' consent: a page, and what accepting it grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.redirects import platform_of, redirect
from entra_guard.emulator._oauth.scopes import DEFAULT, read_scopes
from entra_guard.emulator._oauth.token_request import tenant_of
from entra_guard.emulator._oauth.user_consent import known_resource
from entra_guard.emulator._store.directory import V1, AppRegistration, Tenant

if TYPE_CHECKING:
    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for consent whose client and redirect URI are right."""

    app: AppRegistration
    tenant: Tenant
    version: int
    fields: dict[str, str]

    @property
    def scope(self) -> str:
        return self.fields.get("scope", "")


def admin_consent(store: AppCredentials, request: Request, segment: str, version: int) -> Response:
    """An administrator grants an app all it is registered to need, or at the v2.0 endpoint the scopes named.

    With `auto=1` no page asks.

    Raises:
        EntraError: The client or its redirect URI is not right.
    """
    fields = request.form() if request.method == "POST" else request.parameters()
    asked = _read(store, segment, version, fields)
    automatic = "accept" if fields.get("auto") == "1" else ""
    decision = fields.get("decision", "") if request.method == "POST" else automatic
    if not decision:
        return _page(store, request, asked)
    answer = _accepted(store, asked) if decision == "accept" else _refused(asked)
    state = {"state": fields["state"]} if "state" in fields else {}
    return redirect(fields["redirect_uri"], "query", {**answer, **state})


def _read(store: Store, segment: str, version: int, fields: dict[str, str]) -> Asked:
    tenant = tenant_of(store, segment, fields)
    client_id, uri = fields.get("client_id", ""), fields.get("redirect_uri", "")
    app = store.directory.apps.get(client_id.lower())
    if app is None:
        raise EntraError(700016, app=client_id, tenant=tenant.name)
    if platform_of(app, uri) is None:
        raise EntraError(50011, uri=uri, app=app.client_id)
    return Asked(app, tenant, version, fields)


def _page(store: Store, request: Request, asked: Asked) -> Response:
    entries = _permissions(store, asked)
    return page(
        "admin_consent.html",
        title="Permissions requested",
        app=asked.app,
        tenant=asked.tenant,
        permissions=[(store.directory.apps[api].name, name) for api, names in entries for name in names],
        action=request.path,
        fields={name: value for name, value in asked.fields.items() if name != "decision"},
    )


def _refused(asked: Asked) -> dict[str, str]:
    if asked.version == V1:
        return {"error": "permission_denied", "error_description": "The admin canceled the request"}
    words = str(EntraError(65004))
    return {"admin_consent": "True", "error": "consent_required", "error_description": words}


def _accepted(store: AppCredentials, asked: Asked) -> dict[str, str]:
    try:
        store.consent(asked.app, tenant=asked.tenant)
        for api_id, names in _permissions(store, asked):
            _grant(store, asked, api_id, names)
    except RegistrationError:
        # The app, or an API it needs, is for its own organisation only.
        raise EntraError(700016, app=asked.app.client_id, tenant=asked.tenant.name) from None
    granted = {"admin_consent": "True", "tenant": asked.tenant.id}
    return granted if asked.version == V1 else {**granted, "scope": asked.scope}


def _permissions(store: Store, asked: Asked) -> list[tuple[str, tuple[str, ...]]]:
    """The APIs and their permissions, by value."""
    registered = list(asked.app.required)
    scopes = read_scopes("" if asked.version == V1 else asked.scope)
    if not scopes.names:
        return registered
    api = known_resource(store, scopes.resource)
    if api is None:
        raise EntraError(500011, resource=scopes.resource, tenant=asked.tenant.name)
    if scopes.default:
        return [entry for entry in registered if entry[0] == api.client_id]
    return [(api.client_id, tuple(name for name in scopes.names if name != DEFAULT))]


def _grant(store: AppCredentials, asked: Asked, api_id: str, names: tuple[str, ...]) -> None:
    api = store.directory.apps[api_id]
    roles = [r.value for r in api.app_roles if r.value in names and "Application" in r.allowed_member_types]
    scopes = [s.value for s in api.scopes if s.value in names and s.enabled]
    if roles:
        store.grant(asked.app, api, *roles, tenant=asked.tenant)
    if scopes:
        store.grant_delegated(asked.app, api, *scopes, tenant=asked.tenant)
