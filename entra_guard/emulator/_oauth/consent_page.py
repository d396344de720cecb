"""The page "Permissions requested": for users, administrators and devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.scopes import DEFAULT
from entra_guard.emulator._oauth.user_consent import known_resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._oauth.scopes import RequestedScopes
    from entra_guard.emulator._store.entries import AppRegistration, Tenant, User
    from entra_guard.emulator._store.store import Store

_OPENID: Final = {
    "openid": "Sign you in",
    "profile": "Read your name and your user name",
    "email": "Read your mail address",
    "offline_access": "Keep access after you leave (refresh tokens)",
}


@dataclass(frozen=True, slots=True)
class RequestedPermission:
    """One line of the page."""

    api: str
    words: str
    value: str


def requested_permissions(
    store: Store, scopes: RequestedScopes, names: Iterable[str]
) -> list[RequestedPermission]:
    """Return what signing in allows: these scopes of the API, and the scopes of OpenID Connect.

    Args:
        store: The state.
        scopes: The scope parameter.
        names: The API's scopes to show.
    """
    api = known_resource(store, scopes.resource)
    words = {scope.value: scope.display_name or scope.value for scope in (api.scopes if api else ())}
    shown = [
        RequestedPermission(api.name if api else scopes.resource, words.get(name, name), name)
        for name in names
        if name != DEFAULT
    ]
    return [*shown, *(RequestedPermission("", _OPENID[name], name) for name in scopes.reserved)]


def consent_page(
    store: Store,
    app: AppRegistration,
    permissions: list[RequestedPermission],
    *,
    action: str,
    fields: Mapping[str, str],
    user: User | None = None,
    everyone: Tenant | None = None,
) -> Response:
    """Show what an app requests, with Accept and Cancel.

    Args:
        store: The state.
        app: The app.
        permissions: What it requests.
        action: The address of the form.
        fields: The fields of the request, which the form repeats.
        user: Who signs in.
        everyone: The tenant, if an administrator consents for all its users.
    """
    return page(
        "consent.html",
        title="Permissions requested",
        app=app,
        user=user,
        everyone=everyone,
        permissions=permissions,
        action=action,
        fields=without_decision(fields),
        form_token=store.form_token,
    )


def without_decision(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a sign-in request without those that the pages add."""
    return {name: value for name, value in fields.items() if name not in {"decision", "form_token"}}
