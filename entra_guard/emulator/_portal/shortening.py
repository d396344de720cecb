"""Shorten long values, so that a page stays small."""

from __future__ import annotations

from typing import Any, Final

_LONGEST: Final = 4000


def shortened(value: Any) -> Any:
    """Return a value for a page: a text of more than 4,000 characters without its rest."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}... ({len(value)} characters)"
    return value
