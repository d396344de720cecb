"""Verified tokens remembered by their digest.

Failures are never remembered, and a forged token's digest never displaces a good one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard._common.lru import Bounded

if TYPE_CHECKING:
    from entra_guard.principal import Identity  # noqa: F401  # the type of what is kept


class Verdicts(Bounded[bytes, "Identity"]):
    """A cache of verified identities.

    Args:
        size: How many are remembered at the most; 0 remembers none.
    """

    __slots__ = ()
