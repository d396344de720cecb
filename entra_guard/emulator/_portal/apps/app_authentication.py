"""One app's redirect URIs by platform, and whether it may use flows without a credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app, render_app
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

PLATFORMS: Final = (
    ("web", "Web", "redirect_uris"),
    ("spa", "Single-page application", "spa_redirect_uris"),
    ("public", "Mobile and desktop applications", "public_redirect_uris"),
)
_FIELDS: Final = {name: attribute for name, _, attribute in PLATFORMS}
_SECTION: Final = "authentication"


def show(visit: Visit) -> Response:
    """Show the redirect URIs."""
    return _page(visit, find_app(visit), [])


def _page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    return render_app(
        visit,
        app,
        _SECTION,
        "app_authentication.html",
        errors=errors,
        platforms=[(name, label, getattr(app, attribute)) for name, label, attribute in PLATFORMS],
    )


def add_uri(visit: Visit) -> Response:
    """Add a redirect URI to a platform."""
    app, uri, platform = find_app(visit), visit.text("uri"), visit.text("platform")
    attribute = _FIELDS.get(platform, "redirect_uris")
    if not uri:
        return _page(visit, app, [FieldError("uri", "Enter the redirect URI.")])
    try:
        visit.service.registrations.update_app(app, **{attribute: (*getattr(app, attribute), uri)})
    except RegistrationError as error:
        return _page(visit, app, [FieldError("uri", str(error))])
    return visit.redirect(address_of(app, _SECTION), notice=f"{uri} is registered.")


def remove_uri(visit: Visit) -> Response:
    """Remove a redirect URI."""
    app, uri = find_app(visit), visit.fields.get("uri", "")
    attribute = _FIELDS.get(visit.text("platform"), "redirect_uris")
    kept = tuple(known for known in getattr(app, attribute) if known != uri)
    visit.service.registrations.update_app(app, **{attribute: kept})
    return visit.redirect(address_of(app, _SECTION), notice=f"{uri} is removed.")


def set_public_client(visit: Visit) -> Response:
    """Allow or forbid flows without a credential."""
    app = find_app(visit)
    visit.service.registrations.update_app(app, public_client=visit.text("public_client") == "1")
    return visit.redirect(address_of(app, _SECTION), notice="Saved.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_SECTION}", show),
    post(f"{LIST}/{{app}}/{_SECTION}/add", add_uri),
    post(f"{LIST}/{{app}}/{_SECTION}/remove", remove_uri),
    post(f"{LIST}/{{app}}/{_SECTION}/public-client", set_public_client),
)
