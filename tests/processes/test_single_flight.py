"""One piece of work at a time per key, for any number of waiting threads and tasks."""

from __future__ import annotations

import sys
import threading
import types
from typing import TYPE_CHECKING

import anyio
import pytest
import trio

from entra_guard._common.single_flight import NoThreadError, SingleFlight, wait, wait_async
from entra_guard._common.worker_pool import WorkerPool

if TYPE_CHECKING:
    from concurrent.futures import Future

WORLDS = ["asyncio", "trio"]


class Held:
    """Work that runs until it is released."""

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


def test_starting_a_key_in_flight_joins_the_work(work: SingleFlight[str, int]) -> None:
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


def test_work_that_ended_is_started_again(work: SingleFlight[str, int]) -> None:
    held = Held()
    held.go.set()
    assert [wait(work.start("keys", held), 10) for _ in range(3)] == [1, 2, 3]


def test_failure_reaches_every_waiter_and_is_not_kept(work: SingleFlight[str, int]) -> None:
    def fail() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        wait(work.start("keys", fail), 10)
    assert wait(work.start("keys", lambda: 1), 10) == 1


def test_abandoned_work_neither_ends_nor_hides_its_successor(work: SingleFlight[str, int]) -> None:
    stuck, fresh = Held(), Held()
    old = work.start("keys", stuck)
    work.abandon("keys")
    new = work.start("keys", fresh)
    stuck.go.set()
    assert wait(old, 10) == 1
    assert work.start("keys", fresh) is new
    fresh.go.set()
    assert wait(new, 10) == 1


def test_work_fails_and_is_forgotten_where_no_thread_can_be_started(
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
def test_tasks_wait_without_blocking_their_loop(work: SingleFlight[str, int], backend: str) -> None:
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
def test_task_gets_a_timeout_and_the_work_goes_on(work: SingleFlight[str, int], backend: str) -> None:
    held = Held()
    future = work.start("keys", held)

    async def scene() -> None:
        with pytest.raises(TimeoutError):
            await wait_async(future, 0.01)

    anyio.run(scene, backend=backend)
    held.go.set()  # the loop that waited is gone by now
    assert wait(future, 10) == 1


@pytest.mark.parametrize("backend", WORLDS)
def test_finished_work_is_not_waited_for(work: SingleFlight[str, int], backend: str) -> None:
    future = work.start("keys", lambda: 7)
    wait(future, 10)
    assert anyio.run(wait_async, future, 0, backend=backend) == 7


def test_half_imported_trio_disturbs_no_asyncio_task(
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


# --- the pool ---


def held_jobs(work: SingleFlight[str, int], names: str, go: threading.Event) -> list[Future[int]]:
    """Start work that lasts until the event; each piece returns its thread's number."""

    def job() -> int:
        assert go.wait(10)
        return threading.get_ident()

    return [work.start(name, job) for name in names]


def workers() -> int:
    return sum(thread.name == "entra_guard worker" for thread in threading.enumerate())


def test_a_pool_bounds_the_threads_of_all_owners_and_of_each() -> None:
    pool, go, before = WorkerPool(threads=4, per_owner=3), threading.Event(), workers()
    one: SingleFlight[str, int] = SingleFlight(pool)
    other: SingleFlight[str, int] = SingleFlight(pool)
    futures = held_jobs(one, "abcdefgh", go) + held_jobs(other, "abcdefgh", go)
    assert workers() - before == 4
    go.set()
    assert len({wait(future, 10) for future in futures}) <= 4


def test_owners_take_turns() -> None:
    pool, go, order = WorkerPool(threads=1, per_owner=1), threading.Event(), list[str]()
    busy: SingleFlight[str, int] = SingleFlight(pool)
    other: SingleFlight[str, None] = SingleFlight(pool)
    first = held_jobs(busy, "a", go)
    futures = [busy.start(name, lambda name=name: order.append(name) or 0) for name in "bcd"]
    last = other.start("x", lambda: order.append("other"))
    go.set()
    for future in (*first, *futures, last):
        wait(future, 10)
    assert order.index("other") == 1


def test_threads_end_when_there_is_nothing_to_do() -> None:
    pool = WorkerPool(threads=4, per_owner=4)
    work: SingleFlight[str, threading.Thread] = SingleFlight(pool)
    thread = wait(work.start("a", threading.current_thread), 10)
    thread.join(10)
    assert not thread.is_alive()


def test_work_that_waits_for_other_work_of_a_full_pool_runs_it_itself() -> None:
    pool = WorkerPool(threads=2, per_owner=2)
    outer: SingleFlight[str, int] = SingleFlight(pool)
    inner: SingleFlight[str, int] = SingleFlight(pool)
    futures = [
        outer.start(str(n), lambda n=n: wait(inner.start(str(n % 2), threading.get_ident), 10))
        for n in range(8)
    ]
    for future in futures:
        assert wait(future, 10)


def test_work_that_joins_queued_work_of_a_full_pool_runs_it_itself() -> None:
    pool, go = WorkerPool(threads=1, per_owner=1), threading.Event()
    outer: SingleFlight[str, int] = SingleFlight(pool)
    inner: SingleFlight[str, int] = SingleFlight(pool)

    def join() -> int:
        assert go.wait(10)
        return wait(inner.start("shared", lambda: 2), 10)

    first = outer.start("joins", join)
    queued = inner.start("shared", lambda: 1)
    go.set()
    assert (wait(first, 10), wait(queued, 10)) == (1, 1)


def test_queued_work_is_not_abandoned_as_more_of_it_would_not_be_faster() -> None:
    pool, go = WorkerPool(threads=1, per_owner=1), threading.Event()
    work: SingleFlight[str, int] = SingleFlight(pool)
    [running] = held_jobs(work, "a", go)
    queued = work.start("b", lambda: 7)
    for key in "ab":
        work.abandon(key)
    assert work.start("b", lambda: 8) is queued
    assert work.start("a", lambda: 9) is not running
    go.set()
    assert wait(queued, 10) == 7


def test_a_pool_that_can_start_no_thread_fails_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    work: SingleFlight[str, int] = SingleFlight(WorkerPool(threads=1, per_owner=1))

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThreadError, match="new thread"):
            wait(work.start("keys", lambda: 1), 10)
    assert wait(work.start("keys", lambda: 2), 10) == 2


def test_work_runs_on_the_callers_thread_where_the_interpreter_starts_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for pool in (None, WorkerPool(threads=1, per_owner=1)):
        work: SingleFlight[str, int] = SingleFlight(pool)
        assert wait(work.start("keys", threading.get_ident), 10) == threading.get_ident()


# --- preparation ---


@pytest.mark.parametrize("backend", ["threads", *WORLDS])
def test_a_timeout_begins_when_the_work_is_prepared(backend: str) -> None:
    work: SingleFlight[str, int] = SingleFlight()
    prepared = threading.Event()
    future = work.start("keys", lambda: 7, prepare=lambda: prepared.wait(10))
    threading.Timer(0.3, prepared.set).start()
    if backend == "threads":
        assert wait(future, 0.15) == 7
    else:
        assert anyio.run(wait_async, future, 0.15, backend=backend) == 7


def test_preparation_that_fails_fails_the_work(work: SingleFlight[str, int]) -> None:
    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        wait(work.start("keys", lambda: 1, prepare=fail), 10)
