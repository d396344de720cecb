"""Managed identities: what code on Azure uses in place of a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from entra_guard.emulator._directory.managed_identities import IMDS_PATH
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._portal.choices import chosen_api
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._store.entries import GRAPH

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit

ADDRESS: Final = "/portal/identities"
KINDS: Final = (
    ("user", "User-assigned", "Requests name it by client id. Several machines can share it."),
    ("system", "System-assigned", "Belongs to one machine, and serves requests that name no identity."),
)


def show(visit: Visit) -> Response:
    """Show the tenant's managed identities, and how code finds them."""
    return _page(visit, [])


def _page(visit: Visit, errors: list[FieldError]) -> Response:
    directory = visit.directory
    found = [i for i in directory.identities.values() if i.tenant_id == visit.tenant.id]
    environment = visit.service.identities.managed_identity_environment()
    api = chosen_api(visit, graph=True)
    resource = quote(api.app_id_uri if api else GRAPH, safe="")
    url = f"{visit.request.base}{IMDS_PATH}?api-version=2018-02-01&resource={resource}"
    return visit.render(
        "identities.html",
        title="Managed identities",
        errors=errors,
        identities=found,
        roles={identity.id: directory.held_by(identity.id) for identity in found},
        environment="\n".join(f"{name}={value}" for name, value in environment.items()),
        curl=f"curl -H 'Metadata: true' '{url}'",
        kinds=KINDS,
        filter_label="Filter identities",
    )


def add(visit: Visit) -> Response:
    """Add a managed identity."""
    name, system = visit.text("name"), visit.text("kind") == "system"
    if not name:
        return _page(visit, [FieldError("name", "Enter a name.")])
    try:
        visit.service.identities.add_managed_identity(name, system_assigned=system, tenant=visit.tenant)
    except RegistrationError as error:
        return _page(visit, [FieldError("name", str(error))])
    return visit.redirect(
        ADDRESS, notice=f"{name} is added. Give it roles on an API's page, under Assignments."
    )


def remove(visit: Visit) -> Response:
    """Delete a managed identity with its role assignments."""
    identity = visit.directory.identities.get(visit.text("id"))
    if identity is not None and identity.tenant_id == visit.tenant.id:
        visit.service.registrations.remove_principal(identity.id)
        visit.service.store.remove(identities=identity.id)
    return visit.redirect(ADDRESS, notice="The identity is deleted.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, show),
    post(f"{ADDRESS}/add", add),
    post(f"{ADDRESS}/remove", remove),
)
