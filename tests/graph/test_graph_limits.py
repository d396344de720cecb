"""A call of Graph ends in time, whatever the server does, and collections of empty pages end."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
from manual_clock import ManualClock

from entra_guard.credentials import ChainedCredential
from entra_guard.errors import ConfigurationError, FetchError, TokenAcquisitionError
from entra_guard.graph import GraphClient, GraphError
from entra_guard.graph._retry import GraphRequest, Pause, RetryPolicy, send_with_retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graph_entra import Call, GraphEntra

GET = GraphRequest("GET", "https://graph.example")
SILENCE = FetchError("timeout", "https://graph.example", "no response in time")


def course(response: Any, seconds: float, request: GraphRequest = GET, **policy: Any) -> list[float]:
    """Return the limits and pauses of a call whose tries all end alike, after some seconds each."""
    clock, seen = ManualClock(), []
    flow = send_with_retries(request, RetryPolicy(clock=clock, jitter=lambda: 1.0, **policy))
    step = next(flow)
    try:
        while True:
            if isinstance(step, Pause):
                clock.advance(step.seconds)
                step = flow.send(None)
            else:
                seen.append(step.timeout)
                clock.advance(min(seconds, step.timeout))
                step = flow.send(response)
    except (GraphError, FetchError):
        return [*seen, clock.now]


def test_silence_costs_the_time_of_one_call_and_not_of_each_try() -> None:
    assert course(SILENCE, seconds=30.0) == [60.0, 29.0, 60.0]
    assert course(SILENCE, seconds=1000.0) == [60.0, 60.0]
    assert course(SILENCE, seconds=1000.0, timeout=5.0) == [5.0, 5.0]


def test_no_retry_begins_after_the_end() -> None:
    throttled = httpx.Response(429, headers={"retry-after": "20"}, json={})
    assert course(throttled, seconds=0.0, timeout=50.0) == [50.0, 30.0, 10.0, 40.0]
    assert course(throttled, seconds=0.0, timeout=19.0) == [19.0, 0.0]


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"timeout": -1}, {"timeout": "5"}, {"timeout": True}])
def test_a_timeout_is_a_number_of_seconds(entra: GraphEntra, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be seconds"):
        entra.graph_client(**settings)


class SilentServer:
    """Accepts connections, and sends one byte of a response from time to time."""

    def __init__(self, *, drip: bool) -> None:
        self._drip = drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._send, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _send(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not self._ended.wait(0.05):
                    if self._drip:
                        connection.sendall(b"x")
            except OSError:
                pass


@pytest.fixture(params=[False, True], ids=["silent", "one byte at a time"])
def server(request: pytest.FixtureRequest) -> Iterator[SilentServer]:
    with SilentServer(drip=request.param) as server:
        yield server


@pytest.mark.parametrize("client", ["our own", "the user's"])
def test_a_server_that_never_ends_its_response_costs_the_time_of_one_call(
    entra: GraphEntra, call: Call, server: SilentServer, client: str
) -> None:
    given: dict[str, Any] = {"http_client": None, "async_http_client": None}
    if client == "the user's":
        given = {
            "http_client": httpx.Client(timeout=60.0),
            "async_http_client": httpx.AsyncClient(timeout=60.0),
        }
    graph = entra.graph_client(base_url=server.url, timeout=0.4, **given)
    with pytest.raises(FetchError) as caught:
        call(graph, "get", "/users")
    assert caught.value.step == "timeout"
    graph.close()


def test_the_wait_for_a_token_is_part_of_the_call(entra: GraphEntra, call: Call) -> None:
    released = threading.Event()

    class Slow:
        def get_token(self, *_scopes: str, **_options: Any) -> Any:
            released.wait(20)
            raise RuntimeError

    graph = GraphClient(
        ChainedCredential(Slow()), base_url=entra.url, timeout=0.2, http_client=httpx.Client()
    )
    try:
        with pytest.raises((FetchError, TokenAcquisitionError)) as caught:
            call(graph, "get", "/users")
        assert "timeout" in (getattr(caught.value, "step", ""), getattr(caught.value, "error", ""))
    finally:
        released.set()
        graph.close()


# --- empty pages -------------------------------------------------------------------------------------


def paging(number_of_empty_pages: float) -> tuple[list[int], Any]:
    """Return a Graph whose collection has that number of empty pages before its one item."""
    pages: list[int] = []

    def graph(request: httpx.Request) -> httpx.Response:
        pages.append(len(pages))
        assert len(pages) < 300
        if len(pages) > number_of_empty_pages:
            return httpx.Response(200, json={"value": [{"id": "1"}]})
        link = f"https://{request.url.host}/v1.0/users?$skiptoken={len(pages)}"
        return httpx.Response(200, json={"value": [], "@odata.nextLink": link})

    return pages, graph


def test_empty_pages_without_end_are_an_error(entra: GraphEntra, call: Call) -> None:
    pages, graph = paging(float("inf"))
    with pytest.raises(GraphError, match="100 pages in a row were empty"):
        call(entra.graph_client_for(graph), "iterate", "/users")
    assert len(pages) == 100


def test_a_few_empty_pages_are_normal(entra: GraphEntra, call: Call) -> None:
    _pages, graph = paging(99)
    assert call(entra.graph_client_for(graph), "iterate", "/users") == [{"id": "1"}]
