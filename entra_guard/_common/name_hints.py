"""Guess which of a caller's roles or scopes was meant, where the required one is missing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def name_hint(
    kind: str, missing: str, has: Sequence[str], others: Sequence[str], *, is_app: bool | None
) -> str:
    """Return in words what a caller has instead of a required name, '' if nothing is similar.

    Args:
        kind: 'role' or 'scope'.
        missing: The required name.
        has: What the token has of that kind.
        others: What it has of the other kind.
        is_app: Whether an application calls without a user; None if unknown.
    """
    other = "scope" if kind == "role" else "role"
    if missing in others:
        return f"the token has {missing!r} as a {other}, and a {kind} is required"
    wanted = _letters(missing)
    for name in has:
        if name.lower() == missing.lower():
            return f"the token has {name!r}: names differ by letter case"
        if _letters(name) == wanted:
            return f"the token has {name!r}, which is written differently"
    for name in has:
        if name.startswith(f"{missing}.") or missing.startswith(f"{name}."):
            return f"the token has {name!r}, which is another {kind}: neither includes the other"
    if kind == "scope" and is_app:
        return "the token is app-only: such tokens have roles, not scopes"
    return ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
