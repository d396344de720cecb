"""Collect objects for as long as they live, while other threads add more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Living(Generic[T]):
    """Objects that something else keeps alive. A WeakSet cannot be read while another thread adds to it."""

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[int, T] = WeakValueDictionary()

    def add(self, each: T) -> None:
        """Add an object, until it is garbage-collected."""
        self._by_id[id(each)] = each

    def __iter__(self) -> Iterator[T]:
        references = self._by_id.valuerefs()  # a list, made in one step
        return (each for reference in references if (each := reference()) is not None)
