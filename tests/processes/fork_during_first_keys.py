"""A program that forks during its first fetch of keys: a preloading server that is probed early.

Arguments: the emulator's URL, the tenant, the audience, and after how many seconds to fork. The token comes on
standard input.
"""

from __future__ import annotations

import os
import sys
import time

from entra_guard import Guard, KeySettings

url, tenant, audience, delay = sys.argv[1:]
given = sys.stdin.read()
guard = Guard(tenant=tenant, audience=audience, authority=url, keys=KeySettings(wait=8))
guard.health()  # starts the first round
time.sleep(float(delay))
if (pid := os.fork()) == 0:
    try:
        guard.verify(given)
        os.write(1, b"accepted\n")
    finally:
        os._exit(0)
os.waitpid(pid, 0)
