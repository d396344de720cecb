"""One app's overview: its essentials, the endpoints of its tenant, code that uses it, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._portal.apps.app_agents import agents_of
from entra_guard.emulator._portal.apps.app_frame import (
    ACCOUNT_WORDS,
    LIST,
    address_of,
    credential_words,
    find_app,
    kinds_of,
    render_app,
)
from entra_guard.emulator._portal.choices import chosen_api, chosen_client
from entra_guard.emulator._portal.code.code_facts import code_facts
from entra_guard.emulator._portal.code.snippets import client_tabs, environment, guard_tabs
from entra_guard.emulator._portal.help.connect import endpoints
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._portal.watch.activity import row_of

if TYPE_CHECKING:
    from entra_guard.emulator._activity.request_log import Exchange
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

_RECENT: Final = 5


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
        agents=list(agents_of(visit, app)),
        principal=directory.principal_of(app.client_id, visit.tenant.id),
        accounts=ACCOUNT_WORDS[app.accounts],
        credentials=credential_words(directory, app, visit.now()),
        redirects=len(app.redirect_uris) + len(app.spa_redirect_uris) + len(app.public_redirect_uris),
        endpoints=endpoints(base, app.tenant_id),
        samples=_samples(visit, app, is_api=is_api),
        records=[row_of(exchange) for exchange in _last_activity(visit, app)],
    )


def _samples(visit: Visit, app: AppRegistration, *, is_api: bool) -> list[tuple[str, str]]:
    """Return code that guards the API, or that requests tokens as the client."""
    if is_api:
        facts = code_facts(visit, app, chosen_client(visit, app))
        return [*guard_tabs(facts), ("Environment", environment(facts))]
    needed = next((visit.directory.apps.get(access.api_id) for access in app.required), None)
    facts = code_facts(visit, needed or chosen_api(visit), app)
    return [*client_tabs(facts), ("Environment", environment(facts))]


def _last_activity(visit: Visit, app: AppRegistration) -> list[Exchange]:
    """Return the newest requests of the app, or for it."""
    exchanges = visit.parts.log.exchanges
    own = [e for e in exchanges if e.client_id == app.client_id or (e.api and e.api == app.name)]
    return own[::-1][:_RECENT]


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
