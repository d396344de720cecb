"""One background thread refreshes the keys of all guards of a process."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING

from keys_entra import KeysEntra, settle, until, visit

from entra_guard._keys import refresh_thread
from entra_guard._keys.refresh_thread import RefreshThread

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Task:
    """Counts its visits, on which thread they came, and says when the next one is due."""

    def __init__(self, delay: float = 3600.0, *, on_visit: Callable[[], None] = lambda: None) -> None:
        self.delay = delay
        self.threads: list[threading.Thread] = []
        self._on_visit = on_visit

    def run_pending(self) -> float:
        self.threads.append(threading.current_thread())
        self._on_visit()
        return self.delay


def add(thread: RefreshThread, *tasks: Task) -> None:
    for task in tasks:
        thread.add(task)
        thread.ensure_running()


def refresh_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "entra_guard refresh"]


def test_many_tasks_share_one_thread() -> None:
    tasks = [Task() for _ in range(50)]
    add(RefreshThread(), *tasks)
    until(lambda: all(task.threads for task in tasks))
    assert len({thread for task in tasks for thread in task.threads}) == 1


def test_many_guards_cost_one_thread(entra: KeysEntra) -> None:
    before = set(refresh_threads())
    guards = [entra.guard() for _ in range(20)]
    for guard in guards:
        guard.health()
        settle(guard)
    assert len(set(refresh_threads()) - before) <= 1


def test_the_thread_ends_with_its_last_task_and_starts_again_with_the_next() -> None:
    thread, visited = RefreshThread(), threading.Event()
    task: Task | None = Task(on_visit=visited.set)
    add(thread, task)
    assert visited.wait(10)
    [running] = task.threads
    task = None
    gc.collect()
    running.join(10)
    assert not running.is_alive()
    again = Task()
    add(thread, again)
    until(lambda: again.threads)
    assert again.threads != [running]


def test_a_task_is_visited_when_it_said_and_when_it_is_woken() -> None:
    often, seldom, thread = Task(0.05), Task(), RefreshThread()
    visits = thread.add(seldom)
    add(thread, often)
    until(lambda: len(often.threads) > 3)
    assert len(seldom.threads) == 1
    visits.wake()
    until(lambda: len(seldom.threads) == 2)


def test_a_task_that_fails_is_logged_and_visited_again_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(refresh_thread, "_AFTER_ERROR", 0.001)
    failing, other = Task(on_visit=fail), Task(0.05)
    add(RefreshThread(), failing, other)
    until(lambda: len(failing.threads) > 1 and len(other.threads) > 1)
    assert "background key refresh failed unexpectedly; will retry" in caplog.text


def test_a_task_that_is_collected_on_the_thread_itself_does_not_stop_it() -> None:
    class Cyclic(Task):
        def __init__(self) -> None:
            super().__init__(0.05, on_visit=gc.collect)
            self.myself = self

    other, thread = Task(0.05, on_visit=gc.collect), RefreshThread()
    add(thread, Cyclic(), other)
    until(lambda: len(other.threads) > 5)


def test_tasks_come_and_go_on_many_threads_at_once() -> None:
    thread, failures = RefreshThread(), []

    def use() -> None:
        try:
            for _ in range(50):
                task = Task()
                add(thread, task)
                until(lambda task=task: task.threads)
        except BaseException as error:  # noqa: BLE001  # any error is a failure of this test
            failures.append(error)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join(30)
    assert failures == []


def test_a_process_without_another_thread_retries_at_the_next_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread, task = RefreshThread(), Task()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        add(thread, task)
    assert "so requests must start it: can't start new thread" in caplog.text
    assert not task.threads
    thread.ensure_running()
    until(lambda: task.threads)


def test_a_guard_is_collected_although_it_is_refreshed(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    gone = weakref.ref(guard._key_manager)
    settle(guard)
    entra.guards.clear()
    del guard

    def collected() -> bool:
        gc.collect()
        return gone() is None

    until(collected)


def test_keys_that_end_sooner_are_dropped_in_time(entra: KeysEntra) -> None:
    """The thread may be sleeping past the new end of the keys."""
    guard = entra.warm_guard(retired_key_grace=1.0, monotonic=time.monotonic)
    entra.rotate_keys(overlap=False)
    guard.verify(entra.token())
    assert len(guard.health().kids) > len(entra.keys)
    keys = guard._key_manager
    until(lambda: keys.active_keys is not None and len(keys.active_keys.by_kid) == len(entra.keys))


def test_the_tokens_of_replaced_keys_are_freed_in_slices(entra: KeysEntra) -> None:
    guard = entra.guard()
    guard.verify(entra.token())
    replaced = guard._key_manager.active_keys.verified_tokens
    assert len(replaced) == 1
    entra.rotate_keys(overlap=False)
    guard.verify(entra.token())
    assert guard._key_manager.active_keys.verified_tokens is not replaced
    assert len(replaced) == 1  # not freed by the thread that fetched
    visit(guard)
    assert len(replaced) == 0
    assert guard._key_manager._replaced_tokens is None
