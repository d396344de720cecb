"""The overview: what the emulator is, whether it works, and what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.samples import API
from entra_guard.emulator._portal.choices import SAMPLES, own_apps
from entra_guard.emulator._portal.visit import PortalPage, get
from entra_guard.emulator._portal.watch.activity import row_of

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit

_TOKEN_FLOWS: Final = frozenset(
    {"client_credentials", "authorization_code", "device_code", "on_behalf_of", "managed_identity"}
)
_RECENT: Final = 5


def overview(visit: Visit) -> Response:
    """Show the authority, the first steps, the counts, the last activity, and the tenants."""
    directory, tenant = visit.directory, visit.tenant
    counts = (
        ("app registration", sum(a.tenant_id == tenant.id for a in directory.apps.values()), "/portal/apps"),
        ("user", sum(1 for _ in directory.users_in(tenant.id)), "/portal/users"),
        ("group", sum(g.tenant_id == tenant.id for g in directory.groups.values()), "/portal/groups"),
    )
    recent = visit.parts.log.exchanges[-_RECENT:][::-1]
    return visit.render(
        "overview.html",
        title="Overview",
        counts=counts,
        steps=first_steps(visit),
        records=[row_of(exchange) for exchange in recent],
    )


def first_steps(visit: Visit) -> list[dict[str, Any]]:
    """Return the three steps, and which of them are done."""
    exchanges = visit.parts.log.exchanges
    has_api = any(app.client_id not in SAMPLES for app in own_apps(visit))
    has_token = any(e.flow in _TOKEN_FLOWS and e.outcome == "ok" for e in exchanges)
    steps: list[dict[str, Any]] = [
        {
            "title": "Register an API",
            "text": "Name it, and give it a role or a scope. The Tasks API is there to try."
            if any(app.client_id == API for app in own_apps(visit))
            else "Name it, and give it a role or a scope.",
            "label": "Register an application",
            "address": "/portal/apps/new",
            "done": has_api,
        },
        {
            "title": "Get a token",
            "text": "As an app, or as a user who signs in.",
            "label": "Get a token",
            "address": "/portal/token",
            "done": has_token,
        },
        {
            "title": "Call it",
            "text": "Send the token to the sample API, behind the real guard.",
            "label": "Call the sample API",
            "address": "/portal/conditions#sample",
            "done": visit.parts.workbench.succeeded,
        },
    ]
    following = next((step for step in steps if not step["done"]), None)
    return [{**step, "next": step is following} for step in steps]


PAGES: Final[tuple[PortalPage, ...]] = (
    get("/", overview),
    get("/portal", overview),
    get("/portal/", overview),
)
