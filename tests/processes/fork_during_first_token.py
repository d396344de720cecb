"""A program that forks while its first token is being requested over https; the child requests one too.

Lists of arguments come on standard input: the authority, the tenant, the client id, the secret, the scope, and after
how many seconds to fork.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from new_processes import run_in_new_processes

from entra_guard.credentials import ClientSecretCredential


def main(authority: str, tenant: str, client_id: str, secret: str, scope: str, delay: float) -> None:
    credential = ClientSecretCredential(tenant, client_id, secret, authority=authority)
    first = threading.Thread(target=credential.get_token, args=(scope,))
    first.start()
    time.sleep(delay)
    if (pid := os.fork()) == 0:
        signal.alarm(10)  # a child that waits for a lock of its parent never ends
        try:
            credential.get_token(scope)
            os.write(1, b"token in the child\n")
        finally:
            os._exit(0)
    first.join()
    _pid, status = os.waitpid(pid, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))


run_in_new_processes(main)
