"""Results of one run as JSON, with machine, versions and commit; and their comparison with another run."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

LEAST_CHANGE = 0.03
PACKAGES = ("cryptography", "httpx", "msgspec", "pybase64", "pyjwt", "starlette")

_measured: dict[str, list[float]] = {}


def record(name: str, ratios: list[float]) -> None:
    """Keep the ratios of one measurement, to be written by `save`."""
    _measured[name] = ratios


def save(path: Path) -> None:
    """Write everything that was recorded in this process."""
    document = {"run": _run(), "ratios": _measured}
    path.write_text(json.dumps(document, indent=1))
    print(f"\nResults written to {path}")


def compare(path: Path) -> None:
    """Print what is better and what is worse than an earlier run, beyond noise.

    A change counts when the middle halves of the rounds do not overlap, and the medians differ by 3 %.
    """
    old: dict[str, list[float]] = json.loads(path.read_text())["ratios"]
    print(f"\n### Compared with {path}\n\n|  | then | now | change |\n|---|---|---|---|")
    for name, now in _measured.items():
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
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "python": sys.version,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
