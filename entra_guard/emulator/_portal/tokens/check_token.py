"""The page Check a token: the verdict of the real guard, its checklist, and the claims with their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.bases import base_of_token
from entra_guard.emulator._portal.choices import apis, chosen_api, chosen_client
from entra_guard.emulator._portal.tokens.token_facts import claim_rows, decode_token, shape_of
from entra_guard.emulator._portal.visit import PortalPage, get, post
from entra_guard.emulator._portal.workbench import names_by_id

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

ADDRESS: Final = "/portal/check"
_TITLE: Final = "Check a token"
_SAMPLES: Final = {"good": None, "expired": "expired", "graph": "graph-token"}


def show_form(visit: Visit) -> Response:
    """Show the form, with an empty result."""
    return visit.render("check_token.html", title=_TITLE, result=None, token="", **_form(visit))


def check(visit: Visit) -> Response:
    """Check the pasted token, or a sample, with the guard of the chosen API."""
    api = chosen_api(visit)
    token = visit.text("token")
    if api is not None and visit.text("sample") in _SAMPLES:
        token = _sample(visit, api, visit.text("sample"))
    result = _result(visit, api, token) if api is not None else None
    return visit.render("check_token.html", title=_TITLE, result=result, token=token, **_form(visit))


def _form(visit: Visit) -> dict[str, Any]:
    return {
        "apis": [(app.client_id, app.name) for app in apis(visit)],
        "api": chosen_api(visit),
        "samples": (("good", "A good one"), ("expired", "An expired one"), ("graph", "One for Graph")),
    }


def _sample(visit: Visit, api: AppRegistration, kind: str) -> str:
    client = chosen_client(visit, api) or api
    roles = [role.value for role in api.app_roles[:1]] or ["Sample.Read"]
    preset = _SAMPLES[kind]
    return visit.parts.issuer.issue_token(
        client.client_id,
        audience=api,
        roles=roles,
        preset=preset,
        tenant=visit.tenant,
        base_url=visit.request.base,
    )


def _result(visit: Visit, api: AppRegistration, token: str) -> dict[str, Any]:
    decoded = decode_token(token)
    if decoded is None:
        return {"verdict": None, "shape": shape_of(token)}
    names = names_by_id(visit.directory)
    base = base_of_token(visit.parts.server, visit.request.base, token)
    return {
        "verdict": visit.parts.workbench.guards.check(base, api, token, names),
        "shape": "",
        "json": decoded.as_json(),
        "claims": list(claim_rows(decoded.claims, visit.now(), names)),
        "header": list(claim_rows(decoded.header, visit.now(), names)),
    }


PAGES: Final[tuple[PortalPage, ...]] = (get(ADDRESS, show_form), post(ADDRESS, check, locked=False))
