"""A program that wants a token and a decision while the interpreter exits.

Arguments: when ("atexit" or "del"), the authority, the tenant, the client id, the secret, the scope. A token for the
guard comes on standard input.
"""

from __future__ import annotations

import atexit
import os
import sys

from entra_guard import Guard, KeySettings
from entra_guard.credentials import ClientSecretCredential
from entra_guard.errors import KeysUnavailableError

when, authority, tenant, client_id, secret, scope = sys.argv[1:]
credential = ClientSecretCredential(tenant, client_id, secret, authority=authority)
guard = Guard(tenant=tenant, audience=client_id, authority=authority, keys=KeySettings(wait=20))
given = sys.stdin.read()


def last() -> None:
    os.write(1, b"token\n" if credential.get_token(scope).token else b"")
    try:
        outcome = str(guard.verify(given).roles)
    except KeysUnavailableError:
        outcome = "no keys"
    os.write(1, f"{outcome}\n".encode())


class Session:
    def __del__(self) -> None:
        last()


if when == "atexit":
    atexit.register(last)
else:
    session = Session()
