"""Processes that benchmarks start: the command line without its script, and a free port."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Final

# `python -c` runs the command of this checkout, also where no script is installed.
COMMAND: Final = "import sys; from entra_guard.cli import main; sys.argv[0] = 'entra-guard'; main()"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
