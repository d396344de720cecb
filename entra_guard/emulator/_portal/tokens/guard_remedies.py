"""What to do about a refusal of the guard, with the names and ids of the case in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.durations import relative_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.emulator._store.entries import AppRegistration


class _Case:
    """The values that a remedy may name."""

    def __init__(self, facts: Mapping[str, Any], api: AppRegistration, names: Mapping[str, str]) -> None:
        client_id = str(facts.get("app_id", ""))
        self.client = names.get(client_id, client_id) or "the client"
        self.api = api
        self.tenant = names.get(api.tenant_id, api.tenant_id)
        self.facts = facts

    def fact(self, name: str) -> str:
        return str(self.facts.get(name) or "")


def _expired(case: _Case) -> str:
    ended = relative_words(-float(case.facts.get("expired_for_seconds") or 0))
    return f"Let {case.client} request a new token before the old one expires. This one expired {ended}."


def _not_yet(case: _Case) -> str:
    starts = relative_words(float(case.facts.get("early_by_seconds") or 0))
    return f"It is valid {starts}. Compare the clocks of the API and of Entra; see Test conditions."


def _no_keys(case: _Case) -> str:
    detail = case.fact("advice") or case.fact("detail") or "The keys could not be fetched."
    return f"{detail} If a fault is set, clear it under Test conditions."


_REMEDIES: Final[Mapping[str, Callable[[_Case], str]]] = {
    "expired": _expired,
    "not_yet_valid": _not_yet,
    "keys_unavailable": _no_keys,
    "wrong_audience": lambda case: f"Let {case.client} request the scope {case.api.default_scope}.",
    "token_for_graph": lambda case: (
        f"Let {case.client} request the scope {case.api.default_scope}, not one of Graph."
    ),
    "id_token": lambda case: (
        f"Let the client send the access_token that it gets for {case.api.default_scope}, not the id_token."
    ),
    "no_permissions": lambda case: (
        f"Give {case.client} an app role of {case.api.name} under API permissions, and grant admin consent. "
        f"For a signed-in user, request a scope of {case.api.app_id_uri}."
    ),
    "no_service_principal": lambda case: (
        f"Create the service principal of {case.client} in {case.tenant}: grant admin consent to it."
    ),
    "wrong_tenant": lambda case: (
        f"Request the token from {case.tenant}, or accept the tenant {case.fact('tenant_id')} in the guard's "
        "Tenants."
    ),
    "personal_account": lambda case: (
        f"Sign in with a work or school account of {case.tenant}. To accept personal accounts, use "
        "Tenants.everyone(...)."
    ),
    "wrong_issuer": lambda case: (
        f"Request the token from {case.tenant} at the base URL that the guard has: its issuer is "
        f"{case.fact('expected')}."
    ),
    "unknown_key": lambda case: (
        f"The key {case.fact('kid')} is not published. If it was rotated without publishing, go back to "
        "normal under Test conditions; else the token comes from another issuer."
    ),
}


def remedy_for(
    reason: str, fix: str, facts: Mapping[str, Any], api: AppRegistration, names: Mapping[str, str]
) -> str:
    """Return what to do about a refusal.

    Args:
        reason: The reason's name.
        fix: What to do in general.
        facts: The facts of the refusal.
        api: The API that refuses.
        names: Names of apps and tenants, by id.
    """
    own = _REMEDIES.get(reason)
    return own(_Case(facts, api, names)) if own else fix


def place_of(reason: str, facts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the address of the page where the cause is changed; '' if no page changes it."""
    client_id = str(facts.get("app_id", ""))
    if reason in {"no_permissions", "no_service_principal"} and client_id in names:
        return f"/portal/apps/{client_id}/permissions"
    return "/portal/conditions" if reason in {"unknown_key", "keys_unavailable"} else ""
