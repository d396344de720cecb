"""One piece of work at a time per key, and any number of waiters in every world."""

from __future__ import annotations

import sys
import threading
import types

import anyio
import pytest
import trio

from entra_guard._common.single_flight import SingleFlight, wait, wait_async

WORLDS = ["asyncio", "trio"]


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = threading.Event()

    def __call__(self) -> int:
        self.runs += 1
        assert self.go.wait(10)
        return self.runs


@pytest.fixture
def work() -> SingleFlight[str, int]:
    return SingleFlight()


def test_starting_what_is_under_way_joins_it(work: SingleFlight[str, int]) -> None:
    held = Held()
    futures = [work.start("keys", held) for _ in range(5)]
    held.go.set()
    assert {wait(future, 10) for future in futures} == {1}
    assert not work.in_flight


def test_different_keys_are_different_work(work: SingleFlight[str, int]) -> None:
    held = Held()
    one, other = work.start("one", held), work.start("other", lambda: 42)
    assert wait(other, 10) == 42
    assert not one.done()
    held.go.set()
    assert wait(one, 10) == 1


def test_what_ended_is_started_anew(work: SingleFlight[str, int]) -> None:
    held = Held()
    held.go.set()
    assert [wait(work.start("keys", held), 10) for _ in range(3)] == [1, 2, 3]


def test_a_failure_reaches_every_waiter_and_is_not_kept(work: SingleFlight[str, int]) -> None:
    def fail() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        wait(work.start("keys", fail), 10)
    assert wait(work.start("keys", lambda: 1), 10) == 1


def test_work_that_is_abandoned_neither_ends_nor_hides_its_successor(work: SingleFlight[str, int]) -> None:
    stuck, fresh = Held(), Held()
    old = work.start("keys", stuck)
    work.abandon("keys")
    new = work.start("keys", fresh)
    stuck.go.set()
    assert wait(old, 10) == 1
    assert work.start("keys", fresh) is new
    fresh.go.set()
    assert wait(new, 10) == 1


def test_where_no_thread_can_be_started_the_work_fails_and_is_let_go(
    work: SingleFlight[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            wait(work.start("keys", lambda: 1), 10)
    assert wait(work.start("keys", lambda: 1), 10) == 1


@pytest.mark.parametrize("backend", WORLDS)
def test_tasks_wait_without_holding_their_loop(work: SingleFlight[str, int], backend: str) -> None:
    async def scene() -> list[int]:
        held, outcomes = Held(), []
        future = work.start("keys", held)

        async def waiter() -> None:
            outcomes.append(await wait_async(future, 10))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(waiter)
            await anyio.sleep(0.01)
            assert outcomes == []
            held.go.set()
        return outcomes

    assert anyio.run(scene, backend=backend) == [1] * 5


@pytest.mark.parametrize("backend", WORLDS)
def test_a_task_that_has_waited_long_enough_is_told_so_and_the_work_goes_on(
    work: SingleFlight[str, int], backend: str
) -> None:
    held = Held()
    future = work.start("keys", held)

    async def scene() -> None:
        with pytest.raises(TimeoutError):
            await wait_async(future, 0.01)

    anyio.run(scene, backend=backend)
    held.go.set()  # the loop that waited is gone by now
    assert wait(future, 10) == 1


@pytest.mark.parametrize("backend", WORLDS)
def test_what_is_done_already_is_not_waited_for(work: SingleFlight[str, int], backend: str) -> None:
    future = work.start("keys", lambda: 7)
    wait(future, 10)
    assert anyio.run(wait_async, future, 0, backend=backend) == 7


def test_a_trio_that_another_thread_is_just_loading_disturbs_no_asyncio_task(
    work: SingleFlight[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    half_loaded = types.ModuleType("trio")
    half_loaded.lowlevel = types.ModuleType("trio.lowlevel")  # type: ignore[attr-defined]

    async def scene() -> int:
        held = Held()
        future = work.start("keys", held)
        monkeypatch.setitem(sys.modules, "trio", half_loaded)
        try:
            threading.Timer(0.01, held.go.set).start()
            return await wait_async(future, 10)
        finally:
            monkeypatch.setitem(sys.modules, "trio", trio)

    assert anyio.run(scene) == 1
