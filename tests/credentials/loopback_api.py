"""An API on loopback that records requests and answers as it is told. It judges no token."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, dict[str, str | list[str]]]


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    host: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Api:
    """What came in, and what is answered next; 200 where nothing was told."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    answers: list[Answer | Callable[[Seen], Answer]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """The same server under another host's name."""
        return f"http://localhost:{self.port}"

    def answer(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        told = self.answers.pop(0) if self.answers else (200, {})
        return told(seen) if callable(told) else told


@contextmanager
def serving() -> Iterator[Api]:
    """Serve on a free port of 127.0.0.1."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            seen = Seen(self.headers["host"], self.path, self.headers.get("authorization"), body)
            status, headers = api.answer(seen)
            self.send_response(status)
            for name, values in headers.items():
                for value in [values] if isinstance(values, str) else values:
                    self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_request: object) -> None:
            """Clients may go when they have what they want."""

    with Server(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
