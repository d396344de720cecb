"""Processes that have only loaded what a program imports: a fork takes much less time than a start of Python."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def run_in_new_processes(main: Callable[..., None]) -> None:
    """Call a function once for each list of arguments in standard input (JSON), each time in a new process."""
    for arguments in json.load(sys.stdin):
        if (pid := os.fork()) == 0:
            try:
                main(*arguments)
            except BaseException as error:  # noqa: BLE001  # reported below, by the exit code
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        _pid, status = os.waitpid(pid, 0)
        os.write(1, f"{arguments[-1]}: exit code {os.waitstatus_to_exitcode(status)}\n".encode())
