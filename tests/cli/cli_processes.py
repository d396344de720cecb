"""Start the command line as a separate process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

PROGRAM = [sys.executable, "-c", "from entra_guard.cli import main; main()"]
# Whoever runs the tests may have switched Ctrl-C off, which processes inherit.
HEARING_CTRL_C = [
    sys.executable,
    "-c",
    f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {PROGRAM[2]}",
]
Start = Callable[..., subprocess.Popen[str]]
