"""A whole request through Starlette: guarded, against a middleware that does nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks._fixture import Fixture
from benchmarks._measure import per_call, table
from entra_guard._common.telemetry import TELEMETRY, Telemetry
from entra_guard._web.decisions import is_observed
from entra_guard.asgi import GuardMiddleware


class Nothing:
    """The least a middleware can do."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def hello(_request: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


def app_with(*middleware: Middleware) -> Starlette:
    return Starlette(routes=[Route("/", hello)], middleware=list(middleware))


def scope_for(token: str) -> dict[str, Any]:
    names = (b"host", b"user-agent", b"accept", b"accept-encoding", b"connection")
    headers = [(name, b"whatever it says") for name in names]
    return {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"",
        "scheme": "http", "server": ("test", 80), "client": ("test", 1), "http_version": "1.1",
        "headers": [*headers, (b"authorization", b"Bearer " + token.encode())],
    }  # fmt: skip


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: object) -> None:
    pass


async def microseconds(app: Any, scope: dict[str, Any], number: int) -> float:
    began = time.thread_time()
    for _ in range(number):
        await app(dict(scope), receive, send)
    return (time.thread_time() - began) / number * 1e6


async def in_process(fixture: Fixture) -> list[tuple[object, ...]]:
    guarded = app_with(Middleware(GuardMiddleware, guard=fixture.guard()))
    idle, scope = app_with(Middleware(Nothing)), scope_for(fixture.token())
    added, whole = [], []
    for _ in range(41):
        base = await microseconds(idle, scope, 1000)
        ours = await microseconds(guarded, scope, 1000)
        added.append(ours - base)
        whole.append(base)
    return [(f"{statistics.median(whole):.1f}", f"{statistics.median(added):.2f}", "<= 4")]


async def with_telemetry(fixture: Fixture) -> list[tuple[object, ...]]:
    """Measure a guarded request without OpenTelemetry, with its API alone, and with providers.

    In one process and in turns, so that noise of the machine affects all of them.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    logging.getLogger("entra_guard").setLevel(logging.WARNING)
    app, scope = app_with(Middleware(GuardMiddleware, guard=fixture.guard())), scope_for(fixture.token())
    metered = Telemetry()
    metered.connect(meter_provider=MeterProvider([InMemoryMetricReader()]), tracer_provider=TracerProvider())
    kinds: dict[str, list[float]] = {"no provider": [], "no provider, again": [], "metrics and spans": []}
    for _ in range(41):
        for kind, times in kinds.items():
            is_on = kind == "metrics and spans"
            TELEMETRY.metrics, TELEMETRY.tracer = (metered.metrics, metered.tracer) if is_on else (None, None)
            TELEMETRY.is_on = is_on
            times.append(await microseconds(app, scope, 500))
    TELEMETRY.disconnect()
    base = statistics.median(kinds["no provider"])
    rows: list[tuple[object, ...]] = []
    for kind, times in kinds.items():
        median = statistics.median(times)
        rows.append((kind, f"{median:.1f}", f"{median / base:.2f}"))
    return [*rows, ("what a request without a provider checks", f"{checks():.2f}", f"{checks() / base:.3f}")]


def checks() -> float:
    """Return the microseconds of all that a request executes for logs at DEBUG, metrics and spans."""

    def once() -> None:
        is_observed()
        if TELEMETRY.metrics is not None:  # in the guard
            raise AssertionError

    def nothing() -> None:
        pass

    return max(0.0, per_call(once, 100_000) - per_call(nothing, 100_000))


def serve_here(kind: str, port: int) -> None:
    """Print a token, and serve until interrupted: what `serve` starts in a process of its own."""
    import uvicorn

    fixture = Fixture()
    guarded = Middleware(GuardMiddleware, guard=fixture.guard())
    print(fixture.token(), flush=True)
    app = app_with(guarded if kind == "guarded" else Middleware(Nothing))
    uvicorn.run(app, port=port, log_level="critical", loop="uvloop")


def serve(kind: str, port: int) -> tuple[subprocess.Popen[str], str]:
    code = f"from benchmarks.request import serve_here; serve_here({kind!r}, {port})"
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    token = process.stdout.readline().strip()
    time.sleep(1)
    return process, token


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, token: str, seconds: int) -> str:
    wrk = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s", "--latency"]
    command = [*wrk, "-H", f"Authorization: Bearer {token}", f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def under_uvicorn(kind: str, port: int) -> tuple[object, ...]:
    process, token = serve(kind, port)
    try:
        load(port, token, 1)
        before = cpu_seconds(process.pid)
        output = load(port, token, 4)
        used = cpu_seconds(process.pid) - before
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
    requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    wrong = re.search(r"Non-2xx[^\d]*(\d+)", output)
    p50, p99 = (re.search(rf"^\s+{share}%\s+(\S+)", output, re.MULTILINE)[1] for share in (50, 99))  # type: ignore[index]
    return f"{requests / used:,.0f}", p50, p99, wrong[1] if wrong else 0


def main() -> None:
    fixture = Fixture()
    table(
        "A whole request, in process",
        ("bare app, µs", "the guard adds, µs", "bar"),
        asyncio.run(in_process(fixture)),
        name="request",
    )
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        print("\nopentelemetry-sdk is missing: pip install 'entra-guard[dev]'")
    else:
        table(
            "A whole guarded request, with OpenTelemetry",
            ("", "µs", "ratio"),
            asyncio.run(with_telemetry(fixture)),
            name="telemetry",
        )
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        print("\nwrk or taskset is missing: no load test (Debian: apt-get install wrk util-linux)")
        return
    rows: list[tuple[object, ...]] = []
    for number, kind in enumerate(("bare", "guarded") * 2):
        rows.append((kind, *under_uvicorn(kind, 18500 + number)))
    head = ("uvicorn with uvloop", "requests per CPU-second", "p50", "p99", "not 2xx")
    table("Under uvicorn, wrk on another core", head, rows, name="uvicorn")


if __name__ == "__main__":
    main()
