"""The bounded cache keeps what is used most recently, and nothing leaves while there is room."""

from __future__ import annotations

import random
import sys
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from entra_guard._common.lru import LRUCache
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from entra_guard import Guard


def entries(cache: LRUCache[int, int]) -> int:
    """Return the number of references that the cache holds, also those that are stored twice."""
    return len(cache.recent) + len(cache.previous) + len(cache._leaving)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 101])
def test_the_last_entry_is_found_and_the_size_is_never_exceeded(size: int) -> None:
    cache: LRUCache[int, int] = LRUCache(size)
    for number in range(5 * size):
        cache.put(number, number)
        assert cache.get(number) == number
        assert len(cache) <= entries(cache) <= size


def test_a_cache_of_size_zero_keeps_nothing() -> None:
    cache: LRUCache[int, int] = LRUCache(0)
    cache.put(1, 1)
    assert cache.get(1) is None


@pytest.mark.parametrize("size", [3, 10, 101])
def test_of_many_entries_the_one_that_is_used_in_between_stays(size: int) -> None:
    cache: LRUCache[int, int] = LRUCache(size)
    cache.put(-1, -1)
    for number in range(10 * size):
        cache.put(number, number)
        assert cache.get(-1) == -1


@pytest.mark.parametrize("size", [2, 3, 10, 1001])
def test_nothing_leaves_a_full_cache_that_is_read_in_any_order(size: int) -> None:
    cache: LRUCache[int, int] = LRUCache(size)
    order, shuffle = list(range(size)), random.Random(7).shuffle
    for number in order:
        cache.put(number, number)
    for _ in range(4):
        assert [cache.get(number) for number in order] == order
        shuffle(order)


def test_an_entry_that_was_not_used_for_the_longest_time_leaves_first() -> None:
    cache: LRUCache[int, int] = LRUCache(100)
    for number in range(100):
        cache.put(number, number)
    for number in range(50, 100):
        cache.get(number)
    for number in range(100, 150):
        cache.put(number, number)
    assert all(cache.get(number) is not None for number in range(50, 150))


def test_a_discarded_entry_is_gone_from_all_generations() -> None:
    cache: LRUCache[int, int] = LRUCache(4)
    for number in range(6):
        cache.put(number, number)
        cache.put(number, number)
    for number in range(6):
        cache.discard(number)
    assert (len(cache), entries(cache)) == (0, 0)


def test_threads_that_use_it_at_once_neither_fail_nor_exceed_the_size_by_more_than_their_number() -> None:
    cache: LRUCache[int, int] = LRUCache(50)
    failures: list[BaseException] = []
    largest = [0]

    def use(seed: int) -> None:
        choose = random.Random(seed).randrange
        try:
            for _ in range(20_000):
                number = choose(150)
                if cache.get(number) is None:
                    cache.put(number, number)
                largest[0] = max(largest[0], len(cache.recent))
        except BaseException as error:  # noqa: BLE001  # any error is a failure of this test
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert failures == []
    assert largest[0] <= 25 + 4
    assert len(cache) <= 50 + 4


# --- the guard's cache of verified tokens ---


def verifications(guard: Guard, tokens: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many of these tokens are verified again, and not found in the cache."""
    from entra_guard._guard import decide as module

    seen: list[object] = []

    def counted(*arguments: object) -> object:
        seen.append(arguments)
        return decide(*arguments)  # type: ignore[arg-type]

    decide = module.decide
    with monkeypatch.context() as patch:
        patch.setattr(module, "decide", counted)
        for token in tokens:
            guard.verify(token)
    return len(seen)


@pytest.fixture
def tokens() -> tuple[Entra, list[str]]:
    entra = Entra(seed=1)
    return entra, [entra.token(roles=[f"Role.{number}"]) for number in range(12)]


def test_a_full_cache_of_verified_tokens_read_in_order_verifies_none_again(
    tokens: tuple[Entra, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entra, each = tokens
    guard = entra.guard(cache_size=len(each))
    assert verifications(guard, each, monkeypatch) == len(each)
    assert verifications(guard, each + each, monkeypatch) == 0


def test_the_token_that_is_used_in_between_is_not_verified_again(
    tokens: tuple[Entra, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entra, (used, *others) = tokens
    guard = entra.guard(cache_size=6)
    guard.verify(used)
    interleaved = [token for other in others for token in (other, used)]
    assert verifications(guard, interleaved, monkeypatch) == len(others)


def test_emptying_in_slices_removes_a_bounded_number_at_a_time() -> None:
    cache: LRUCache[int, int] = LRUCache(5000)
    for number in range(5000):
        cache.put(number, number)
    left = [entries(cache), *(entries(cache) for _ in cache.empty_in_slices())]
    assert left[-1] == 0
    assert max(before - after for before, after in pairwise(left)) <= 500
