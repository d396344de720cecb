"""Read untyped JSON values as an object or a list: an empty one for any other value."""

from __future__ import annotations

from typing import Any, cast


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object; an empty one for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array; an empty one for any other value."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
