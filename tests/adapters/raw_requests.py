"""Requests as servers hand them on: ASGI scopes and WSGI environs, whatever their headers hold."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class RawResponse:
    """The parts of a response that the guard decides."""

    status: int
    challenge: str | None
    content_type: str
    retry_after: str | None
    cache_control: str | None
    body: bytes


def request_asgi(
    app: Any,
    path: str,
    authorization: list[bytes],
    *,
    method: str = "GET",
    headers: Any = (),
    root_path: str = "",
) -> RawResponse:
    """One HTTP request to an ASGI application."""
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        waiting = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.sleep(3600)
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = _scope(path, authorization, method, headers) | {"root_path": root_path}
        await app(scope, receive, send)

    asyncio.run(run())
    start = next(message for message in sent if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in sent)
    fields = {bytes(n).decode().lower(): bytes(v).decode() for n, v in start["headers"]}
    return _raw_response(start["status"], fields, body)


def _scope(path: str, authorization: list[bytes], method: str, headers: Any) -> dict[str, Any]:
    raw = path.encode()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": raw,
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers, *((b"authorization", a) for a in authorization)],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }


def environ_of(
    path: str, authorization: list[bytes], *, method: str = "GET", headers: Any = ()
) -> dict[str, Any]:
    """A WSGI environ; several headers of one name are joined with a comma, as servers do it."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path).encode().decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        environ[f"HTTP_{name.decode().upper().replace('-', '_')}"] = value.decode()
    if authorization:
        environ["HTTP_AUTHORIZATION"] = b",".join(authorization).decode("latin-1")
    return environ


def request_wsgi(
    app: Any, path: str, authorization: list[bytes], *, method: str = "GET", headers: Any = ()
) -> RawResponse:
    """One request to a WSGI application, its body read and closed as PEP 3333 has it."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, fields))
        return lambda _data: None

    chunks = app(environ_of(path, authorization, method=method, headers=headers), start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    [(status, fields)] = started
    return _raw_response(int(status.split()[0]), {n.lower(): v for n, v in fields}, body)


def _raw_response(status: int, headers: dict[str, str], body: bytes) -> RawResponse:
    return RawResponse(
        status,
        headers.get("www-authenticate"),
        headers.get("content-type", ""),
        headers.get("retry-after"),
        headers.get("cache-control"),
        without_request_id(headers, body),
    )


def without_request_id(headers: dict[str, str], body: bytes) -> bytes:
    """Return the body of a refusal without the id of the request, which its header has, too."""
    if not body or headers.get("content-type") != "application/problem+json":
        return body
    problem = json.loads(body)
    if "extra" in problem:  # as Litestar writes its errors
        assert problem["extra"]["request_id"] == headers["x-request-id"]
        return body
    if "own" in problem:  # a handler of the application
        return body
    assert problem.pop("request_id") == headers["x-request-id"]
    return json.dumps(problem).encode()
