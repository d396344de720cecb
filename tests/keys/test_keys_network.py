"""Proxies, private CAs and network failures: errors name the step and the host, and never a secret."""

from __future__ import annotations

import datetime as dt
import gzip
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from closed_ports import closed_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from keys_entra import Callers, KeysEntra, Outcome
from loopback_proxies import Proxy, head_of, listening

from entra_guard import ConfigurationError, FetchError, Guard
from entra_guard._common.http import exchange
from entra_guard.emulator import Emulator
from entra_guard.emulator._http.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Secure:
    """A guard's view of an Entra that is served over https with a CA of its own."""

    def __init__(self, entra: KeysEntra) -> None:
        self.entra = entra
        self.token = entra.token(base_url=entra.https_url)

    def verify(self, **settings: object) -> Outcome:
        settings.setdefault("authority", self.entra.https_url)
        return Callers("sync").verify(self.entra.guard(**settings), self.token)


@pytest.fixture
def secure() -> Iterator[Secure]:
    entra = KeysEntra(https=True)
    entra.start()
    yield Secure(entra)
    entra.stop()
    entra.tear_down()


# --- settings ---


def test_an_ssl_context_brings_a_private_ca(secure: Secure) -> None:
    assert secure.verify(ssl_context=secure.entra.ssl_context()).status == 200


def test_users_client_is_used_as_it_is(secure: Secure) -> None:
    with httpx.Client(verify=secure.entra.ssl_context()) as client:
        assert secure.verify(http_client=client).status == 200
        assert secure.entra.count("keys") == 1


def test_users_client_keeps_no_idle_connection_that_a_fork_would_share(
    secure: Secure,
) -> None:
    with httpx.Client(verify=secure.entra.ssl_context()) as client:
        assert secure.verify(http_client=client).status == 200
        assert client._transport._pool.connections == []  # type: ignore[attr-defined]


def test_users_client_keeps_no_idle_connection_after_a_refused_response(secure: Secure) -> None:
    with httpx.Client(verify=secure.entra.ssl_context()) as client:
        secure.entra.fail("configuration", "wrong-issuer")
        assert secure.verify(http_client=client).status == 503
        assert client._transport._pool.connections == []  # type: ignore[attr-defined]


def test_environment_names_the_ca(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.entra.ca_bundle))
    assert secure.verify(proxy=None, ssl_context=None, http_client=None).status == 200


def test_proxy_carries_the_fetches(secure: Secure) -> None:
    proxy = Proxy()
    with listening(proxy) as port:
        answer = secure.verify(proxy=f"http://127.0.0.1:{port}", ssl_context=secure.entra.ssl_context())
    assert answer.status == 200
    assert set(proxy.asked) == {secure.entra.https_url.removeprefix("https://")}


def test_environment_names_the_proxy(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    with listening(proxy) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert secure.verify(ssl_context=secure.entra.ssl_context()).status == 200
    assert proxy.asked


def test_authority_on_this_machine_is_reached_without_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Emulator() as entra, closed_port() as port:
        api = entra.register_app("Orders API", app_roles=["Orders.Read"])
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        guard = Guard(tenant=entra.tenant_id, audience=api.client_id, authority=entra.url)
        assert Callers("sync").verify(guard, entra.issue_token(api, roles=["Orders.Read"])).status == 200


# --- failures ---


def failure(answer: Outcome) -> tuple[str, str]:
    assert (answer.status, answer.reason) == (503, "keys_unavailable")
    return str(answer.facts["step"]), str(answer.facts["detail"])


def test_unknown_private_ca_is_a_tls_failure_with_the_fix(secure: Secure) -> None:
    step, detail = failure(
        secure.verify(proxy=None, http_client=None, ssl_context=ssl.create_default_context())
    )
    assert step == "tls"
    assert detail.startswith("127.0.0.1: ")
    assert "ssl_context=" in detail


def test_certificate_of_another_host_is_a_tls_failure(secure: Secure) -> None:
    here = secure.entra.https_url.removeprefix("https://")
    with listening(Proxy(always_to=here)) as port:
        step, detail = failure(
            secure.verify(
                authority="public",
                proxy=f"http://127.0.0.1:{port}",
                ssl_context=secure.entra.ssl_context(),
            )
        )
    assert step == "tls"
    assert detail.startswith("login.microsoftonline.com: Hostname mismatch")


def unresolvable(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_arguments: object, **_settings: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)


def test_host_that_does_not_resolve_is_a_dns_failure(
    entra: KeysEntra, monkeypatch: pytest.MonkeyPatch
) -> None:
    unresolvable(monkeypatch)
    guard = entra.guard(authority="public", ssl_context=ssl.create_default_context())
    step, detail = failure(Callers("sync").verify(guard, entra.token()))
    assert step == "dns"
    assert "login.microsoftonline.com does not resolve" in detail


def test_proxy_that_does_not_resolve_is_a_proxy_failure(
    secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    unresolvable(monkeypatch)
    step, detail = failure(secure.verify(proxy="http://user:hunter2@proxy.example:8080"))
    assert step == "proxy"
    assert "proxy.example does not resolve" in detail
    assert "hunter2" not in detail


def test_proxy_that_is_down_is_a_proxy_failure(secure: Secure) -> None:
    elsewhere = secure.entra.https_url.replace("127.0.0.1", "localhost")
    with closed_port() as port:
        step, detail = failure(secure.verify(authority=elsewhere, proxy=f"http://127.0.0.1:{port}"))
    assert step == "proxy"
    assert detail.startswith("the proxy cannot be reached, proxy='http://127.0.0.1:")


def test_proxy_that_refuses_is_a_proxy_failure(secure: Secure, caplog: pytest.LogCaptureFixture) -> None:
    with listening(Proxy(refusing="407 Proxy Authentication Required")) as port:
        answer = secure.verify(proxy=f"http://user:hunter2@127.0.0.1:{port}")
    step, detail = failure(answer)
    assert step == "proxy"
    assert "407" in detail
    assert "hunter2" not in f"{detail} {caplog.text}"


def test_closed_port_is_a_connect_failure(entra: KeysEntra) -> None:
    with closed_port() as port:
        guard = entra.guard(authority=f"http://127.0.0.1:{port}", ssl_context=ssl.create_default_context())
        step, detail = failure(Callers("sync").verify(guard, entra.token()))
    assert step == "connect"
    assert detail.startswith("127.0.0.1: ")


def test_silence_is_a_timeout_and_names_the_host(entra: KeysEntra) -> None:
    entra.fail("all", "silent")
    step, detail = failure(Callers("sync").verify(entra.guard(), entra.token()))
    assert (step, "entra.localhost" in detail) == ("timeout", True)


# --- Python 3.13's strict X.509 ---


def certificates(folder: Path) -> tuple[Path, Path]:
    """Make a company's CA without key usage and key identifiers, and a server's certificate."""
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def signed(
        name: str, public: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Old company CA")])
        builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=30))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    ca = signed("Old company CA", ca_key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    server = signed("localhost", key.public_key(), x509.SubjectAlternativeName([x509.DNSName("localhost")]))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(private + server.public_bytes(pem))
    return folder / "ca.pem", folder / "server.pem"


def test_old_ca_under_the_strict_rules_of_python_3_13_is_explained(entra: KeysEntra, tmp_path: Path) -> None:
    ca, server = certificates(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server)
    emulator = LoopbackServer(entra.app, tls=serving)
    emulator.start()
    url = str(emulator.https_url).replace("127.0.0.1", "localhost")
    token = entra.token(base_url=url)
    strict = ssl.create_default_context(cafile=str(ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    lenient = ssl.create_default_context(cafile=str(ca))
    lenient.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        step, detail = failure(Callers("sync").verify(entra.guard(authority=url, ssl_context=strict), token))
        assert Callers("sync").verify(entra.guard(authority=url, ssl_context=lenient), token).status == 200
    finally:
        emulator.stop()
    assert step == "tls"
    assert detail.startswith("localhost: ")
    assert "Python 3.13" in detail
    assert "VERIFY_X509_STRICT" in detail


# --- limits of an exchange ---


def answering(body: bytes, *more: str) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        head_of(connection)
        headers = "".join(f"{line}\r\n" for line in more)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return serve


def fetched(port: int, *, limit: int = 1000, total: float = 5.0) -> FetchError:
    with httpx.Client() as client, pytest.raises(FetchError) as caught:
        exchange(client, "GET", f"http://127.0.0.1:{port}/", limit=limit, total=total)
    return caught.value


def test_body_that_arrives_slowly_ends_in_a_timeout() -> None:
    def drip(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            threading.Event().wait(0.02)

    with listening(drip) as port:
        assert fetched(port, total=0.2).step == "timeout"


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTT", b""], ids=["header", "status", "nothing"]
)
def test_head_that_arrives_slowly_ends_in_a_timeout(start: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(start)
        while True:
            connection.sendall(b"P")
            threading.Event().wait(0.02)

    with listening(drip) as port:
        assert fetched(port, total=0.3).step == "timeout"


def test_compressed_body_is_never_decompressed() -> None:
    with listening(answering(gzip.compress(b" " * 10_000_000), "Content-Encoding: gzip")) as port:
        error = fetched(port)
    assert (error.step, "compressed" in error.detail) == ("content", True)


def test_no_more_bytes_are_read_than_allowed() -> None:
    with listening(answering(b"x" * 10_000_000)) as port:
        assert "more than 1000 bytes" in fetched(port).detail


@pytest.mark.parametrize("proxy", ["proxy.example:8080", "ftp://proxy.example", "user:hunter2@proxy:1"])
def test_proxy_that_is_not_a_url_is_refused_without_its_credentials(entra: KeysEntra, proxy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        entra.guard(proxy=proxy)
    assert "proxy=" in str(caught.value)
    assert "http://proxy.example:8080" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_users_client_excludes_settings_for_ours(entra: KeysEntra) -> None:
    with httpx.Client() as client, pytest.raises(ConfigurationError, match="one or the other"):
        entra.guard(http_client=client, proxy="http://proxy.example:8080")
