"""Arguments that are one name or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


def as_names(values: Iterable[T]) -> tuple[T, ...]:
    """Return several values as a tuple. A string is one value, not its letters.

    Example:
        >>> as_names("Orders.Read"), as_names(["Orders.Read", "Orders.Write"])
        (('Orders.Read',), ('Orders.Read', 'Orders.Write'))
    """
    return (values,) if isinstance(values, str) else tuple(values)  # type: ignore[return-value]
