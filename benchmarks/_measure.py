"""Timing in pairs: subject and baseline in turn, so that a machine's moods fall on both."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def per_call(work: Callable[[], object], number: int) -> float:
    """Microseconds of one call, over a run of `number`."""
    began = time.perf_counter()
    for _ in range(number):
        work()
    return (time.perf_counter() - began) / number * 1e6


def enough(work: Callable[[], object], seconds: float = 0.02) -> int:
    """How many calls take about so many seconds."""
    once = max(per_call(work, 20), 0.05)
    return max(20, int(seconds * 1e6 / once))


def pair(
    subject: Callable[[], object], baseline: Callable[[], object], rounds: int = 15
) -> tuple[float, float]:
    """Median microseconds of the subject, and the median of its ratio to the baseline, pair by pair."""
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
    return statistics.median(times), statistics.median(ratios)


def table(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n")
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)
