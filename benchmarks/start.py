"""`python -m benchmarks.start`: CPU time of whole processes, from their start to their end."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from typing import Final

from benchmarks import _progress, _results
from benchmarks._measure import table
from benchmarks._processes import COMMAND
from entra_guard.emulator import Emulator

ROUNDS: Final = 15
GUARD: Final = (
    "from entra_guard import Guard; "
    "Guard(tenant='aaaabbbb-0000-cccc-1111-dddd2222eeee', audience='11112222-bbbb-3333-cccc-4444dddd5555')"
)
# httpx and httpcore import these where they are installed, as in an environment for development.
BLOCKED: Final = f"import sys; sys.modules |= dict.fromkeys(('trio', 'rich', 'click')); {GUARD}"
# Name, arguments of Python, and the bar: seconds, or a factor of `import jwt`.
SUBJECTS: Final = (
    ("python -c pass", ("-c", "pass"), ""),
    ("import jwt", ("-c", "import jwt"), ""),
    # Its names are imported at their first use: `import entra_guard` alone imports nearly nothing.
    ("import entra_guard", ("-c", "from entra_guard import Guard"), "<= 1.3 x import jwt"),
    ("Guard(...), with httpx and its SSL context", ("-c", GUARD), "<= 0.30 s"),
    ("the same, without trio, rich and click", ("-c", BLOCKED), "<= 0.30 s"),
    ("entra-guard --help", ("-c", COMMAND, "--help"), "<= 0.25 s"),
    ("entra-guard reasons", ("-c", COMMAND, "reasons"), "<= 0.28 s"),
    ("entra-guard explain", ("-c", COMMAND, "explain"), "<= 0.28 s"),
)


def cpu_seconds(arguments: tuple[str, ...], stdin: bytes) -> float:
    """Return the CPU time, user and system, of one process of Python."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    _pid, _status, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # it was waited for above
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    with_token = Emulator(seed=1)
    token = with_token.issue_token(with_token.register_app("API")).encode()
    times: dict[str, list[float]] = {name: [] for name, _, _ in SUBJECTS}
    for _round in _progress.steps(range(ROUNDS)):  # in turn, so that noise affects all equally
        for name, arguments, _bar in SUBJECTS:
            times[name].append(cpu_seconds(arguments, token if name.endswith("explain") else b""))
    jwt = times["import jwt"]
    rows = []
    for name, _, bar in SUBJECTS:
        ratios = [ours / other for ours, other in zip(times[name], jwt, strict=True)]
        _results.record(f"start: {name}", ratios)
        rows.append((name, f"{statistics.median(times[name]):.3f}", f"{statistics.median(ratios):.2f}", bar))
    table(
        "Starts: CPU seconds of a whole process", ("", "s", "ratio to import jwt", "bar"), rows, name="start"
    )


if __name__ == "__main__":
    main()
