"""The page "Sign-in failed": what was requested, what is registered, and what to change."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from entra_guard.emulator._directory.rules import RegistrationError, check_redirect_uri
from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.errors import correlation_id, note_error, timestamp
from entra_guard.emulator._oauth.remedies import REMEDIES, remedy_text

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._oauth.errors import EntraError
    from entra_guard.emulator._store.entries import AppRegistration
    from entra_guard.emulator._store.store import Store

_TITLES: Final = {
    50011: "Redirect URI not registered",
    700016: "App not found",
    90002: "Tenant not found",
    50194: "This app is for one tenant only",
    900971: "No redirect URI",
    900144: "A parameter is missing",
    500011: "API not found",
}
_REDIRECT_URI: Final = 50011
_UNUSABLE: Final = "Send a redirect URI that is registered. The requested one cannot be registered."
# The sections of an app's page in the portal, by the place of a remedy.
_PLACES: Final = {
    "overview": ("", "Overview"),
    "authentication": ("authentication", "Authentication"),
    "credentials": ("credentials", "Certificates & secrets"),
    "permissions": ("permissions", "API permissions"),
    "expose": ("expose", "Expose an API"),
    "assignments": ("assignments", "Assignments"),
}


def error_page(store: Store, request: Request, error: EntraError) -> Response:
    """Return the error as a page, for errors that must not be redirected to the client."""
    note_error(error)
    number = error.row.number
    correlation = correlation_id(store, request)
    app = store.directory.apps.get(error.facts.get("app", "").lower())
    redirect = _redirect_context(store, error, app)
    return page(
        "error.html",
        status=400,
        title=_TITLES.get(number, "Sign-in failed"),
        text=str(error),
        number=number,
        remedy=_UNUSABLE
        if redirect.get("broken_rule")
        else remedy_text(number, {**error.facts, **({"app": app.name} if app else {})}),
        details=f"{error}\nCorrelation ID: {correlation}\nTimestamp: {timestamp(store)}",
        place=_place(number, app),
        form_token=store.form_token,
        **redirect,
    )


def _place(number: int, app: AppRegistration | None) -> tuple[str, str] | None:
    """Return the link to the section of the portal where the error is repaired."""
    found = _PLACES.get(REMEDIES[number].place) if number in REMEDIES else None
    if found is None or app is None or not app.tenant_id:
        return None
    section, words = found
    path = f"/portal/apps/{quote(app.client_id, safe='')}{'/' if section else ''}{section}"
    return f"{path}?tenant={app.tenant_id}", f"{words} of {app.name}"


def _redirect_context(store: Store, error: EntraError, app: AppRegistration | None) -> dict[str, Any]:
    """Return the requested redirect URI beside the nearest registered one."""
    if error.row.number != _REDIRECT_URI or app is None:
        return {"asked": "", "nearest": "", "registered": 0, "add_to": None}
    asked = error.facts.get("uri", "")
    platforms = {
        **dict.fromkeys(app.public_redirect_uris, "public"),
        **dict.fromkeys(app.redirect_uris, "web"),
        **dict.fromkeys(app.spa_redirect_uris, "spa"),
    }
    nearest = next(iter(difflib.get_close_matches(asked, platforms, 1, 0.0)), "")
    platform = platforms.get(nearest, "web")
    return {
        "asked": asked,
        "nearest": nearest,
        "registered": len(platforms),
        "add_to": app if app.tenant_id else None,
        "platform": platform,
        "broken_rule": _broken_rule(asked, platform),
        "tenant": store.directory.tenants.get(app.tenant_id),
    }


def _broken_rule(uri: str, platform: str) -> str:
    try:
        check_redirect_uri(uri, platform)
    except RegistrationError as error:
        return str(error)
    return ""
