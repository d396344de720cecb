"""Describe in words what a route requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.requirement import Requirement


def alternatives_text(alternatives: Iterable[Requirement]) -> str:
    """Return alternatives in words: 'scope Orders.Read, or role Orders.Read.All and applications only'."""
    return ", or ".join(map(requirement_text, alternatives))


def requirement_text(requirement: Requirement) -> str:
    """Return one requirement in words: 'roles A and B, users only'."""
    parts = [_names("scope", requirement.scopes), _names("role", requirement.roles)]
    parts += ["applications only"] if requirement.app_only else []
    parts += ["users only"] if requirement.users_only else []
    parts += [] if requirement.guests else ["no guests"]
    parts += ["no agents"] if requirement.agents is False else []
    parts += ["agents only"] if requirement.agents == "only" else []
    parts += [f"authentication context {requirement.auth_context}"] if requirement.auth_context else []
    parts += [f"a sign-in within {requirement.max_age:g} s"] if requirement.max_age is not None else []
    return " and ".join(filter(None, parts))


def _names(kind: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"{kind}{'s' if len(names) > 1 else ''} {' and '.join(names)}"
