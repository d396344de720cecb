"""One token decided: the first time, again, and refused; beside the bare RSA check and beside peers."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from hashlib import sha256
from itertools import cycle as cycled
from itertools import repeat
from typing import TYPE_CHECKING
from unittest.mock import patch

import jwt
import pybase64
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks._fixture import Fixture
from benchmarks._measure import pair, per_call, table
from entra_guard import AccessError, Guard, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard._validation.active_keys import ActiveKeys


def bare_rsa(fixture: Fixture, token: bytes) -> Callable[[], object]:
    """Return the lower bound of any first sight: cryptography's verify, on prepared bytes."""
    signing_input, _, signature = token.rpartition(b".")
    raw = pybase64.urlsafe_b64decode(signature + b"==")
    kid = jwt.get_unverified_header(token.decode())["kid"]
    key = active_keys(fixture.guard()).by_kid[kid].public_key
    padding, digest = PKCS1v15(), SHA256()
    return lambda: key.verify(raw, signing_input, padding, digest)


def active_keys(guard: Guard) -> ActiveKeys:
    keys = guard._key_manager.active_keys
    assert keys is not None, "this guard has no keys"
    return keys


def refused(guard: Guard, token: bytes) -> Callable[[], object]:
    return refused_each(guard, repeat(token))


def first_sight(fixture: Fixture) -> None:
    token = fixture.token().encode()
    rsa = bare_rsa(fixture, token)
    forgetful = fixture.guard(cache_size=0)
    cooling, unknown = fixture.guard(cache_size=0), fixture.token(preset="unknown-kid").encode()
    for _ in range(3):
        refused(cooling, unknown)()
    ever_new = forged_kids(fixture, 4000)
    subjects: list[tuple[str, Callable[[], object], str]] = [
        ("bare RSA check (cryptography)", rsa, ""),
        ("first sight, only the keys cached", lambda: forgetful.verify(token), "<= 1.40"),
        ("refusing garbage", refused(forgetful, b"x.y" * 400), "<= 0.20"),
        ("refusing three segments of garbage", refused(forgetful, b"eyJhbGci.abcd.efgh"), "<= 0.20"),
        (
            "refusing an expired token",
            refused(forgetful, fixture.token(preset="expired").encode()),
            "<= 0.20",
        ),
        ("refusing an unknown kid during cooldown", refused(cooling, unknown), "<= 0.20"),
        ("refusing ever new kids during cooldown", refused_each(cooling, ever_new), "<= 0.30"),
        (
            "refusing a forged signature",
            refused(forgetful, fixture.token(preset="forged").encode()),
            "first sight",
        ),
    ]
    rows = [(name, *shown(*pair(work, rsa, name=name)), bar) for name, work, bar in subjects]
    title = f"A token of {len(token)} bytes, beside the bare RSA check"
    table(title, ("", "µs", "ratio", "bar"), rows, name="validation")


def refused_each(guard: Guard, tokens: Iterator[bytes]) -> Callable[[], object]:
    def work() -> None:
        try:
            guard.verify(next(tokens))
        except AccessError:
            return
        raise AssertionError("this token had to be refused")

    return work


def forged_kids(fixture: Fixture, count: int) -> Iterator[bytes]:
    """Return the same forged token under ever new kids, again and again. All are made now, not when timed."""
    payload, signature = fixture.token().encode().split(b".")[1:]
    tokens: list[bytes] = []
    for number in range(count):
        header = json.dumps({"typ": "JWT", "alg": "RS256", "kid": f"{number:027d}"}, separators=(",", ":"))
        tokens.append(
            b".".join([pybase64.urlsafe_b64encode(header.encode()).rstrip(b"="), payload, signature])
        )
    return cycled(tokens)


def shown(microseconds: float, ratio: float) -> tuple[str, str]:
    return f"{microseconds:.2f}", f"{ratio:.2f}"


def second_sight(fixture: Fixture) -> None:
    """Measure the same token again, with many others cached."""
    token = fixture.token().encode()
    rows = []
    for live in (1, 1_000, 10_000, 100_000):
        guard, tokens = fixture.guard(cache_size=400_000), many_tokens(fixture, live)
        guard.verify(token)
        memory, pause = fill(guard, tokens)
        known = {sha256(each).digest(): None for each in tokens}
        ours, floor = cycle(tokens), cycle(tokens)

        def again(guard: Guard = guard, ours: Callable[[], bytes] = ours) -> object:
            return guard.verify(ours())

        def least(known: dict[bytes, None] = known, floor: Callable[[], bytes] = floor) -> object:
            known[sha256(floor()).digest()]
            return time.time()

        microseconds, ratio = pair(again, least, name=f"second sight, {live:,} tokens")
        each = f"{memory:.0f}" if live > 1 else "-"  # one entry weighs the empty tables
        rows.append((f"{live:,}", f"{microseconds:.2f}", f"{ratio:.2f}", each, f"{pause:.2f}"))
    head = (
        "live tokens",
        "µs",
        "ratio to sha256 + look-up + clock (<= 1.35, 1.45 at 100,000)",
        "bytes each (<= 800)",
        "full GC, added ms (<= 5)",
    )
    table("The same token again", head, rows, name="cached")


def cycle(tokens: list[bytes]) -> Callable[[], bytes]:
    """Return a function that returns the tokens in a scattered order, at the cost of one call."""
    step = 7919
    order = [tokens[(index * step) % len(tokens)] for index in range(len(tokens))]

    def endless() -> Iterator[bytes]:
        while True:
            yield from order

    return endless().__next__


def many_tokens(fixture: Fixture, count: int) -> list[bytes]:
    """Return tokens of as many callers: each with its own ids, all with one unverified signature."""
    header, payload, signature = fixture.token().encode().split(b".")
    claims = json.loads(pybase64.urlsafe_b64decode(payload + b"=="))
    tokens = []
    for number in range(count):
        oid = f"aaaaaaaa-0000-1111-2222-{number:012d}"
        claims |= {"oid": oid, "sub": oid, "uti": f"{number:022d}"}
        body = json.dumps(claims, separators=(",", ":")).encode()
        tokens.append(b".".join([header, pybase64.urlsafe_b64encode(body).rstrip(b"="), signature]))
    return tokens


def fill(guard: Guard, tokens: list[bytes]) -> tuple[float, float]:
    """Cache all tokens; return bytes for each, and the milliseconds they add to a full collection."""
    from entra_guard._validation import validate

    keys, now = active_keys(guard), time.time()
    before = full_collection()
    tracemalloc.start()
    with patch.object(validate, "is_signed_by", lambda *_: True):
        for token in tokens:
            principal = validate.decide(token, guard.policy, keys, now)
            assert isinstance(principal, Principal), "this token has to be accepted"
            keys.verified_tokens.put(sha256(token).digest(), principal.verified)
        used, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(tokens), max(0.0, full_collection() - before)


def full_collection() -> float:
    gc.collect()
    return min(per_call(gc.collect, 1) for _ in range(5)) / 1000


def main() -> None:
    fixture = Fixture()
    first_sight(fixture)
    second_sight(fixture)


if __name__ == "__main__":
    main()
