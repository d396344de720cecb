"""Authenticate clients at the token endpoint."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.messages import Request, parse_basic
from entra_guard.emulator._http.trail import note, note_client
from entra_guard.emulator._oauth.assertions import ASSERTION_TYPE, check_assertion, parse_assertion
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._store.ids import is_guid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.entries import AppRegistration, Tenant
    from entra_guard.emulator._store.store import Store
    from entra_guard.emulator._tokens.claims import ClientAuth

NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Client:
    """An authenticated client and how it authenticated."""

    app: AppRegistration
    auth: ClientAuth


def authenticate(store: Store, tenant: Tenant, request: Request, form: dict[str, str]) -> Client:
    """Authenticate a client by its secret (in the body or a Basic header) or its assertion.

    Raises:
        EntraError: The client is unknown or disabled, or its credential is missing or wrong.
    """
    if "client_assertion" in form:
        return _authenticate_by_assertion(store, tenant, form)
    basic = parse_basic(request.header("authorization") or "")
    client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
    app = identify(store, tenant, client_id)
    if not secret:
        raise EntraError(7000218)
    _check_secret(store, app, secret)
    note("credential", "client secret")
    return Client(app, "1")


def _authenticate_by_assertion(store: Store, tenant: Tenant, form: dict[str, str]) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise EntraError(900144, name="client_assertion_type")
    parsed = parse_assertion(form["client_assertion"])
    app = identify(store, tenant, form.get("client_id") or parsed.text("sub"))
    check_assertion(store, tenant, app, parsed)
    own = parsed.text("iss") == app.client_id
    note("credential", "certificate" if own else "federated token")
    return Client(app, "2")


def refuse_credentials(form: Mapping[str, str]) -> None:
    """Refuse credentials of a public client, which cannot keep them secret.

    Raises:
        EntraError: The form has a secret or an assertion.
    """
    if form.get("client_secret") or form.get("client_assertion"):
        raise EntraError(700025)


def identify(store: Store, tenant: Tenant, client_id: str) -> AppRegistration:
    """Return the registration of a client that is present in that tenant.

    Raises:
        EntraError: The client id is missing, malformed, unknown in this tenant, or disabled.
    """
    if not client_id:
        raise EntraError(900144, name="client_id")
    if client_id == NIL_GUID or not is_guid(client_id):
        raise EntraError(700038, app=client_id)
    app = store.directory.client(client_id.lower())
    principal = store.directory.principal_of(client_id.lower(), tenant.id)
    if app is not None and principal is None and app.tenant_id == tenant.id:
        raise EntraError(7000229, app=client_id, tenant=tenant.id)
    if app is None or principal is None:
        raise EntraError(700016, app=client_id, tenant=tenant.name)
    if not (app.enabled and principal.enabled):
        raise EntraError(7000112, app=client_id, name=app.name)
    note_client(app.client_id, app.name)
    return app


def _check_secret(store: Store, app: AppRegistration, secret: str) -> None:
    digest = hashlib.sha256(secret.encode()).digest()
    held = store.directory.credentials_of(app.client_id)
    if not held.secrets and app.public_client:
        raise EntraError(700025)
    match = next((s for s in held.secrets if hmac.compare_digest(s.sha256, digest)), None)
    if match is None:
        raise EntraError(7000215, app=app.client_id)
    if store.now() >= match.expires:
        raise EntraError(7000222, app=app.client_id)
