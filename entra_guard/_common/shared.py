"""Objects that copies of an application share, as they have locks, threads or a cache."""

from __future__ import annotations

from typing import Self


class Shared:
    """Returns itself when it is copied: frameworks deep-copy routers with the middleware in them."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        return self
