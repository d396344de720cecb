"""The values for code about one API and one client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._portal.bases import certificate_file
from entra_guard.emulator._portal.code.snippets import CodeFacts

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration


def code_facts(visit: Visit, api: AppRegistration | None, client: AppRegistration | None) -> CodeFacts:
    """Return the values for code about an API and a client; either may be missing."""
    roles = [role.value for role in api.app_roles if role.enabled] if api else []
    scopes = [scope.value for scope in api.scopes if scope.enabled] if api else []
    # The shortest one is the page itself, not the page of a tool such as Swagger UI.
    page_uri = min(client.spa_redirect_uris if client else (), key=len, default="")
    https = certificate_file(visit.parts.server) is not None
    return CodeFacts(
        base=visit.request.base,
        https_base=visit.parts.server.https_url if https else "",
        ca_bundle=str(visit.parts.server.authority.combined) if https else "",
        tenant_id=visit.tenant.id,
        api_id=api.client_id if api else "",
        default_scope=api.default_scope if api else "",
        scope=f"{api.app_id_uri}/{scopes[0]}" if api and scopes else "",
        role=roles[0] if roles else "",
        client_id=client.client_id if client else "",
        page_uri=page_uri,
    )
