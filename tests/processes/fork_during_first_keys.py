"""A program that forks during its first fetch of keys: a preloading server that is probed early.

Lists of arguments come on standard input: a token, the emulator's URL, the tenant, the audience, and after how many
seconds to fork.
"""

from __future__ import annotations

import os
import time

from new_processes import run_in_new_processes

from entra_guard import Guard, KeySettings


def main(given: str, url: str, tenant: str, audience: str, delay: float) -> None:
    guard = Guard(tenant=tenant, audience=audience, authority=url, keys=KeySettings(wait=8))
    guard.health()  # starts the first round
    time.sleep(delay)
    if (pid := os.fork()) == 0:
        try:
            guard.verify(given)
            os.write(1, b"accepted\n")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


run_in_new_processes(main)
