"""A program that verifies a token, forks, and lets each child verify: what a preloading server does.

Arguments: the emulator's URL, the tenant, the audience. The token comes on standard input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from urllib.request import Request, urlopen

from entra_guard import Guard, KeySettings


def in_child(guard: Guard, token: str) -> None:
    """Verify a token whose key the parent had, and one whose key the child must fetch itself."""
    guard.verify(token)
    guard.verify(new_token())
    own = "entra_guard refresh" in [thread.name for thread in threading.enumerate()]
    os.write(1, f"both accepted, a thread of its own: {own}\n".encode())


def new_token() -> str:
    """Return a token whose key is newer than the parent's keys."""
    control(f"{url}/_emu/keys/rotate", {})
    return str(control(f"{url}/_emu/token", {"client": audience, "roles": ["Orders.Read"]})["access_token"])


def control(address: str, body: dict[str, object]) -> dict[str, object]:
    request = Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request) as answer:
        return dict(json.load(answer))


url, tenant, audience = sys.argv[1:]
given = sys.stdin.read()
guard = Guard(tenant=tenant, audience=audience, authority=url, keys=KeySettings(wait=20))
guard.verify(given)
for _ in range(3):
    guard._key_manager._lock.acquire()  # as another thread of the parent may at that moment
    pid = os.fork()
    if pid == 0:
        try:
            in_child(guard, given)
        finally:
            os._exit(0)
    guard._key_manager._lock.release()
    os.waitpid(pid, 0)
