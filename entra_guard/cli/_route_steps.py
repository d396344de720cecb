"""Check what a route requires, part by part, also with the claims of a token that is refused before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.step_up import contexts_in
from entra_guard._validation.explain import Step
from entra_guard._validation.validate import unverified_principal
from entra_guard._web.requirement_text import requirement_text
from entra_guard.errors import AccessError
from entra_guard.requirement import Requirement, requirement_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard._guard.verifier import IssuerVerifier
    from entra_guard.principal import Principal

NAME: Final = "route"
_KINDS: Final = {True: "an application", False: "a user", None: "it does not say whether a user calls"}


def parts_of(requirement: Requirement) -> tuple[Requirement, ...]:
    """Return what a requirement demands, each alone, in the order in which it is checked."""
    kind = requirement_or_none(
        app_only=requirement.app_only,
        users_only=requirement.users_only,
        guests=requirement.guests,
        agents=requirement.agents,
    )
    sign_in = requirement_or_none(auth_context=requirement.auth_context, max_age=requirement.max_age)
    scopes = [Requirement(scopes=[name]) for name in requirement.scopes]
    roles = [Requirement(roles=[name]) for name in requirement.roles]
    return tuple(part for part in (kind, *scopes, *roles, sign_in) if part)


def route_steps(requirement: Requirement, principal: Principal | None) -> list[Step]:
    """Return a step for each part of what a route requires.

    Args:
        requirement: What the route requires.
        principal: The caller, verified or not; None if its claims cannot be read.
    """
    parts = parts_of(requirement)
    if principal is None:
        return [Step(NAME, "open") for _part in parts]
    return [_step(part, principal) for part in parts]


def _step(part: Requirement, principal: Principal) -> Step:
    refused, needed, found = part.refusal_of(principal), requirement_text(part), _found(part, principal)
    if refused is None:
        return Step(NAME, "pass", needed, found)
    return Step(NAME, "fail", needed, found, refused.reason)


def _found(part: Requirement, principal: Principal) -> object:
    if part.scopes:
        return principal.scopes
    if part.roles:
        return principal.roles
    if part.auth_context:
        return contexts_in(principal.claims, is_entra=principal.verified.is_entra)
    if part.max_age is not None:
        return f"auth_time {principal.claims.get('auth_time', 'absent')}"
    return "an agent" if principal.agent else _KINDS[principal.is_app]


def unverified(token: str, guards: Iterable[IssuerVerifier]) -> Principal | None:
    """Return the caller that a refused token names, None if it names none; for a report only."""
    for guard in guards:
        try:
            return unverified_principal(token.encode(), guard.authority.rules)
        except AccessError:
            continue
    return None
