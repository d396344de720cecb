"""What all pages of one app share: find the app, its sections, and facts about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.durations import DAY, duration_words
from entra_guard.emulator._portal.visit import NotFoundError, segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import FieldError, Visit
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import AppRegistration, ServicePrincipal, StoredCredentials

LIST: Final = "/portal/apps"
SECTIONS: Final = (
    ("", "Overview"),
    ("authentication", "Authentication"),
    ("credentials", "Certificates & secrets"),
    ("token-configuration", "Token configuration"),
    ("permissions", "API permissions"),
    ("expose", "Expose an API"),
    ("roles", "App roles"),
    ("assignments", "Assignments"),
    ("manifest", "Manifest"),
)
ACCOUNT_WORDS: Final = {
    "AzureADMyOrg": "Accounts in this organizational directory only",
    "AzureADMultipleOrgs": "Accounts in any organizational directory",
    "AzureADandPersonalMicrosoftAccount": (
        "Accounts in any organizational directory, and personal Microsoft accounts"
    ),
    "PersonalMicrosoftAccount": "Personal Microsoft accounts only",
}


def find_app(visit: Visit) -> AppRegistration:
    """Return the app in the address, by client id or object id.

    Raises:
        NotFoundError: The tenant has no such app.
    """
    wanted, tenant = visit.path["app"].lower(), visit.tenant
    apps = visit.directory.apps.values()
    app = next((a for a in apps if wanted in {a.client_id, a.object_id}), None)
    if app is not None and app.tenant_id == tenant.id:
        return app
    missing = f"No app has this id in {tenant.name}."
    if app is not None and not app.tenant_id:
        raise NotFoundError(f"{app.name} is Microsoft's own: it has no page.", LIST, "App registrations")
    home = visit.directory.tenants.get(app.tenant_id) if app is not None else None
    if app is None or home is None:
        raise NotFoundError(missing, LIST, "App registrations")
    address = f"{address_of(app)}?tenant={home.id}"
    raise NotFoundError(f"{missing} It is registered in {home.name}.", address, f"{app.name} in {home.name}")


def address_of(app: AppRegistration, section: str = "") -> str:
    """Return the address of an app's page."""
    base = f"{LIST}/{segment(app.client_id)}"
    return f"{base}/{section}" if section else base


def principal_here(visit: Visit, app: AppRegistration) -> ServicePrincipal:
    """Return the app's service principal in the tenant that the portal shows; create a missing one."""
    return visit.service.consents.consent(app, tenant=visit.tenant)


def render_app(
    visit: Visit,
    app: AppRegistration,
    section: str,
    template: str,
    *,
    errors: Sequence[FieldError] = (),
    **context: Any,
) -> Response:
    """Render one section of an app."""
    label = dict(SECTIONS)[section]
    above = [(LIST, "App registrations"), (address_of(app), app.name)]
    return visit.render(
        template,
        title=label if section else app.name,
        crumbs=above if section else above[:1],
        errors=errors,
        app=app,
        section=section,
        section_name=label,
        sections=[(name, words, address_of(app, name)) for name, words in SECTIONS],
        address=address_of(app),
        **context,
    )


def kinds_of(app: AppRegistration, held: StoredCredentials) -> str:
    """Return what kind of app this is, by what it has: an API, a web app, a daemon, ..."""
    redirects = app.redirect_uris or app.spa_redirect_uris or app.public_redirect_uris
    found = [
        ("blueprint of agents", app.is_blueprint),
        ("API", bool(app.app_roles or app.scopes)),
        ("single-page app", bool(app.spa_redirect_uris)),
        ("web app", bool(app.redirect_uris)),
        ("desktop or mobile app", bool(app.public_redirect_uris or app.public_client)),
        ("daemon", bool(held.secrets or held.certificates or held.federated) and not redirects),
    ]
    words = ", ".join(word for word, present in found if present)
    return words[:1].upper() + words[1:]


def credential_words(directory: Directory, app: AppRegistration, now: float) -> str:
    """Return the number of credentials and when the first ends: `1 secret, ends in 23 months`."""
    held = directory.credentials_of(app.client_id)
    parts = [
        _counted("secret", held.secrets, now),
        _counted("certificate", held.certificates, now),
        _counted("federated credential", held.federated, now),
    ]
    return "; ".join(part for part in parts if part)


def _counted(word: str, entries: Sequence[Any], now: float) -> str:
    if not entries:
        return ""
    text = f"{len(entries)} {word}{'s' if len(entries) > 1 else ''}"
    ends = [entry.expires for entry in entries if hasattr(entry, "expires")]
    return f"{text}, {ends_words(min(ends), now)}" if ends else text


def ends_words(expires: float, now: float) -> str:
    """Return when something ends or ended: `ends in 23 months`, `ended 3 days ago`."""
    left = expires - now
    return f"ends in {long_duration(left)}" if left > 0 else f"ended {long_duration(-left)} ago"


def long_duration(seconds: float) -> str:
    """Return a duration, in months from two months on."""
    months = round(seconds / (30.4 * DAY))
    return f"{months} months" if months > 1 else duration_words(seconds)
