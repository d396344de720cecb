"""One app's overview: its essentials, the endpoints of its tenant, code that uses it, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._portal.app_frame import (
    ACCOUNT_WORDS,
    LIST,
    address_of,
    credential_words,
    find_app,
    kinds_of,
    render_app,
)
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.directory import AppRegistration


def endpoints_of(base: str, tenant_id: str) -> tuple[tuple[str, str], ...]:
    """Return the URLs of a tenant, as the Endpoints panel of Azure lists them."""
    tenant = f"{base}/{tenant_id}"
    return (
        ("OAuth 2.0 authorization endpoint (v2)", f"{tenant}/oauth2/v2.0/authorize"),
        ("OAuth 2.0 token endpoint (v2)", f"{tenant}/oauth2/v2.0/token"),
        ("OpenID Connect metadata document", f"{tenant}/v2.0/.well-known/openid-configuration"),
        ("Signing keys (v2)", f"{tenant}/discovery/v2.0/keys"),
        ("OAuth 2.0 authorization endpoint (v1)", f"{tenant}/oauth2/authorize"),
        ("OAuth 2.0 token endpoint (v1)", f"{tenant}/oauth2/token"),
        ("Device code", f"{tenant}/oauth2/v2.0/devicecode"),
        ("Admin consent", f"{tenant}/v2.0/adminconsent"),
        ("Sign out", f"{tenant}/oauth2/v2.0/logout"),
        ("Microsoft Graph API endpoint", f"{base}/v1.0"),
    )


def show_app(visit: Visit) -> Response:
    """Show the facts that one copies."""
    return _overview(visit, find_app(visit), [])


def _overview(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    directory, base = visit.directory, visit.request.base
    held = directory.credentials_of(app.client_id)
    is_api = bool(app.app_roles or app.scopes)
    return render_app(
        visit,
        app,
        "",
        "app_overview.html",
        errors=errors,
        kind=kinds_of(app, held),
        is_api=is_api,
        principal=directory.principal_of(app.client_id, visit.tenant.id),
        accounts=ACCOUNT_WORDS[app.accounts],
        credentials=credential_words(directory, app, visit.now()),
        redirects=len(app.redirect_uris) + len(app.spa_redirect_uris) + len(app.public_redirect_uris),
        endpoints=endpoints_of(base, app.tenant_id),
    )


def rename(visit: Visit) -> Response:
    """Change the display name."""
    app = find_app(visit)
    visit.service.registrations.update_app(app, name=visit.text("name"))
    return visit.redirect(address_of(app), notice="The name is changed.")


def delete_app(visit: Visit) -> Response:
    """Delete the app, if its name was typed."""
    app = find_app(visit)
    if visit.text("confirm") != app.name:
        return _overview(
            visit, app, [FieldError("delete", f"Type {app.name} to delete it. It was not deleted.")]
        )
    visit.service.registrations.remove_app(app)
    return visit.redirect(LIST, notice=f"{app.name} is deleted.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}", show_app),
    post(f"{LIST}/{{app}}/rename", rename),
    post(f"{LIST}/{{app}}/delete", delete_app),
)
