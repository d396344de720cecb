"""A token request, and what all grants need of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.trail import note, note_api
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._store.entries import CONSUMERS
from entra_guard.emulator._tokens.claims import ClaimsRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.entries import AppRegistration, Tenant
    from entra_guard.emulator._store.store import Store

_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
ALIASES: Final = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint.

    Attributes:
        http: The HTTP request.
        segment: The first path segment: a tenant or an alias, in lower case.
        tenant: The tenant that it names.
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

    def claims_request(self) -> ClaimsRequest:
        """Return what the `claims` parameter requests of the access token, as a claims challenge does."""
        return read_claims_request(self.form.get("claims", ""))


def client_capabilities(claims: str) -> tuple[str, ...]:
    """Return the `xms_cc` values of a `claims` parameter; an empty tuple if it is malformed."""
    return _requested(claims, "xms_cc")


def read_claims_request(claims: str) -> ClaimsRequest:
    """Return the authentication contexts and the earliest `nbf` of a `claims` parameter.

    Example:
        >>> read_claims_request('{"access_token":{"acrs":{"essential":true,"value":"c1"}}}').auth_contexts
        ('c1',)
    """
    contexts = tuple(dict.fromkeys(_requested(claims, "acrs")))
    times = [int(value) for value in _requested(claims, "nbf") if _SECONDS.fullmatch(value)]
    return ClaimsRequest(contexts, max(times, default=0))


def _requested(claims: str, name: str) -> tuple[str, ...]:
    """Return the values that a `claims` parameter requests of one claim (OpenID Connect Core section 5.5)."""
    try:
        wanted: Any = json.loads(claims or "{}")["access_token"][name]
        values: Any = wanted.get("values", [wanted["value"]] if "value" in wanted else [])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(str(value) for value in values) if isinstance(values, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


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
