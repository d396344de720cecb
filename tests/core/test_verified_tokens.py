"""The cache of verified tokens is bounded in bytes: large tokens cannot take more than their share."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tracemalloc
import warnings
from hashlib import sha256
from typing import Any

import pytest

from entra_guard import AccessError
from entra_guard._keys.verified_tokens import (
    LARGE_BYTES_PER_TOKEN,
    ORDINARY_BYTES,
    VerifiedTokens,
    weight_of,
)
from entra_guard._validation import validate
from entra_guard.principal import Identity
from entra_guard.testing import Entra

SIZE = 1_000


def identity(number: int, roles: int = 0, letter: str = "r") -> Identity:
    """Return a caller with as many roles that no other caller has."""
    oid = f"aaaaaaaa-0000-1111-2222-{number:012d}"
    names = tuple(f"{letter}ole.{number}.{index}" for index in range(roles))
    payload, now = slice(100, -343), 1.5 * number
    return Identity(
        oid[::-1], "t", oid, oid, names, (), "2.0", True, False, now, now + 60, f"u{number}", payload
    )


def digest(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


def bytes_taken(cache: VerifiedTokens, count: int, roles: int, letter: str = "r") -> int:
    tracemalloc.start()
    try:
        for number in range(count):
            cache.put(digest(number), identity(number, roles, letter))
        gc.collect()  # it also frees what Python keeps for new tuples
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("roles", "letter"), [(0, "r"), (9, "r"), (20, "r"), (500, "r"), (500, "\U0001f600")]
)
def test_no_number_of_roles_takes_more_than_the_bound(roles: int, letter: str) -> None:
    cache = VerifiedTokens(SIZE)
    count = 60 if roles > 100 else SIZE + 500
    taken = bytes_taken(cache, count, roles, letter)
    is_large = weight_of(identity(0, roles, letter)) > ORDINARY_BYTES
    assert taken <= SIZE * (LARGE_BYTES_PER_TOKEN if is_large else ORDINARY_BYTES)
    assert 1 <= len(cache) < count
    assert is_large or len(cache) == SIZE


@pytest.mark.parametrize("roles", [0, 1, 18, 500])
@pytest.mark.parametrize("letter", ["r", "\u00e9", "\u263a", "\U0001f600"])
def test_the_weight_is_not_less_than_what_python_counts(roles: int, letter: str) -> None:
    caller = identity(1, roles, letter)
    values = [caller.app_id, caller.object_id, caller.token_id, caller.expires_at, caller.valid_until]
    place = 104  # in a table that is a third full, the worst case
    counted = [caller, digest(1), caller.roles, *caller.roles, *values]
    assert weight_of(caller) >= place + sum(map(sys.getsizeof, counted))


def test_a_large_token_is_found_until_newer_large_ones_need_its_place() -> None:
    cache = VerifiedTokens(SIZE)
    cache.put(digest(0), identity(0, roles=500))
    assert cache.has_more
    assert digest(0) not in cache.recent
    assert cache.get(digest(0)) == identity(0, roles=500)
    for number in range(1, 60):
        cache.put(digest(number), identity(number, roles=500))
    assert cache.get(digest(0)) is None
    assert cache.get(digest(59)) is not None
    cache.discard(digest(59))
    assert cache.get(digest(59)) is None


def test_a_token_that_is_larger_than_the_whole_share_is_not_kept() -> None:
    cache = VerifiedTokens(10)
    cache.put(digest(0), identity(0, roles=500))
    assert len(cache) == 0
    assert cache.get(digest(0)) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_can_cache_large_tokens_whatever_a_thread_of_its_parent_did() -> None:
    cache = VerifiedTokens(SIZE)
    cache.put(digest(0), identity(0, roles=50))
    with cache._lock, warnings.catch_warnings():  # as another thread holds it
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork while threads run, which is the point
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # ends a process that waits forever
            cache.put(digest(1), identity(1, roles=50))
            os._exit(0 if cache.get(digest(1)) and not cache.get(digest(0)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get(digest(0))


def test_all_tokens_leave_when_a_cache_is_emptied() -> None:
    cache = VerifiedTokens(SIZE)
    for number in range(20):
        cache.put(digest(number), identity(number, roles=50 * (number % 2)))
    assert len(cache) == 20
    for _ in cache.empty_in_slices():
        pass
    assert len(cache) == 0


def test_a_token_with_many_roles_of_its_own_is_verified_once_and_not_kept_elsewhere() -> None:
    entra = Entra()
    guard = entra.guard()
    token = entra.token(roles=[f"Role.{number}" for number in range(200)])
    roles = guard.verify(token).roles
    keys = guard._key_manager.active_keys
    assert keys is not None
    assert guard.verify(token).roles is roles
    assert len(keys.verified_tokens) == 1
    for names in (roles, roles[:2]):
        is_shared = validate._names(names[:1] + names[1:]) is validate._names(names[:1] + names[1:])
        assert is_shared is (len(names) < 64)


def test_a_cached_token_is_refused_once_it_has_expired(verify: Any) -> None:
    with Entra(app_roles=["Orders.Read"]) as entra:
        entra.freeze()
        guard, token = entra.guard(leeway=30), entra.token()
        remaining = verify(guard, token).expires_at - entra.now()
        assert verify(guard, token).is_app
        entra.advance(remaining + 29)
        assert verify(guard, token).is_app, "within the leeway"
        entra.advance(1)
        with pytest.raises(AccessError) as caught:
            verify(guard, token)
        assert caught.value.reason == "expired"
