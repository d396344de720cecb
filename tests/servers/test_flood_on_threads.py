"""A flood of forged kids on a server with threads: tokens whose key is cached are served meanwhile."""

from __future__ import annotations

import re
import select
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from test_servers import CLIENT, Server, request, served

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from entra_guard.emulator import AppRegistration

THREADS, FORGED = 16, 200
SERVER = Server(f"gunicorn served:wsgi -b fd://{{fd}} -w 1 -k gthread --threads {THREADS}")


class Flood:
    """Requests that are all sent at once, and whose responses one thread receives as they arrive."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self.reasons: list[str] = []
        self._received = {_send(url, token): b"" for token in tokens}
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        return len(self._received)

    def _receive(self) -> None:
        while self._received:
            for connection in select.select([*self._received], [], [])[0]:
                try:
                    data = connection.recv(65536)
                except ConnectionResetError:  # after the response: a server may close both ways at once
                    data = b""
                self._received[connection] += data
                if not data:  # a server may wait for the client to close, too
                    connection.close()
                    self.reasons += re.findall(r'"reason": "(\w+)"', self._received.pop(connection).decode())

    def wait(self) -> None:
        self._thread.join(30)
        assert not self._received


def _send(url: str, token: str) -> socket.socket:
    where = urlsplit(url)
    connection = socket.create_connection((where.hostname, where.port), timeout=30)
    head = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def forged(entra: Emulator, caller: AppRegistration, api: AppRegistration, number: int) -> str:
    kid = {"kid": f"forged-{number}"}
    return entra.issue_token(caller, audience=api, roles=["Orders.Read"], headers=kid)


@pytest.mark.parametrize("names", ["an unknown caller", "a known caller"])
def test_callers_with_cached_keys_are_served_while_200_forged_kids_wait_for_a_slow_entra(names: str) -> None:
    with Emulator(seed=3) as entra:
        api = entra.register_app("Orders API", app_roles=["Orders.Read"])
        daemon, stranger = entra.register_app("Daemon"), entra.register_app("Stranger")
        token = entra.issue_token(daemon, audience=api, roles=["Orders.Read"])
        named = daemon if names == "a known caller" else stranger
        tokens = [forged(entra, named, api, number) for number in range(FORGED)]
        environ = {
            "ENTRA_GUARD_TENANT": entra.tenant_id,
            "ENTRA_GUARD_AUDIENCE": api.client_id,
            "ENTRA_GUARD_AUTHORITY": entra.url,
        }
        with served(SERVER, environ) as url:
            assert request(url, token).status_code == 200
            entra.fail_next("keys", "reordered", delay=30)
            flood = Flood(url, tokens)
            statuses = {request(url, token).status_code for _ in range(20)}
            pending = flood.pending
            CLIENT.get(
                f"{entra.url}/common/discovery/v2.0/keys"
            )  # a later response: the earlier one is sent now
            flood.wait()
    assert statuses == {200}
    assert pending > 0  # Entra had not responded when the last of the twenty was served
    assert set(flood.reasons) == {"unknown_key", "keys_unavailable"}
