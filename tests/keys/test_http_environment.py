"""Proxies and certificates of the environment: what is wrong is named when a guard or credential is constructed."""

from __future__ import annotations

import ssl
import sys
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from closed_ports import closed_port
from httpx._utils import get_environment_proxies  # what ours must agree with
from keys_entra import Callers, KeysEntra
from loopback_proxies import Proxy, Socks, head_of, listening
from test_keys_network import failure

from entra_guard import ConfigurationError, FetchError, Guard
from entra_guard._common.http import exchange, new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._common.proxies import proxy_routes
from entra_guard.credentials import ClientSecretCredential
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def entra() -> Iterator[Emulator]:
    with Emulator(https=True) as entra:
        yield entra


BUILDERS: dict[str, Callable[[], object]] = {
    "guard": lambda: Guard(tenant=TENANT, audience=CLIENT),
    "credential": lambda: ClientSecretCredential(TENANT, CLIENT, "a-secret"),
}


# --- variables that cannot be used ---


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("ALL_PROXY", "socks://user:hunter2@127.0.0.1:1080/", "socks5://proxy.example:1080"),
        ("HTTPS_PROXY", "http://user:hunter2@proxy.example:port", "http://proxy.example:8080"),
        ("HTTPS_PROXY", "http://us\udce9r:hunter2@proxy.example:8080", "http://proxy.example:8080"),
        ("http_proxy", "ftp://user:hunter2@proxy.example", "http://proxy.example:8080"),
        ("https_proxy", "http://user:hunter2@", "http://proxy.example:8080"),
        ("NO_PROXY", "localhost,http://user:hunter2@intranet:eighty", "by commas"),
        ("NO_PROXY", "intranet.example:eighty", "by commas"),
        ("SSL_CERT_FILE", "/no/such/hunt.pem", "unset SSL_CERT_FILE"),
        ("SSL_CERT_DIR", "/no/such/folder", "unset SSL_CERT_DIR"),
    ],
)
def test_bad_variable_is_named_with_its_value_and_the_fix_but_no_credentials(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], object], name: str, value: str, fix: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        build()
    text = str(caught.value)
    assert name in text
    assert fix in text
    assert "hunter2" not in text


@pytest.mark.parametrize("content", ["", "no certificates here"])
def test_certificate_file_without_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE.*ca\.pem.*no usable PEM certificates"):
        new_client()


def test_socks_proxy_without_socksio_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY.*socksio.*httpx\[socks\]"):
        new_client()


def test_platform_endpoints_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1080/")
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    new_client(direct=True).close()


def test_given_settings_make_the_environment_irrelevant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1080/")
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    new_client(proxy="http://127.0.0.1:1", ssl_context=ssl.create_default_context()).close()


@pytest.mark.parametrize(
    "no_proxy",
    [
        "",
        "*",
        "localhost,127.0.0.1",
        ".corp.example, intranet.example ,10.0.0.0/8",
        "::1,fe80::1",
        "example.org:8080,https://only.example",
    ],
)
def test_variables_mean_what_they_mean_to_httpx(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("all_proxy", "http://user:secret@other.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    ours = {pattern: route and route.url for pattern, route in proxy_routes().items()}
    direct = ("http://localhost", "http://*.localhost", "http://127.0.0.1", "http://[::1]")
    assert ours == dict.fromkeys(direct) | get_environment_proxies()


def test_brackets_around_ipv6_are_accepted_in_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "[::1]")
    assert proxy_routes()["all://[::1]"] is None


# --- proxies that do not work ---


def test_proxy_that_is_down_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        with new_client() as client, pytest.raises(FetchError) as caught:
            exchange(client, "GET", f"https://127.0.0.1:{port}/", limit=100)
    assert caught.value.step == "proxy"
    assert f"HTTPS_PROXY='http://127.0.0.1:{port}'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_proxy_that_is_reached_by_https_carries_tls_in_tls(entra: Emulator) -> None:
    proxy = Proxy()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(entra.ca_bundle.with_name("server.pem"))

    def serve(connection: socket.socket) -> None:
        with serving.wrap_socket(connection, server_side=True) as secure:
            proxy(secure)

    with (
        listening(serve) as port,
        new_client(proxy=f"https://127.0.0.1:{port}", ssl_context=entra.ssl_context()) as client,
    ):
        url = f"{entra.https_url}/{entra.tenant_id}/v2.0/.well-known/openid-configuration"
        assert exchange(client, "GET", url, limit=100_000).status == 200
    assert len(proxy.asked) == 1


def test_socks_proxy_carries_tls(entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(entra.ca_bundle))
    port = httpx.URL(str(entra.https_url)).port
    assert port is not None
    socks = Socks(port)
    with listening(socks) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy}")
        with new_client() as client:
            url = f"https://localhost:{port}/{entra.tenant_id}/v2.0/.well-known/openid-configuration"
            assert exchange(client, "GET", url, limit=100_000).status == 200
    assert socks.names == [b"localhost"]


# --- certificates ---


def test_renewed_certificate_file_is_read_again(
    entra: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"{entra.https_url}/{entra.tenant_id}/v2.0/.well-known/openid-configuration"
    file = tmp_path / "ca.pem"
    with Emulator(https=True) as other:
        foreign = other.ca_bundle.read_bytes()
    file.write_bytes(foreign)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    client = LazyClient(None, new_client)
    client.warm_up()
    first = client()
    assert foreign != entra.ca_bundle.read_bytes()
    with pytest.raises(FetchError, match="tls"):
        exchange(client(), "GET", url, limit=100_000)
    file.unlink()  # while it is being replaced
    assert client() is first
    file.write_bytes(entra.ca_bundle.read_bytes() + b"\n")
    assert client() is not first
    assert exchange(client(), "GET", url, limit=100_000).status == 200
    client.close()


def test_client_is_rebuilt_after_ssl_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    client = LazyClient(None, partial(new_client, ssl_context=ssl.create_default_context()))
    first = client()
    assert client() is first

    class Replaced(ssl.SSLContext):
        """As gevent does it."""

    with monkeypatch.context() as patch:
        patch.setattr(ssl, "SSLContext", Replaced)
        assert client() is not first
    client.close()


# --- plain HTTP where TLS is expected, and TLS where plain HTTP is ---


def _waits_for_a_whole_head(connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096) or b"\r\n\r\n"
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def _answers_the_first_bytes(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.recv(65536)


@pytest.mark.parametrize("serve", [_waits_for_a_whole_head, _answers_the_first_bytes])
def test_plain_http_on_a_tls_port_is_reported_as_such(serve: Callable[[socket.socket], None]) -> None:
    with listening(serve) as port, new_client() as client, pytest.raises(FetchError) as caught:
        exchange(client, "GET", f"https://127.0.0.1:{port}/", limit=100)
    assert caught.value.step == "tls"
    assert "plain HTTP" in caught.value.detail


def test_plain_http_on_a_tls_port_is_reported_as_such_by_a_guard() -> None:
    entra = KeysEntra()
    with Emulator() as served:
        url = served.url.replace("http:", "https:")
        guard = entra.guard(authority=url, ssl_context=ssl.create_default_context())
        step, detail = failure(Callers("sync").verify(guard, entra.token()))
    assert step == "tls"
    assert "plain HTTP" in detail


def test_proxy_that_speaks_plain_http_is_reported_as_such() -> None:
    with (
        listening(_answers_the_first_bytes) as port,
        new_client(proxy=f"https://127.0.0.1:{port}") as client,
        pytest.raises(FetchError) as caught,
    ):
        exchange(client, "GET", "https://entra.example/", limit=100)
    assert "plain HTTP" in caught.value.detail
    assert "proxy's URL" in caught.value.detail


def test_plain_http_on_a_tls_port_is_explained_with_a_client_of_the_users() -> None:
    with (
        listening(_answers_the_first_bytes) as port,
        httpx.Client(trust_env=False) as client,
        pytest.raises(FetchError) as caught,
    ):
        exchange(client, "GET", f"https://127.0.0.1:{port}/", limit=100)
    assert caught.value.step == "tls"
    assert "plain HTTP" in caught.value.detail


def test_tls_on_a_plain_http_port_is_reported_as_such(entra: Emulator) -> None:
    url = str(entra.https_url).replace("https:", "http:")
    with new_client() as client, pytest.raises(FetchError) as caught:
        exchange(client, "GET", f"{url}/", limit=100)
    assert caught.value.step == "http"
    assert "expect https on this port" in caught.value.detail


def test_tls_alert_on_a_plain_http_port_is_reported_as_such() -> None:
    def alert(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x0a")

    with listening(alert) as port, new_client() as client, pytest.raises(FetchError) as caught:
        exchange(client, "GET", f"http://127.0.0.1:{port}/", limit=100)
    assert caught.value.step == "tls"
    assert "use https://" in caught.value.detail
