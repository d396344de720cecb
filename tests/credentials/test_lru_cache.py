"""What is used most recently is kept, up to a number."""

from __future__ import annotations

import pytest

from entra_guard._common.lru import LRUCache


@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_was_put_last_is_found(size: int) -> None:
    kept: LRUCache[int, int] = LRUCache(size)
    for number in range(10):
        kept.put(number, number)
        assert kept.get(number) == number
    assert len(kept) <= size + size % 2


def test_nothing_is_kept_where_nothing_is_to_be() -> None:
    kept: LRUCache[int, int] = LRUCache(0)
    kept.put(1, 1)
    assert kept.get(1) is None
