"""The command line as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

PROGRAM = [sys.executable, "-c", "from entra_guard.cli import main; main()"]
Start = Callable[..., subprocess.Popen[str]]
