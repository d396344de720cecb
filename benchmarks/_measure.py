"""Timing in pairs: subject and baseline in turn, so that noise of the machine affects both."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks import _results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROUNDS = 15


def per_call(work: Callable[[], object], number: int) -> float:
    """Return the microseconds of CPU time that one call takes, over a run of `number`.

    CPU time of this thread, not the clock on the wall: other processes of a shared machine do not count.
    """
    began = time.thread_time()
    for _ in range(number):
        work()
    return (time.thread_time() - began) / number * 1e6


def enough(work: Callable[[], object], seconds: float = 0.02) -> int:
    """Return how many calls take about `seconds`."""
    once = max(per_call(work, 20), 0.05)
    return max(20, int(seconds * 1e6 / once))


def pair(
    subject: Callable[[], object], baseline: Callable[[], object], rounds: int = ROUNDS, *, name: str = ""
) -> tuple[float, float]:
    """Return median microseconds of the subject, and the median of its ratio to the baseline, pair by pair.

    Args:
        subject: What is measured.
        baseline: What it is compared with.
        rounds: Pairs to measure.
        name: Record the ratio of every round under this name, for `--compare`.
    """
    runs = enough(subject), enough(baseline)
    times, ratios = [], []
    gc.disable()
    try:
        for _ in range(rounds):
            base = per_call(baseline, runs[1])
            ours = per_call(subject, runs[0])
            times.append(ours)
            ratios.append(ours / base)
    finally:
        gc.enable()
    if name:
        _results.record(name, ratios)
    return statistics.median(times), statistics.median(ratios)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, name: str = "") -> None:
    """Print a Markdown table, row by row as they are measured.

    Args:
        title: The heading.
        head: The names of the columns.
        rows: The cells; may be a generator that measures.
        name: Record the table under this name, for docs and pictures. Default: the title.
    """
    print(f"\n### {title}\n")
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}", flush=True)
    printed = []
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)
        printed.append(row)
    _results.record_table(name or title, head, printed)
