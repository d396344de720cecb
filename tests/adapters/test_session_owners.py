"""Whose each MCP session is, when there are more than are kept."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from entra_guard._web.session_owners import SessionOwners

ALICE, BOB, EVE = CALLERS = tuple(("", "tenant", name, "client") for name in ("alice", "bob", "eve"))


def test_a_caller_with_too_many_sessions_loses_its_own() -> None:
    owners = SessionOwners(4)
    owners.add(b"of alice", ALICE)
    owners.add(b"of bob", BOB)
    for number in range(100):
        owners.add(b"%d" % number, EVE)
        assert owners.is_owner(b"0", EVE)  # which it uses all the time
    assert not owners.is_owner(b"98", EVE)
    assert owners.is_owner(b"of alice", ALICE)
    assert owners.is_owner(b"of bob", BOB)


@given(st.lists(st.sampled_from(CALLERS), max_size=60))
def test_no_caller_pushes_out_the_fair_share_of_another(openers: list[tuple[str, str, str, str]]) -> None:
    owners = SessionOwners(12)
    opened = defaultdict(list)
    for number, caller in enumerate(openers):
        owners.add(b"%d" % number, caller)
        opened[caller].append(b"%d" % number)
    kept = {
        caller: [session for session in opened[caller] if owners.is_owner(session, caller)]
        for caller in CALLERS
    }
    assert sum(map(len, kept.values())) == min(len(openers), 12)
    for caller in CALLERS:
        assert kept[caller] == opened[caller][-len(kept[caller]) or len(opened[caller]) :]
        assert len(kept[caller]) >= min(len(opened[caller]), 4)


@given(
    st.lists(st.tuples(st.sampled_from("auuur"), st.integers(0, 30), st.sampled_from(CALLERS)), max_size=200)
)
def test_the_caller_with_the_most_sessions_loses_its_oldest(
    steps: list[tuple[str, int, tuple[str, str, str, str]]],
) -> None:
    owners = SessionOwners(8)
    # Begins with what was not used for the longest time.
    expected: dict[bytes, tuple[str, str, str, str]] = {}
    for step, number, caller in steps:
        session = b"%d" % number
        if step == "r":
            owners.remove(session)
            expected.pop(session, None)
        elif step == "u":
            assert owners.is_owner(session, caller) == (expected.get(session) == caller)
            if expected.get(session) == caller:
                expected[session] = expected.pop(session)
        elif session not in expected:
            owners.add(session, caller)
            expected[session] = caller
            if len(expected) > 8:
                held = [*expected.values()]
                oldest = {each: next(one for one in expected if expected[one] == each) for each in set(held)}
                largest = [each for each in oldest if held.count(each) == max(map(held.count, held))]
                lost = [oldest[each] for each in largest if oldest[each] not in owners._owners]
                assert len(lost) == 1
                del expected[lost[0]]
        assert owners._owners == expected


def test_a_session_that_has_ended_is_no_one_s() -> None:
    owners = SessionOwners(1)
    owners.add(b"1", ALICE)
    owners.add(b"1", BOB)
    assert not owners.is_owner(b"1", BOB)
    owners.remove(b"1")
    owners.remove(b"1")
    assert not owners.is_owner(b"1", ALICE)
    owners.add(b"1", BOB)
    assert owners.is_owner(b"1", BOB)
