"""Hosts with dead addresses: connection attempts are staggered, and the sockets that lose are closed."""

from __future__ import annotations

import gc
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from closed_ports import closed_port

from entra_guard import Guard
from entra_guard._common.connect import _interleaved, connect
from entra_guard.credentials import ClientSecretCredential
from entra_guard.emulator import GRAPH, Emulator
from entra_guard.graph import GraphClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEAD = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
LIVE = "127.0.0.1"
HOST = "entra.localhost"
OPEN_FILES = Path("/proc/self/fd")


@contextmanager
def black_holes(port: int) -> Iterator[None]:
    """Drop every connection attempt to DEAD: the queues of these listeners are full."""
    with ExitStack() as stack:
        for address in DEAD:
            stack.enter_context(socket.create_server((address, port), backlog=0))
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex((address, port))
        yield


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let HOST resolve to the addresses that are given."""
    real = socket.getaddrinfo

    def use(*addresses: str) -> None:
        def getaddrinfo(host: Any, port: Any, *rest: Any, **settings: Any) -> list[Any]:
            if host not in (HOST, HOST.encode()):
                return real(host, port, *rest, **settings)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port)))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use


@pytest.fixture
def entra() -> Iterator[Emulator]:
    with Emulator() as entra:
        yield entra


def test_guard_gets_keys_from_the_live_address_among_dead_ones(
    entra: Emulator, resolves: Callable[..., None]
) -> None:
    url, port = dead_first(entra, resolves)
    api = entra.register_app("Orders API", app_roles=["Orders.Read"])
    guard = Guard(tenant=entra.tenant_id, audience=api.client_id, authority=url)
    with black_holes(port):
        roles = guard.verify(entra.issue_token(api, roles=["Orders.Read"], base_url=url)).roles
    assert roles == ("Orders.Read",)


def test_credential_gets_a_token_and_graph_responds_from_the_live_address_among_dead_ones(
    entra: Emulator, resolves: Callable[..., None]
) -> None:
    url, port = dead_first(entra, resolves)
    daemon = entra.register_app("Daemon")
    entra.grant(daemon, GRAPH, "User.Read.All")
    secret = entra.add_secret(daemon).value
    credential = ClientSecretCredential(entra.tenant_id, daemon.client_id, secret, authority=url)
    with black_holes(port), GraphClient(credential, base_url=url, scope=f"{GRAPH}/.default") as graph:
        assert graph.get("/users")["value"]


def dead_first(entra: Emulator, resolves: Callable[..., None]) -> tuple[str, int]:
    """Let the emulator be the last address of a host whose other addresses are dead; return its URL and port."""
    resolves(*DEAD, LIVE)
    port = urlsplit(entra.url).port
    assert port is not None
    return f"http://{HOST}:{port}", port


def test_every_address_gets_its_turn_however_many_are_dead(resolves: Callable[..., None]) -> None:
    with socket.create_server((LIVE, 0)) as live, black_holes(port := live.getsockname()[1]):
        resolves(*DEAD * 6, LIVE)
        with connect(HOST, port, 30.0) as connection:
            assert connection.getpeername() == (LIVE, port)


def test_an_address_that_refuses_is_passed_over_at_once_and_an_error_names_the_last(
    resolves: Callable[..., None],
) -> None:
    with socket.create_server((LIVE, 0)) as live:
        port = live.getsockname()[1]
        resolves(*DEAD, LIVE)
        with connect(HOST, port, 30.0) as connection:
            assert connection.getpeername() == (LIVE, port)
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        connect(HOST, port, 30.0)


def test_dead_addresses_alone_end_in_a_timeout(resolves: Callable[..., None]) -> None:
    resolves(*DEAD)
    with closed_port() as port, black_holes(port), pytest.raises(TimeoutError):
        connect(HOST, port, 0.1)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
def test_no_socket_of_a_lost_attempt_stays_open(resolves: Callable[..., None]) -> None:
    def count() -> int:
        gc.collect()
        return len(list(OPEN_FILES.iterdir()))

    with socket.create_server((LIVE, 0)) as live, black_holes(port := live.getsockname()[1]):
        before = count()
        resolves(*DEAD, LIVE)
        connect(HOST, port, 30.0).close()
        resolves(*DEAD)
        with pytest.raises(TimeoutError):
            connect(HOST, port, 0.05)
        assert count() == before


def test_address_that_accepted_last_time_is_tried_first(resolves: Callable[..., None]) -> None:
    with socket.create_server((LIVE, 0)) as live, black_holes(port := live.getsockname()[1]):
        resolves(*DEAD, LIVE)
        with connect(HOST, port, 30.0, first=(LIVE, port)) as connection:
            assert connection.getpeername() == (LIVE, port)


def test_address_families_alternate_in_the_resolvers_order() -> None:
    def address(family: socket.AddressFamily, host: str) -> Any:
        return (family, socket.SOCK_STREAM, 6, "", (host, 443))

    six, four = socket.AF_INET6, socket.AF_INET
    given = [address(six, "a"), address(six, "b"), address(six, "c"), address(four, "x"), address(four, "y")]
    assert [each[4][0] for each in _interleaved(given)] == ["a", "x", "b", "y", "c"]


def test_a_connection_that_is_seen_after_the_limit_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 0.0, 60.0])  # this thread had no CPU time for a minute
    with socket.create_server((LIVE, 0)) as server:
        monkeypatch.setattr("entra_guard._common.connect.time", SimpleNamespace(monotonic=times.__next__))
        with connect(*server.getsockname(), seconds=5.0) as connection:
            assert connection.getpeername() == server.getsockname()
