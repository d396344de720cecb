"""Sign-in on a device without a browser: where it begins, and where somebody approves it (RFC 8628)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.html import page
from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.authorize import accounts
from entra_guard.emulator._oauth.scopes import read_scopes
from entra_guard.emulator._oauth.token_request import tenant_of
from entra_guard.emulator._oauth.user_consent import consent_as
from entra_guard.emulator._store.sessions import DEVICE_LIFETIME, Device

if TYPE_CHECKING:
    from entra_guard.emulator._directory.app_credentials import AppCredentials

_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXZ"


def begin_device(store: AppCredentials, request: Request, segment: str) -> Response:
    """Begin a sign-in on a device without a browser (RFC 8628).

    Raises:
        EntraError: The client is unknown, or no scope is named.
    """
    fields = request.form()
    tenant = tenant_of(store, segment, fields)
    app = store.directory.apps.get(fields.get("client_id", "").lower())
    if app is None:
        raise EntraError(700016, app=fields.get("client_id", ""), tenant=tenant.name)
    if not fields.get("scope"):
        raise EntraError(900144, name="scope")
    read_scopes(fields["scope"])
    text, user_code = store.ids.text(120), store.ids.letters(9, _CONSONANTS)
    device = Device(app.client_id, segment, fields["scope"], user_code, store.now() + DEVICE_LIFETIME)
    store.change(sessions=store.state.sessions.with_device(text, device))
    uri = f"{request.base}/devicelogin"
    return json_response(
        {
            "user_code": user_code,
            "device_code": text,
            "verification_uri": uri,
            "expires_in": int(DEVICE_LIFETIME),
            "interval": 5,
            "message": f"To sign in, use a web browser to open the page {uri} and enter the code {user_code} "
            "to authenticate.",
        }
    )


def device_page(store: AppCredentials, request: Request) -> Response:
    """Where somebody enters the code their device shows, and picks an account."""
    fields = request.form() if request.method == "POST" else request.parameters()
    code, decision = fields.get("user_code", ""), fields.get("decision", "")
    found = store.state.sessions.device_of(code) if code else None
    if found is None:
        return page(
            "device.html", title="Enter code", people=[], app=None, code="", wrong=bool(code), tenants={}
        )
    device = found[1]
    app = store.directory.apps[device.client_id]
    people = accounts(store, app, device.tenant_id)
    user = next((u.id for u in people if u.id == fields.get("user")), "")
    if request.method == "POST" and (user or decision == "cancel"):
        decide_device(store, code, user)
        text = "You have signed in on your device." if user else "Nothing was granted to the device."
        return page("message.html", title="You may close this window", text=text)
    tenants = store.directory.tenants
    return page(
        "device.html",
        title="Pick an account",
        people=people,
        app=app,
        code=code,
        wrong=False,
        tenants=tenants,
    )


def decide_device(store: AppCredentials, user_code: str, user_id: str) -> None:
    """Approve a device's sign-in as a user, or decline it as nobody.

    Raises:
        LookupError: No device shows that code.
        EntraError: The user may not consent to what it asks for.
    """
    sessions = store.state.sessions
    found = sessions.device_of(user_code)
    if found is None:
        raise LookupError("No device shows that code.")
    key, device = found
    if user_id:
        app = store.directory.apps[device.client_id]
        consent_as(store, app, store.directory.users[user_id], read_scopes(device.scope))
    spec = replace(device, user_id=user_id, declined=not user_id)
    store.change(sessions=replace(sessions, devices={**sessions.devices, key: spec}))
