"""Each part of the emulator works alone."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest
from starlette.responses import PlainTextResponse

from entra_guard.emulator import Emulator
from entra_guard.emulator._directory.service import DirectoryService
from entra_guard.emulator._faults.injector import FaultInjector
from entra_guard.emulator._http.emulator_server import EmulatorServer
from entra_guard.emulator._http.messages import Request, Response
from entra_guard.emulator._store.store import Store
from entra_guard.emulator._tokens.issuer import TokenIssuer


def test_a_store_keeps_state_and_time() -> None:
    store = Store(seed=1, clock=lambda: 1000.0)
    before, identifier = store.snapshot(), store.ids.guid()
    store.advance(60)
    assert store.now() == 1060.0
    store.restore(before)
    assert (store.now(), store.ids.guid()) == (1000.0, identifier)


def test_a_directory_service_registers_and_grants() -> None:
    service = DirectoryService(Store())
    api = service.registrations.register_app("Orders", app_roles=["Orders.Read"])
    daemon = service.registrations.register_app("Daemon")
    service.consents.grant(daemon, api, "Orders.Read")
    assert service.directory.held_by(daemon.service_principal_id) == {"Orders": ("Orders.Read",)}
    assert service.credentials.add_secret(daemon).value


def test_a_token_issuer_issues_tokens() -> None:
    service = DirectoryService(Store())
    issuer = TokenIssuer(service.lookup)
    api = service.registrations.register_app("Orders")
    token = issuer.issue_token(api, roles=["Orders.Read"])
    key = issuer.signing_key.private_key.public_key()
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=api.client_id)
    assert claims["roles"] == ["Orders.Read"]


def test_a_fault_injector_changes_responses() -> None:
    injector = FaultInjector(Store())
    injector.fail_next("keys", "503", retry_after=7)
    request = Request("GET", "http", "localhost", "/keys")
    statuses = [
        injector.apply_fault("keys", request, lambda: Response(200)).response.status for _ in range(2)
    ]
    assert statuses == [503, 200]


def test_a_server_serves_any_app() -> None:
    server = EmulatorServer(PlainTextResponse("hello"), https=True)
    server.start()
    try:
        assert httpx.get(server.url or "").text == "hello"
        assert httpx.get(server.https_url, verify=server.ssl_context()).text == "hello"
    finally:
        server.stop()
    assert server.url is None


def test_a_server_that_cannot_start_leaves_nothing_behind() -> None:
    with socket_in_use() as port:
        server = EmulatorServer(PlainTextResponse(""), https=True, port=port)
        with pytest.raises(OSError, match="is in use"):
            server.start()
    assert not server.running
    with pytest.raises(RuntimeError, match="https is not served"):
        assert server.authority


def socket_in_use() -> Any:
    import contextlib
    import socket

    @contextlib.contextmanager
    def listen() -> Any:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            yield other.getsockname()[1]

    return listen()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://login.microsoftonline.com",
        "http://localhost.evil.example",
        "localhost",
        "http://a.localhost/x",
        "",
    ],
)
def test_a_base_url_must_be_a_loopback_url(base_url: str) -> None:
    with pytest.raises(ValueError, match="is not a loopback URL"):
        Emulator(base_url=base_url)


def test_two_emulators_in_one_process_have_different_issuers() -> None:
    one, other = Emulator(), Emulator(base_url="http://partner.localhost")
    issuers = [
        jwt.decode(entra.issue_token(entra.register_app("A")), options={"verify_signature": False})["iss"]
        for entra in (one, other)
    ]
    assert [issuer.partition("/c0")[0] for issuer in issuers] == [
        "http://entra.localhost",
        "http://partner.localhost",
    ]
