"""An API that the real guard protects, on the emulator's own pages, with the operator's log line."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.types import ASGIApp, Message

    from entra_guard.emulator._store.entries import AppRegistration
    from entra_guard.guard import Guard

PATH: Final = "/orders"
_LOGGERS: Final = ("entra_guard", "entra_guard.keys")
_calls: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class SampleResponse:
    """What the sample API responded, and what its operator sees in the log."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str = field(repr=False)
    log: tuple[str, ...] = ()

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


def write_role(api: AppRegistration) -> str:
    """Return the role that writing requires: the API's last one; '' if it has no roles."""
    return next((role.value for role in reversed(api.app_roles) if role.enabled), "")


def sample_app(guard: Guard, role: str) -> ASGIApp:
    """Return a Starlette application behind the guard's middleware.

    Args:
        guard: The guard.
        role: The role that POST requires; '' for none.
    """
    from starlette.applications import Starlette  # noqa: PLC0415 (needed only on these pages)
    from starlette.responses import JSONResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    from entra_guard.asgi import GuardMiddleware  # noqa: PLC0415
    from entra_guard.requirement import requires  # noqa: PLC0415

    async def list_orders(_request: Request) -> JSONResponse:
        return JSONResponse({"orders": ["A-1001", "A-1002"], **_caller()})

    async def place_order(_request: Request) -> JSONResponse:
        return JSONResponse({"order": "A-1003", **_caller()}, 201)

    write = requires(roles=[role])(place_order) if role else place_order
    app = Starlette(routes=[Route(PATH, list_orders), Route(PATH, write, methods=["POST"])])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


def _caller() -> dict[str, Any]:
    from entra_guard.principal import current_principal  # noqa: PLC0415 (needed only on these pages)

    caller = current_principal()
    kind = "app" if caller.is_app else "user"
    return {"called_by": caller.app_id, "as": kind, "roles": [*caller.roles], "scopes": [*caller.scopes]}


def call_sample_api(guard: Guard, role: str, method: str, authorization: Sequence[str]) -> SampleResponse:
    """Send a request for /orders to an API behind this guard; return its response and log lines.

    Args:
        guard: The guard.
        role: The role that POST requires; '' for none.
        method: GET or POST.
        authorization: The values of the Authorization headers.
    """
    result: list[SampleResponse] = []

    def run() -> None:
        with _own_log_lines(guard.authority.url) as lines:
            status, headers, body = asyncio.run(_exchange(sample_app(guard, role), method, authorization))
        result.append(SampleResponse(status, headers, body, tuple(lines)))

    # In another thread: the emulator's server already runs an event loop in this one.
    with _calls:
        thread = threading.Thread(target=run, name="sample-api", daemon=True)
        thread.start()
        thread.join()
    if not result:
        raise RuntimeError("The sample API failed; the error is in the emulator's own output.")
    return result[0]


async def _exchange(
    app: ASGIApp, method: str, authorization: Sequence[str]
) -> tuple[int, tuple[tuple[str, str], ...], str]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"sample-api.localhost")]
    headers += [(b"authorization", value.encode("utf-8", "replace")) for value in authorization]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    shown = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return start["status"], shown, body.decode("utf-8", "replace")


class _OwnLines(logging.Filter):
    """Keep the log lines of one call, and take them out of the log. Other lines pass.

    Keys are fetched on another thread: their lines are known by the authority's URL.
    """

    def __init__(self, thread: int, authority: str) -> None:
        super().__init__()
        self._thread = thread
        self._authority = authority
        self.lines: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.thread != self._thread and self._authority not in text:
            return True
        self.lines.append(f"{record.levelname} {record.name}: {text}")
        return False


@contextmanager
def _own_log_lines(authority: str) -> Generator[list[str]]:
    """Collect the guard's log lines of one call. They do not appear in the emulator's terminal."""
    own = _OwnLines(threading.get_ident(), authority)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addFilter(own)
        logger.setLevel(logging.INFO)
    try:
        yield own.lines
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeFilter(own)
            logger.setLevel(level)
