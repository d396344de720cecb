"""The whole suite: the mark `slow` (servers, browsers, processes), and how many tests run at once."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# hypothesis looks for referrers while it is imported, which is not possible once they are frozen.
from hypothesis import HealthCheck, settings

from entra_guard._keys.refresh_thread import REFRESH_THREAD
from entra_guard._web.log_floods import FLOODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard._keys.refresh_thread import Refreshable, Visits

# Processes that tests start reuse compiled modules, also where the environment says not to write them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The tests and all that they import live until the end. To look for garbage among them takes a third of the
# collection's time, and some time of every test: `pytest_collection_finish` excludes them.
gc.disable()

# A slow machine is not a reason to fail, and examples may share a fixture. The rest is hypothesis's own profile,
# which in CI draws the same examples in each run.
settings.register_profile(
    "tests",
    settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")

SLOW_FOLDERS = {"servers", "processes", "mcp_servers"}
SLOW_FILES = (
    "test_browser_",
    "test_redis",
    "test_examples",
    "test_fixtures",
    "test_cli_demo",
    "test_cli_emulator",
)


@pytest.fixture(autouse=True)
def _every_refusal_is_logged() -> None:
    """Begin each test with no refusals, or a test would find lines of its own left out."""
    FLOODS.after_fork()


@pytest.fixture(autouse=True)
def _guards_of_a_test_fetch_no_keys_after_it() -> Iterator[None]:
    """End the background refresh of a test's guards: what they log and trace would be in a later test's records.

    Without this it ends when a guard is garbage-collected, which is at any time if the guard is in a cycle.
    """
    made: list[Visits] = []
    add = REFRESH_THREAD.add

    def add_and_remember(thing: Refreshable) -> Visits:
        made.append(add(thing))
        return made[-1]

    REFRESH_THREAD.add = add_and_remember  # type: ignore[method-assign]
    yield
    REFRESH_THREAD.add = add  # type: ignore[method-assign]
    for visits in made:
        visits._thing = _gone
        visits.wake()


def _gone() -> None:
    """Return None, as a reference to an object that was garbage-collected does."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = Path(item.path)
        if path.parent.name in SLOW_FOLDERS or path.name.startswith(SLOW_FILES):
            item.add_marker(pytest.mark.slow)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = slow_first(items, workers)


def slow_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Let each worker begin with its share of the slow tests, so that none of them is the last to run.

    xdist gives each worker one part of the list, of equal length. Workers without work steal from the end of a part.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    return [
        item
        for worker in range(workers)
        for tests in (slow, quick)
        for item in tests[len(tests) * worker // workers : len(tests) * (worker + 1) // workers]
    ]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are CPUs: some tests wait for servers and time-outs."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1
