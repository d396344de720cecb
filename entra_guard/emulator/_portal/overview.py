"""The overview: what the emulator is, whether it works, and what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._portal.visit import PortalPage, get

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit


def overview(visit: Visit) -> Response:
    """Show the authority, the counts, and the tenants."""
    directory, tenant = visit.directory, visit.tenant
    counts = (
        ("app registration", sum(a.tenant_id == tenant.id for a in directory.apps.values()), "/portal/apps"),
        ("user", sum(1 for _ in directory.users_in(tenant.id)), "/portal/users"),
        ("group", sum(g.tenant_id == tenant.id for g in directory.groups.values()), "/portal/groups"),
    )
    return visit.render("overview.html", title="Overview", counts=counts)


PAGES: Final[tuple[PortalPage, ...]] = (get("/", overview), get("/portal", overview))
