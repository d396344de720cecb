"""Sign-in on a device without a browser (RFC 8628): the device code endpoint and the user's page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.form_guard import is_own_form
from entra_guard.emulator._http.html import page
from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._http.trail import note_client
from entra_guard.emulator._oauth.authorize import selectable_users, sort_people
from entra_guard.emulator._oauth.consent_page import consent_page, requested_permissions
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.scopes import parse_scopes
from entra_guard.emulator._oauth.token_request import tenant_of
from entra_guard.emulator._oauth.user_consent import check_user_may_consent, consent_as, missing_consent
from entra_guard.emulator._store.sessions import DEVICE_LIFETIME, DeviceCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._store.entries import AppRegistration, User
    from entra_guard.emulator._store.store import Store

_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_POLL_SECONDS: Final = 5


def device_code_response(service: DirectoryService, request: Request, segment: str) -> Response:
    """Start a sign-in on a device without a browser.

    Raises:
        EntraError: The client is unknown, or no scope is named.
    """
    store, fields = service.store, request.form()
    tenant = tenant_of(store, segment, fields)
    app = store.directory.apps.get(fields.get("client_id", "").lower())
    if app is None:
        raise EntraError(700016, app=fields.get("client_id", ""), tenant=tenant.name)
    note_client(app.client_id, app.name)
    if not fields.get("scope"):
        raise EntraError(900144, name="scope")
    parse_scopes(fields["scope"])
    text, user_code, now = store.ids.text(120), store.ids.letters(9, _CONSONANTS), store.now()
    device = DeviceCode(app.client_id, segment, fields["scope"], user_code, now + DEVICE_LIFETIME)
    store.change(sessions=store.state.sessions.with_device_code(text, device, now=now))
    uri = f"{request.base}/devicelogin"
    return json_response(
        {
            "user_code": user_code,
            "device_code": text,
            "verification_uri": uri,
            "expires_in": int(DEVICE_LIFETIME),
            "interval": _POLL_SECONDS,
            "message": f"To sign in, use a web browser to open the page {uri} and enter the code {user_code} "
            "to authenticate.",
        }
    )


def device_page(service: DirectoryService, request: Request) -> Response:
    """Show the pages where a user enters the code of a device, picks an account and consents.

    Raises:
        EntraError: The user may not consent to the requested scopes.
    """
    store, fields = service.store, request.form() if request.method == "POST" else request.parameters()
    user_code, decision = fields.get("user_code", "").strip().upper(), fields.get("decision", "")
    found = store.state.sessions.find_device(user_code, now=store.now()) if user_code else None
    if found is None:
        return _device_template(store, "Enter code", code=user_code, wrong=bool(user_code))
    device = found[1]
    app = store.directory.apps[device.client_id]
    users = selectable_users(store, app, device.tenant_id)
    user = next((user for user in users if user.id == fields.get("user")), None)
    decided = request.method == "POST" and (user is not None or decision == "cancel")
    own = decided and is_own_form(request, fields, store.form_token)
    if own and decision == "cancel":
        decide_device(service, user_code, "")
        return _done(app, None)
    if own and user is not None:
        return _consent_or_approve(service, device, user, fields)
    people = sort_people(store, users)
    status = 403 if decided else 200
    return _device_template(
        store, "Pick an account", status, code=user_code, app=app, people=people, foreign=decided
    )


def _device_template(
    store: Store,
    title: str,
    status: int = 200,
    *,
    code: str,
    wrong: bool = False,
    app: AppRegistration | None = None,
    people: Sequence[User] = (),
    foreign: bool = False,
) -> Response:
    return page(
        "device.html",
        status=status,
        title=title,
        code=code,
        wrong=wrong,
        app=app,
        people=people,
        foreign=foreign,
        tenants=store.directory.tenants,
        form_token=store.form_token,
    )


def _consent_or_approve(
    service: DirectoryService, device: DeviceCode, user: User, fields: dict[str, str]
) -> Response:
    app, scopes = service.directory.apps[device.client_id], parse_scopes(device.scope)
    missing = missing_consent(service, app, user, scopes)
    if not missing or fields.get("decision") == "accept":
        decide_device(service, device.user_code, user.id)
        return _done(app, user)
    check_user_may_consent(service, app, user, scopes)
    permissions = requested_permissions(service.store, scopes, missing)
    return consent_page(service.store, app, permissions, action="/devicelogin", fields=fields, user=user)


def _done(app: AppRegistration, user: User | None) -> Response:
    text = "You have signed in on your device." if user else "Nothing was granted to the device."
    facts = [("App", app.name), *([("Account", user.mail or user.upn)] if user else [])]
    title = "You may close this window"
    return page("message.html", title=title, text=text, facts=facts, problem="", link=None)


def decide_device(service: DirectoryService, user_code: str, user_id: str) -> None:
    """Approve a device's sign-in as a user; an empty user id declines it.

    Raises:
        LookupError: No device has that user code.
        EntraError: The user may not consent to the requested scopes.
    """
    store = service.store
    found = store.state.sessions.find_device(user_code, now=store.now())
    if found is None:
        raise LookupError(f"No device has the user code {user_code!r}; it may have expired.")
    key, device = found
    if user_id:
        app = store.directory.apps[device.client_id]
        consent_as(service, app, store.directory.users[user_id], parse_scopes(device.scope))
    decided = replace(device, user_id=user_id, declined=not user_id)
    sessions = store.state.sessions.with_decision(key, decided)
    store.change(sessions=sessions.with_recent(user_id) if user_id else sessions)
