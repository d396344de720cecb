"""App registrations: the list, and the form that registers one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.rules import RegistrationError, check_redirect_uri
from entra_guard.emulator._graph.applications import with_graph_names
from entra_guard.emulator._portal.apps.app_frame import (
    ACCOUNT_WORDS,
    LIST,
    address_of,
    credential_words,
    kinds_of,
)
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._store.entries import PERSONAL_ACCOUNTS

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit

_SAMPLE_PREFIX: Final = "7a5c0a91-0000-4000-8000-"  # the fixed ids of `add_samples`
# When to choose which, as Microsoft's guide to supported account types explains it.
ACCOUNT_CHOICES: Final = (
    (
        "AzureADMyOrg",
        "Single tenant. Choose it for an API of your own organization. This is the usual choice.",
    ),
    (
        "AzureADMultipleOrgs",
        "Multitenant. Choose it if other organizations use the app; their administrators consent first.",
    ),
    (
        "AzureADandPersonalMicrosoftAccount",
        "Choose it for organizations and consumers together. Such apps cannot have app roles.",
    ),
    (
        "PersonalMicrosoftAccount",
        "Choose it for consumers only. Accounts of organizations cannot sign in.",
    ),
)
PLATFORMS: Final = (
    ("", "None"),
    ("web", "Web"),
    ("spa", "Single-page application"),
    ("public", "Mobile and desktop"),
)
PRESETS: Final = (
    ("", "Nothing more", "As in Azure: add the rest on the app's pages."),
    (
        "api",
        "API",
        "Adds the Application ID URI, the scope access_as_user, the app role Data.Read.All, and v2.0 tokens.",
    ),
    ("daemon", "Daemon", "Adds a client secret, which is shown once."),
    (
        "spa",
        "Single-page app",
        "Adds the redirect URI http://localhost:8000/docs/oauth2-redirect if you name none.",
    ),
    ("blueprint", "Blueprint of AI agents", "Has the credentials of its agents, which its overview lists."),
)
_SWAGGER: Final = "http://localhost:8000/docs/oauth2-redirect"
_ROLE: Final = "Data.Read.All"
_SCOPE: Final = "access_as_user"
_PARAMETERS: Final = {"web": "redirect_uris", "spa": "spa_redirect_uris", "public": "public_redirect_uris"}


@dataclass(frozen=True, slots=True)
class AppRow:
    """One line of the list."""

    name: str
    client_id: str
    address: str
    kind: str
    credentials: str
    sample: bool


@dataclass(frozen=True, slots=True)
class NewApp:
    """The form's fields, checked one by one."""

    name: str
    accounts: str
    platform: str
    redirect_uri: str
    preset: str
    errors: list[FieldError] = field(default_factory=list[FieldError])


def list_apps(visit: Visit) -> Response:
    """Show the tenant's apps; with `q`, those that contain the text."""
    directory, now, wanted = visit.directory, visit.now(), visit.text("q").lower()
    own = [app for app in directory.apps.values() if app.tenant_id == visit.tenant.id]
    rows = [
        AppRow(
            app.name,
            app.client_id,
            address_of(app),
            kinds_of(app, directory.credentials_of(app.client_id)),
            credential_words(directory, app, now),
            app.client_id.startswith(_SAMPLE_PREFIX),
        )
        for app in sorted(own, key=lambda app: app.name.lower())
    ]
    shown = [row for row in rows if wanted in f"{row.name} {row.client_id} {row.kind}".lower()]
    microsoft = [a for a in directory.apps_in(visit.tenant.id) if not a.tenant_id]
    return visit.render(
        "app_list.html",
        title="App registrations",
        rows=shown,
        any_app=bool(rows),
        microsoft=microsoft,
        filter_label="Filter apps",
    )


def new_app(visit: Visit) -> Response:
    """Show the form."""
    return _form(visit, [])


def _form(visit: Visit, errors: list[FieldError]) -> Response:
    return visit.render(
        "app_new.html",
        title="Register an application",
        crumbs=[(LIST, "App registrations")],
        errors=errors,
        accounts=[(kind, ACCOUNT_WORDS[kind], when) for kind, when in ACCOUNT_CHOICES],
        platforms=PLATFORMS,
        presets=PRESETS,
    )


def register(visit: Visit) -> Response:
    """Register the app, as New registration in the portal of Azure does."""
    new = _read(visit)
    if new.errors:
        return _form(visit, new.errors)
    try:
        app = visit.service.registrations.register_app(new.name, tenant=visit.tenant, **_arguments(new))
        if new.preset == "api":
            uris = (f"api://{app.client_id}",)
            app = visit.service.registrations.update_app(app, identifier_uris=uris)
    except RegistrationError as error:
        return _form(visit, [FieldError("name", with_graph_names(error))])
    if new.preset == "daemon":
        secret = visit.service.credentials.add_secret(app, description="first secret")
        return visit.redirect(
            address_of(app, "credentials"), notice=f"{app.name} is registered.", once=secret
        )
    return visit.redirect(address_of(app), notice=f"{app.name} is registered.")


def _read(visit: Visit) -> NewApp:
    preset, platform, uri = visit.text("preset"), visit.text("platform"), visit.text("redirect_uri")
    if preset == "spa" and not uri:
        platform, uri = "spa", _SWAGGER
    new = NewApp(visit.text("name"), visit.text("accounts") or "AzureADMyOrg", platform, uri, preset)
    if not new.name:
        new.errors.append(FieldError("name", "Enter a name: people see it when they sign in."))
    if uri and not platform:
        new.errors.append(FieldError("platform", "Choose the platform of the redirect URI."))
    elif platform and not uri:
        new.errors.append(
            FieldError("redirect_uri", "Enter the redirect URI of this platform, or choose None.")
        )
    elif uri:
        try:
            check_redirect_uri(uri, platform)
        except RegistrationError as error:
            new.errors.append(FieldError("redirect_uri", str(error)))
    return new


def _arguments(new: NewApp) -> dict[str, Any]:
    personal = new.accounts in PERSONAL_ACCOUNTS
    api = new.preset == "api"
    uris = {_PARAMETERS[new.platform]: (new.redirect_uri,)} if new.platform in _PARAMETERS else {}
    return {
        "accounts": new.accounts,
        "identifier_uris": (),
        "token_version": 2 if personal or api else None,
        "scopes": (_SCOPE,) if api else (),
        "is_blueprint": new.preset == "blueprint",
        "app_roles": (_ROLE,) if api and not personal else (),
        **uris,
    }


PAGES: Final[tuple[PortalPage, ...]] = (
    get(LIST, list_apps),
    get(f"{LIST}/new", new_app),
    post(f"{LIST}/new", register),
)
