"""A token request, and what all grants need of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.trail import note, note_api
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._store.directory import CONSUMERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.directory import AppRegistration, Tenant
    from entra_guard.emulator._store.store import Store

ALIASES: Final = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint.

    Attributes:
        http: The HTTP request.
        segment: The first path segment: a tenant or an alias, in lower case.
        tenant: The tenant it stands for.
        version: 1 or 2, the endpoint's version.
    """

    store: Store
    http: Request
    segment: str
    tenant: Tenant
    version: int
    form: dict[str, str]

    def required(self, name: str) -> str:
        """Return a parameter.

        Raises:
            EntraError: It is missing.
        """
        value = self.form.get(name, "")
        if not value:
            raise EntraError(900144, name=name)
        return value

    def resource(self, name: str) -> AppRegistration:
        """Return the API of that name in this tenant.

        Raises:
            EntraError: It does not exist.
        """
        api = self.store.directory.resource(name, self.tenant.id)
        if api is None:
            raise EntraError(500011, resource=name, tenant=self.tenant.name)
        note_api(api.name)
        return api

    def capabilities(self) -> tuple[str, ...]:
        """Return the client's capabilities, such as `cp1`, from its `claims` parameter."""
        return client_capabilities(self.form.get("claims", ""))


def client_capabilities(claims: str) -> tuple[str, ...]:
    """Return the `xms_cc` values of a `claims` parameter; an empty tuple if it is malformed."""
    try:
        found: Any = json.loads(claims or "{}")
        for name in ("access_token", "xms_cc", "values"):
            found = found.get(name, {})
    except (ValueError, AttributeError, RecursionError):
        return ()
    return tuple(str(value) for value in found) if isinstance(found, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def tenant_of(store: Store, segment: str, form: Mapping[str, str]) -> Tenant:
    """Return the tenant of a path segment; for an alias, the client's or that of personal accounts.

    Raises:
        EntraError: The tenant does not exist.
    """
    directory = store.directory
    known = directory.tenant(CONSUMERS if segment == "consumers" else segment)
    if known is None and segment in {"common", "organizations"}:
        app = directory.apps.get(form.get("client_id", "").lower())
        known = directory.tenant(app.tenant_id if app else "") or next(iter(directory.tenants.values()))
    if known is None:
        raise EntraError(90002, tenant=segment)
    note("tenant", known.name)
    return known
