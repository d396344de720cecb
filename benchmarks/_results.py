"""Results of one run as JSON, with machine, versions and commit; and their comparison with another run."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_CHANGE = 0.03
PACKAGES = ("cryptography", "httpx", "msgspec", "pybase64", "pyjwt", "starlette")
# The run that docs/ and README.md show: `python -m benchmarks --all --save benchmarks/results.json`.
PUBLISHED = Path(__file__).with_name("results.json")

_ratios: dict[str, list[float]] = {}
_tables: dict[str, dict[str, Any]] = {}


def record(name: str, ratios: list[float]) -> None:
    """Keep the ratios of one measurement, to be written by `save`."""
    _ratios[name] = ratios


def record_table(name: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Keep a printed table, to be written by `save`."""
    _tables[name] = {"head": list(head), "rows": [[str(cell) for cell in row] for row in rows]}


def save(path: Path) -> None:
    """Write everything that was recorded in this process."""
    document = {"run": _run(), "tables": _tables, "ratios": _ratios}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nResults written to {path}")


def compare(path: Path) -> None:
    """Print what is better and what is worse than an earlier run, beyond noise.

    A change counts when the middle halves of the rounds do not overlap, and the medians differ by 3 %.
    """
    old: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))["ratios"]
    print(f"\n### Compared with {path}\n\n|  | then | now | change |\n|---|---|---|---|")
    for name, now in _ratios.items():
        if name in old:
            then, ours = statistics.median(old[name]), statistics.median(now)
            print(f"| {name} | {then:.3f} | {ours:.3f} | {verdict(old[name], now)} |")


def verdict(then: list[float], now: list[float]) -> str:
    """Return 'better', 'worse' or 'same', for two lists of ratios of which smaller is better."""
    before, after = statistics.median(then), statistics.median(now)
    (old_low, _, old_high), (new_low, _, new_high) = statistics.quantiles(then), statistics.quantiles(now)
    if new_high < old_low and after < before * (1 - LEAST_CHANGE):
        return f"better, {1 - after / before:.0%}"
    if new_low > old_high and after > before * (1 + LEAST_CHANGE):
        return f"worse, {after / before - 1:.0%}"
    return "same"


def _run() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{processor()}, {platform.machine()}, {os.cpu_count()} CPUs",
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def processor() -> str:
    """Return the processor's name, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
