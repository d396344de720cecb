"""The page Get a token: request one as an app or a user, or make one with a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.choices import apis, chosen_api, chosen_client, chosen_user, own_apps, users
from entra_guard.emulator._portal.code.snippets import raw_form
from entra_guard.emulator._portal.tokens.conditions_of_tokens import MOST_USED, condition_groups
from entra_guard.emulator._portal.tokens.obtaining import PLACES, Wanted
from entra_guard.emulator._portal.tokens.permission_sources import permission_sources
from entra_guard.emulator._portal.tokens.token_code import request_tabs
from entra_guard.emulator._portal.tokens.token_facts import claim_rows, decode_token
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._portal.workbench import names_by_id
from entra_guard.emulator._store.entries import GRAPH
from entra_guard.emulator._tokens.presets import PRESETS

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.tokens.obtaining import Obtained
    from entra_guard.emulator._portal.tokens.permission_sources import PermissionSource
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration, User

ADDRESS: Final = "/portal/token"
_TITLE: Final = "Get a token"


def show_form(visit: Visit) -> Response:
    """Show the form, with an empty result."""
    return visit.render("get_token.html", title=_TITLE, result=None, **_form(visit))


def get_token(visit: Visit) -> Response:
    """Obtain a token, and show it with the verdict of the guard."""
    api, client = chosen_api(visit, graph=True), chosen_client(visit, None)
    if api is None or client is None:
        error = FieldError("client", "Register an app first: there is none in this tenant.")
        return visit.render("get_token.html", title=_TITLE, errors=[error], result=None, **_form(visit))
    condition = visit.text("condition")
    if condition and condition not in PRESETS:
        error = FieldError("condition", f"There is no condition {condition}.")
        return visit.render("get_token.html", title=_TITLE, errors=[error], result=None, **_form(visit))
    wanted = Wanted(
        visit.request.base,
        visit.tenant,
        client,
        api,
        chosen_user(visit),
        tuple(visit.all("permission")) if visit.text("permissions") == "these" else None,
        condition,
    )
    obtained = visit.parts.workbench.tokens.obtain(wanted)
    result = _result(visit, wanted, obtained)
    return visit.render("get_token.html", title=_TITLE, result=result, **_form(visit))


def _form(visit: Visit) -> dict[str, Any]:
    api = chosen_api(visit, graph=True)
    client, user = chosen_client(visit, api), chosen_user(visit)
    offered = _permissions(api, for_user=user is not None) if api else []
    return {
        "apis": [(app.client_id, app.name) for app in apis(visit, graph=True)],
        "clients": [(app.client_id, app.name) for app in own_apps(visit)],
        "users": [("", "The app itself"), *((u.id, u.display_name) for u in users(visit))],
        "api": api,
        "client": client,
        "user": user,
        "permissions": offered,
        "sources": _sources(visit, client, api, user),
        "chosen": set(visit.all("permission")),
        "which": visit.text("permissions") or "granted",
        "groups": condition_groups(),
        "condition": visit.text("condition"),
        "most_used": MOST_USED,
        "places": PLACES,
    }


def _sources(
    visit: Visit, client: AppRegistration | None, api: AppRegistration | None, user: User | None
) -> list[PermissionSource]:
    if client is None or api is None:
        return []
    found = permission_sources(visit.directory, visit.tenant.id, client, api, user)
    # Graph has hundreds of permissions: only those that the token has are of interest.
    return [source for source in found if source.granted or api.client_id != GRAPH]


def _permissions(api: Any, *, for_user: bool) -> list[str]:
    found = api.scopes if for_user else api.app_roles
    return [permission.value for permission in found if permission.enabled]


def _result(visit: Visit, wanted: Wanted, obtained: Obtained) -> dict[str, Any]:
    """Return what the right side of the page shows."""
    names = names_by_id(visit.directory)
    decoded = decode_token(obtained.token)
    now = visit.now()
    for_graph = wanted.api.client_id == GRAPH
    verdict = None
    if obtained.token and not for_graph:
        verdict = visit.parts.workbench.guards.check(wanted.base, wanted.api, obtained.token, names)
    return {
        "obtained": obtained,
        "wanted": wanted,
        "verdict": verdict,
        "for_graph": for_graph,
        "json": decoded.as_json() if decoded else "",
        "claims": list(claim_rows(decoded.claims, now, names)) if decoded else [],
        "header": list(claim_rows(decoded.header, now, names)) if decoded else [],
        "request": "" if wanted.is_made else raw_form(obtained.form),
        "tabs": request_tabs(wanted, obtained),
    }


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, show_form),
    post(ADDRESS, get_token, locked=False),
)
