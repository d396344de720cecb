"""An API on loopback that records requests and sends prepared responses. It does not check tokens."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Response = tuple[int, dict[str, str | list[str]]]


@dataclass(frozen=True)
class ReceivedRequest:
    """A received request."""

    host: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Api:
    """The received requests and the next responses; 200 if none is prepared."""

    port: int = 0
    received: list[ReceivedRequest] = field(default_factory=list)
    responses: list[Response | Callable[[ReceivedRequest], Response]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """The same server with another host name."""
        return f"http://localhost:{self.port}"

    def respond(self, request: ReceivedRequest) -> Response:
        self.received.append(request)
        response = self.responses.pop(0) if self.responses else (200, {})
        return response(request) if callable(response) else response


@contextmanager
def serving() -> Iterator[Api]:
    """Serve on a free port of 127.0.0.1."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = ReceivedRequest(
                self.headers["host"], self.path, self.headers.get("authorization"), body
            )
            status, headers = api.respond(request)
            self.send_response(status)
            for name, values in headers.items():
                for value in [values] if isinstance(values, str) else values:
                    self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  # http.server requires this name

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_request: object) -> None:
            """Ignore clients that close their connection early."""

    with Server(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
