"""A token request, and what all grants ask of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._oauth.aadsts import EntraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.directory import AppRegistration, Tenant
    from entra_guard.emulator._store.store import Store


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request that named a grant and a tenant."""

    store: Store
    http: Request
    segment: str
    tenant: Tenant
    version: int
    form: dict[str, str]

    def needed(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            EntraError: It is not.
        """
        value = self.form.get(name, "")
        if not value:
            raise EntraError(900144, name=name)
        return value

    def resource(self, name: str) -> AppRegistration:
        """The API of that name in this tenant.

        Raises:
            EntraError: There is none.
        """
        api = self.store.directory.resource(name, self.tenant.id)
        if api is None:
            raise EntraError(500011, resource=name, tenant=self.tenant.name)
        return api

    def capabilities(self) -> tuple[str, ...]:
        """What the client says it can handle, such as `cp1`, in its `claims` parameter."""
        return client_capabilities(self.form.get("claims", ""))


def client_capabilities(claims: str) -> tuple[str, ...]:
    """The `xms_cc` values of a `claims` parameter; none if it cannot be read."""
    try:
        found: Any = json.loads(claims or "{}")
        for name in ("access_token", "xms_cc", "values"):
            found = found.get(name, {})
    except (ValueError, AttributeError, RecursionError):
        return ()
    return tuple(str(value) for value in found) if isinstance(found, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def tenant_of(store: Store, segment: str, form: Mapping[str, str]) -> Tenant:
    """The tenant of the URL; behind an alias, that of the client or of personal accounts.

    Raises:
        EntraError: There is no such tenant.
    """
    directory = store.directory
    known = directory.tenant("live.com" if segment == "consumers" else segment)
    if known is None and segment in {"common", "organizations"}:
        app = directory.apps.get(form.get("client_id", ""))
        known = directory.tenant(app.tenant_id if app else "") or next(iter(directory.tenants.values()))
    if known is None:
        raise EntraError(90002, tenant=segment)
    return known
