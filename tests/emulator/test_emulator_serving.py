"""The server starts and stops cleanly, over http and https, on loopback only."""

from __future__ import annotations

import builtins
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.testclient import TestClient

from entra_guard.emulator import CONTOSO, Emulator
from entra_guard.emulator._http.tls import LocalAuthority

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = f"/{CONTOSO}/v2.0/.well-known/openid-configuration"


def test_the_server_runs_within_the_block_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with Emulator() as entra:
        assert httpx.get(entra.url + CONFIGURATION).json()["issuer"] == f"{entra.url}/{entra.tenant_id}/v2.0"
        assert entra.authority == f"{entra.url}/{CONTOSO}"
        url = entra.url
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert entra.url == "http://entra.localhost"


def test_the_server_can_be_restarted() -> None:
    entra = Emulator()
    for _ in range(2):
        with entra:
            assert httpx.get(entra.url + CONFIGURATION).status_code == 200


def test_the_server_stops_while_clients_wait() -> None:
    with Emulator() as entra, httpx.Client(base_url=entra.url) as web:
        entra.fail("keys", "silent")
        problems: list[Exception] = []

        def wait() -> None:
            try:
                web.get("/common/discovery/v2.0/keys", timeout=120)
            except httpx.HTTPError as problem:
                problems.append(problem)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not entra.count("keys"):
            time.sleep(0.001)
        entra.stop()
        waiting.join(30)
    assert [type(problem) for problem in problems] in ([httpx.ReadError], [httpx.RemoteProtocolError])


def test_https_is_trusted_only_with_its_own_authority() -> None:
    with Emulator(https=True) as entra:
        for trust in (entra.ssl_context(), ssl.create_default_context(cafile=str(entra.combined_ca_bundle))):
            with httpx.Client(verify=trust) as web:
                assert web.get(entra.https_url + CONFIGURATION).json()["issuer"].startswith(entra.https_url)
                assert web.get(entra.https_url.replace("127.0.0.1", "localhost")).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(entra.https_url)
        folder = entra.ca_bundle.parent
    assert not folder.exists()


def test_certificates_pass_strict_x509_verification() -> None:
    with Emulator(https=True) as entra:
        context = entra.ssl_context()
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        with httpx.Client(verify=context) as web:
            assert web.get(entra.https_url + CONFIGURATION).status_code == 200


def test_the_authority_is_kept_in_the_state_folder_with_a_private_key_file(tmp_path: Path) -> None:
    kept = tmp_path / "state"
    with Emulator(https=True, state_dir=kept) as entra:
        first = entra.ca_bundle.read_bytes()
    with Emulator(https=True, state_dir=kept) as entra:
        assert entra.ca_bundle.read_bytes() == first
        assert httpx.get(entra.https_url + CONFIGURATION, verify=entra.ssl_context()).status_code == 200
    assert (kept / "server.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("ask", [lambda e: e.https_url, lambda e: e.ca_bundle, lambda e: e.ssl_context()])
def test_https_attributes_without_https_raise_with_the_fix(ask: Any) -> None:
    with Emulator() as entra, pytest.raises(RuntimeError, match=r"Emulator\(https=True\)"):
        ask(entra)


def test_a_fixed_port_is_used_and_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} on 127.0.0.1 is in use"):
            Emulator(port=port).start()
    with Emulator(port=port) as entra:
        assert entra.url == f"http://127.0.0.1:{port}"


def test_the_server_listens_on_loopback_only() -> None:
    with Emulator(https=True) as entra:
        for url in (entra.url, entra.https_url):
            other = url.partition("//")[2].replace(
                "127.0.0.1", "127.0.0.2"
            )  # accepted only by a wildcard socket
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{other}")


def test_starting_twice_raises_and_stopping_twice_does_not() -> None:
    entra = Emulator()
    with entra, pytest.raises(RuntimeError, match="already running"):
        entra.start()
    entra.stop()


def test_wait_returns_after_stop() -> None:
    entra = Emulator()
    entra.start()
    threading.Timer(0.02, entra.stop).start()
    entra.wait()
    assert entra.url == "http://entra.localhost"


def test_a_missing_uvicorn_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name.startswith("uvicorn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ImportError, match=r'pip install "entra-guard\[emulator\]"'):
        Emulator().start()


def test_a_body_over_one_mebibyte_gets_413() -> None:
    with Emulator() as entra:
        response = httpx.post(f"{entra.url}/{CONTOSO}/oauth2/v2.0/token", content=b"x" * (1024 * 1024 + 1))
        assert response.status_code == 413


def test_the_app_runs_under_other_asgi_servers() -> None:
    entra = Emulator()
    with TestClient(entra.app, base_url="http://localhost") as web:
        assert web.get(CONFIGURATION).json()["issuer"] == f"http://localhost/{CONTOSO}/v2.0"


def test_importing_the_emulator_loads_no_server() -> None:
    code = "import sys, entra_guard.emulator; print([m for m in ('uvicorn', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_certificates_that_do_not_belong_together_are_made_again(tmp_path: Path) -> None:
    first, second = (LocalAuthority.load_or_create(tmp_path / name) for name in ("a", "b"))
    assert LocalAuthority.load_or_create(tmp_path / "a").is_valid()
    second.certificate.replace(first.certificate)  # as two emulators that start at the same time may leave it
    assert not first.is_valid()
    assert LocalAuthority.load_or_create(tmp_path / "a").is_valid()
    first.chain.write_text("")
    assert not first.is_valid()
