"""No error that leaves a credential, an auth or a Graph client lets an error tracker send a secret."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from cryptography import x509
from frame_checks import assert_nothing_secret, caught

from entra_guard.credentials import (
    BearerAuth,
    CertificateCredential,
    ChainedCredential,
    ClientAssertionCredential,
    ClientSecret,
    ClientSecretCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    OnBehalfOfCredential,
    RedisTokens,
    WorkloadIdentityCredential,
)
from entra_guard.errors import ConfigurationError, EntraGuardError, TokenAcquisitionError
from entra_guard.graph import GraphClient, GroupResolver
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
SECRET = "the-clients-secret~value"
PASSWORD = "the-password-of-the-key"
ASSERTION = "eyJhbGciOiJSUzI1NiJ9.the-users-assertion.a-signature"
TOKEN = "the-token-that-was-issued-and-rejected"
FILE_TOKEN = "the-token-in-the-mounted-file"
SECRETS = [SECRET, PASSWORD, ASSERTION, "the-users-assertion", TOKEN, FILE_TOKEN]
SCOPE = "api://orders/.default"
ILLEGAL = {"x-from-a-caller": "a line\nbreak"}  # h11 refuses it, with all headers in its frames


# --- ways to fail ------------------------------------------------------------------------------------


def raises(error: Callable[[httpx.Request], Exception]) -> httpx.Client:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error(request)

    return httpx.Client(transport=httpx.MockTransport(handler))


def responds(status: int, content: bytes, **headers: str) -> httpx.Client:
    return httpx.Client(
        transport=httpx.MockTransport(
            lambda _request: httpx.Response(status, content=content, headers=headers)
        )
    )


@contextmanager
def listening(response: bytes | None) -> Iterator[str]:
    """Serve one fixed response, or close the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            for _ in range(4):
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    if response:
                        connection.sendall(response)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)  # wakes the thread
    thread.join(30)


FAILURES: dict[str, Callable[[], httpx.Client]] = {
    "wrong secret": lambda: responds(
        401, b'{"error": "invalid_client", "error_description": "AADSTS7000215"}'
    ),
    "network down": lambda: raises(lambda request: httpx.ConnectError("no route", request=request)),
    "time-out": lambda: raises(lambda request: httpx.ReadTimeout("late", request=request)),
    "broken": lambda: raises(lambda request: httpx.ReadError("reset", request=request)),
    "not JSON": lambda: responds(200, b"<html>a page of a proxy</html>"),
    "no token": lambda: responds(200, b"{}"),
    "server error": lambda: responds(500, b"{}"),
    "redirect": lambda: responds(302, b"", location="https://elsewhere.example/"),
    "a bug": lambda: raises(lambda _request: RuntimeError("not foreseen")),
    "interrupted": lambda: raises(lambda _request: SystemExit()),  # type: ignore[arg-type, return-value]
}


# --- every credential --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from datetime import UTC, datetime, timedelta

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(100))
        .sign(key, hashes.SHA256())
    )
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    return encrypted + built.public_bytes(serialization.Encoding.PEM)


def failing_assertion() -> str:
    raise KeyError("of the user's own function")


def make(name: str, certificate: bytes, folder: Any, **settings: Any) -> Any:
    mounted = folder / "token"
    mounted.write_text(FILE_TOKEN)
    secret = ClientSecretCredential(TENANT, CLIENT, SECRET, **settings)
    environ = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": SECRET,
        "ANOTHER_SECRET": ASSERTION,
    }
    client = {"http_client": settings["http_client"]} if "http_client" in settings else {}
    made: dict[str, Callable[[], Any]] = {
        "secret": lambda: secret,
        "secret in a file": lambda: ClientSecretCredential(TENANT, CLIENT, mounted, **settings),
        "certificate": lambda: CertificateCredential(
            TENANT, CLIENT, certificate_data=certificate, password=PASSWORD, **settings
        ),
        "assertion": lambda: ClientAssertionCredential(TENANT, CLIENT, lambda: ASSERTION, **settings),
        "failing assertion": lambda: ClientAssertionCredential(TENANT, CLIENT, failing_assertion, **settings),
        "workload": lambda: WorkloadIdentityCredential(TENANT, CLIENT, mounted, environ={}, **settings),
        "on behalf of": lambda: OnBehalfOfCredential(secret, ASSERTION),
        "environment": lambda: EnvironmentCredential(environ, **settings),
        "chain": lambda: ChainedCredential(EnvironmentCredential({}), secret),
        "managed identity": lambda: ManagedIdentityCredential(
            environ={"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": SECRET}, **client
        ),
        "azure": lambda: BearerAuth(AzureStyle(), SCOPE)._credential,
    }
    return made[name]()


class AzureStyle:
    """A credential like azure-identity's that fails while its secrets are in local variables."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        client_credential = SECRET
        raise RuntimeError(len(client_credential))


CREDENTIALS = [
    "secret", "secret in a file", "certificate", "assertion", "failing assertion", "workload",
    "on behalf of", "environment", "chain", "managed identity", "azure",
]  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
def test_no_frame_of_a_failed_request_holds_a_secret(get, certificate, tmp_path, name):
    for failure, client in FAILURES.items():
        credential = make(name, certificate, tmp_path, http_client=client())
        for _ in range(2):  # the second time, the failure is remembered
            error = caught(partial(get, credential, SCOPE, claims='{"access_token":{}}', rejected=TOKEN))
            assert isinstance(error, TokenAcquisitionError), failure
            assert_nothing_secret(error, SECRETS)


def test_the_users_own_function_keeps_its_traceback(certificate, tmp_path):
    credential = make("failing assertion", certificate, tmp_path, http_client=FAILURES["not JSON"]())
    error = caught(lambda: credential.get_token(SCOPE))
    assert isinstance(error.__cause__, KeyError)
    trace = error.__cause__.__traceback__
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "failing_assertion" in names


@pytest.mark.parametrize(
    "response", [None, b"HTTP/1.1 200 OK\r\n\r\n", b"junk\r\n\r\n", b"HTTP/1.1 400 x\r\n\r\n{}"]
)
@pytest.mark.parametrize("name", ["secret", "certificate", "assertion", "on behalf of"])
def test_no_frame_of_a_real_connection_holds_a_secret(get, certificate, tmp_path, name, response):
    with listening(response) as url:
        credential = make(name, certificate, tmp_path, authority=url)
        error = caught(lambda: get(credential, SCOPE))
    assert isinstance(error, TokenAcquisitionError)
    assert_nothing_secret(error, SECRETS)


def test_a_refused_connection_holds_no_secret(get, certificate, tmp_path):
    for name in ("secret", "certificate", "on behalf of"):
        credential = make(name, certificate, tmp_path, authority="http://127.0.0.1:9")
        assert_nothing_secret(caught(lambda credential=credential: get(credential, SCOPE)), SECRETS)


@pytest.mark.parametrize(
    ("scopes", "options"),
    [
        ((), {}),
        ((["a"],), {}),
        ((SCOPE,), {"claims": "{"}),
        ((SCOPE,), {"tenant_id": CLIENT}),
    ],
)
def test_a_wrong_argument_holds_no_secret(get, certificate, tmp_path, scopes, options):
    credential = make("on behalf of", certificate, tmp_path, http_client=FAILURES["not JSON"]())
    error = caught(lambda: get(credential, *scopes, rejected=TOKEN, **options))
    assert isinstance(error, EntraGuardError)
    assert_nothing_secret(error, SECRETS)


WRONG: dict[str, Callable[[], Any]] = {
    "tenant": lambda: ClientSecretCredential("a b", CLIENT, SECRET),
    "client id": lambda: ClientSecretCredential(TENANT, "a b", SECRET),
    "secret": lambda: ClientSecretCredential(TENANT, CLIENT, f"{SECRET}\n"),
    "several secrets": lambda: ClientSecretCredential(TENANT, CLIENT, [SECRET, f"{SECRET}\n"]),
    "secret with an expiry": lambda: ClientSecret(SECRET, expires_on="soon"),
    "secret with an expiry and a line break": lambda: ClientSecret(f"{SECRET}\n", expires_on="2030-01-31"),
    "certificate as a path": lambda: CertificateCredential(TENANT, CLIENT, f"-----BEGIN {SECRET}"),
    "certificate that is none": lambda: CertificateCredential(
        TENANT, CLIENT, certificate_data=[f"-----BEGIN PRIVATE KEY-----\n{SECRET}"], password=PASSWORD
    ),
    "setting": lambda: ClientSecretCredential(TENANT, CLIENT, SECRET, autority="public"),  # type: ignore[call-arg]
    "proxy": lambda: ClientSecretCredential(TENANT, CLIENT, SECRET, proxy=f"user:{PASSWORD}@proxy"),
    "argument": lambda: ClientSecretCredential(TENANT, CLIENT, SECRET, "too many"),  # type: ignore[call-arg]
    "certificate": lambda: CertificateCredential(
        TENANT, CLIENT, certificate_data=f"-----BEGIN {SECRET}".encode(), password=PASSWORD
    ),
    "certificate's password": lambda: CertificateCredential(
        TENANT, CLIENT, certificate_data=b"\x30\x03\x02\x01\x03", password=PASSWORD
    ),
    "assertion": lambda: OnBehalfOfCredential(
        ClientSecretCredential(TENANT, CLIENT, SECRET), f"Bearer {ASSERTION}"
    ),
    "application": lambda: OnBehalfOfCredential(None, ASSERTION),  # type: ignore[arg-type]
    "environment": lambda: EnvironmentCredential({"AZURE_CLIENT_SECRET": SECRET, "OTHER": PASSWORD}),
    "environment's certificate": lambda: EnvironmentCredential(
        {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere/at/all",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": PASSWORD,
        }
    ),
    "redis": lambda: RedisTokens(f"redis://:{PASSWORD}@", key=SECRET),
    "redis key": lambda: RedisTokens(
        f"redis://:{PASSWORD}@localhost", key=base64.b64encode(b"short").decode()
    ),
    "workload": lambda: WorkloadIdentityCredential(environ={"SECRET": SECRET}),
    "auth": lambda: ClientSecretCredential(TENANT, CLIENT, SECRET).auth(),
    "graph": lambda: GraphClient(ClientSecretCredential(TENANT, CLIENT, SECRET), cloud="none"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_setting_holds_no_secret(what):
    error = caught(WRONG[what])
    assert isinstance(error, ConfigurationError | TypeError)
    assert_nothing_secret(error, SECRETS)


# --- on requests -------------------------------------------------------------------------------------

CHALLENGE = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1"}}}').decode()


def rejecting(request: httpx.Request) -> httpx.Response:
    """An endpoint that issues a token once, and an API that rejects it with a claims challenge."""
    if request.url.path.endswith("/token"):
        if b"nbf" in request.content:
            return httpx.Response(400, json={"error": "invalid_grant"})
        return httpx.Response(200, json={"access_token": TOKEN, "expires_in": 3600})
    header = f'Bearer error="insufficient_claims", claims="{CHALLENGE}"'
    return httpx.Response(401, headers={"www-authenticate": header}, json={})


def rejected_credential() -> ClientSecretCredential:
    client = httpx.Client(transport=httpx.MockTransport(rejecting))
    return ClientSecretCredential(TENANT, CLIENT, SECRET, http_client=client)


def test_an_auth_whose_token_is_rejected_holds_no_token():
    auth = rejected_credential().auth(SCOPE)
    with httpx.Client(transport=httpx.MockTransport(rejecting), auth=auth) as client:
        error = caught(lambda: client.get("https://api.example/"))
    assert isinstance(error, TokenAcquisitionError)
    assert_nothing_secret(error, SECRETS)


def test_an_async_auth_whose_token_is_rejected_holds_no_token():
    async def run() -> None:
        transport = httpx.MockTransport(rejecting)
        async with httpx.AsyncClient(transport=transport, auth=rejected_credential().auth(SCOPE)) as client:
            await client.get("https://api.example/")

    error = caught(lambda: asyncio.run(run()))
    assert isinstance(error, TokenAcquisitionError)
    assert_nothing_secret(error, SECRETS)


def issuing() -> ClientSecretCredential:
    """Return a credential that gets the token."""
    token = b'{"access_token": "%b", "expires_in": 3600}' % TOKEN.encode()
    return ClientSecretCredential(TENANT, CLIENT, SECRET, http_client=responds(200, token))


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_users_own_client_that_fails_holds_no_token(library):
    async def run(url: str) -> None:
        async with library.AsyncClient(auth=issuing().auth(SCOPE), trust_env=False) as client:
            await client.get(url, headers=ILLEGAL)

    with (
        listening(None) as url,
        library.Client(auth=issuing().auth(SCOPE), trust_env=False) as client,
    ):
        for call in (lambda: client.get(url, headers=ILLEGAL), lambda: asyncio.run(run(url))):
            error = caught(call)
            assert isinstance(error, library.LocalProtocolError)
            assert error.__traceback__ is not None
            assert_nothing_secret(error, SECRETS)


@pytest.mark.parametrize("failure", FAILURES)
def test_headers_for_other_clients_hold_no_secret_when_they_fail(failure, certificate, tmp_path):
    auth = make("on behalf of", certificate, tmp_path, http_client=FAILURES[failure]()).auth(
        SCOPE, hosts=["api.example"]
    )
    for call in (
        lambda: auth.headers_for("https://api.example/"),
        lambda: asyncio.run(auth.aheaders_for("https://api.example/")),
    ):
        assert_nothing_secret(caught(call), SECRETS)


GRAPH_CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda graph: graph.get("/users"),
    "post": lambda graph: graph.post("/users", {"passwordProfile": {"password": PASSWORD}}),
    "iterate": lambda graph: list(graph.iterate("/users")),
    "aget": lambda graph: asyncio.run(graph.aget("/users")),
    "apost": lambda graph: asyncio.run(graph.apost("/users", {"passwordProfile": {"password": PASSWORD}})),
    "aiterate": lambda graph: asyncio.run(collected(graph)),
}


async def collected(graph: Any) -> list[Any]:
    return [user async for user in graph.aiterate("/users")]


GRAPH_FAILURES: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "refused": lambda _request: httpx.Response(403, json={"error": {"code": "Denied", "message": "no"}}),
    "rejected": rejecting,
    "not JSON": lambda _request: httpx.Response(200, content=b"<html>"),
}


def no_route(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize("call", GRAPH_CALLS)
@pytest.mark.parametrize("failure", [*GRAPH_FAILURES, "network down"])
def test_a_graph_client_holds_no_token_when_it_fails(call, failure):
    transport = httpx.MockTransport(GRAPH_FAILURES.get(failure, no_route))
    graph = GraphClient(
        rejected_credential(),
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
        tries=1,
    )
    error = caught(lambda: GRAPH_CALLS[call](graph))
    assert isinstance(error, EntraGuardError)
    assert_nothing_secret(error, SECRETS)


def test_a_graph_client_of_our_own_holds_no_token_when_the_connection_breaks():
    with listening(None) as url:
        graph = GraphClient(rejected_credential(), base_url=url, tries=1)
        for call in ("get", "post", "aget"):
            assert_nothing_secret(caught(lambda call=call: GRAPH_CALLS[call](graph)), SECRETS)
        graph.close()


@pytest.mark.parametrize("failure", [*GRAPH_FAILURES, "network down"])
@pytest.mark.parametrize("how", ["verify", "averify"])
def test_a_guard_that_resolves_groups_holds_no_token_when_graph_fails(failure, how):
    entra = Entra(seed=7)
    client = httpx.Client(transport=httpx.MockTransport(GRAPH_FAILURES.get(failure, no_route)))
    guard = entra.guard(groups=GroupResolver(rejected_credential(), http_client=client, tries=1))
    token = entra.token(user="alice", scopes=["access_as_user"], preset="group-overage")
    call = guard.verify if how == "verify" else lambda token: asyncio.run(guard.averify(token))
    error = caught(lambda: call(token))
    assert isinstance(error, EntraGuardError)
    assert_nothing_secret(error, [*SECRETS, *token.split(".")])
