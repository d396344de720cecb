"""`python -m benchmarks.threads`: Flask under gunicorn's threads, bare and guarded, with 1, 2 and 4 threads.

Verifying an RSA signature holds Python's lock, so threads add nothing to a first sight. Cached tokens are a
small part of a request, so what threads do for the bare application they do for the guarded one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from flask import Flask

import entra_guard.flask
from benchmarks import _progress
from benchmarks._fixture import Fixture
from benchmarks._measure import table
from benchmarks._processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

THREADS: Final = (1, 2, 4)
SECONDS: Final = 3


def application(kind: str) -> Flask:
    """Return the application that gunicorn serves. Its token is printed."""
    app = Flask("benchmark")

    @app.get("/")
    def hello() -> str:
        return "hello"

    if kind == "guarded":
        fixture = Fixture()
        entra_guard.flask.init_app(app, fixture.guard())
        print(fixture.token(), flush=True)
    else:
        print("none", flush=True)
    return app


def start(kind: str, threads: int, port: int) -> tuple[subprocess.Popen[str], str]:
    """Start gunicorn with one worker; return it and a token that it accepts."""
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", "1", "--threads", str(threads)]
    target = f"benchmarks.threads:application({kind!r})"
    process = subprocess.Popen(
        [*command, "-b", f"127.0.0.1:{port}", "--log-level", "critical", target],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    token = process.stdout.readline().strip()
    ended = time.monotonic() + 20
    while time.monotonic() < ended:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, token
        time.sleep(0.05)
    raise RuntimeError("gunicorn did not start within 20 s")


def throughput(kind: str, threads: int) -> float:
    """Return the requests per second that wrk completes."""
    port = free_port()
    process, token = start(kind, threads, port)
    wrk = [
        "wrk",
        "-t1",
        "-c8",
        f"-d{SECONDS}s",
        "-H",
        f"Authorization: Bearer {token}",
        f"http://127.0.0.1:{port}/",
    ]
    try:
        subprocess.run([*wrk[:3], "-d1s", *wrk[4:]], capture_output=True, check=True)
        output = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Non-2xx" not in output, output
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


def rows() -> Iterator[tuple[object, ...]]:
    for threads in _progress.steps(THREADS, lambda count: f"{count} threads"):
        best: dict[str, float] = {}
        for kind in ("bare", "guarded") * 2:  # in turn; the better of two, as noise only slows
            best[kind] = max(best.get(kind, 0.0), throughput(kind, threads))
        share = best["guarded"] / best["bare"]
        yield threads, f"{best['bare']:,.0f}", f"{best['guarded']:,.0f}", f"{share:.0%}"


def main() -> None:
    if shutil.which("wrk") is None:
        print("\nthreads: wrk is missing (Debian: apt-get install wrk)")
        return
    head = ("threads of one gunicorn worker", "bare Flask, requests/s", "guarded, requests/s", "share")
    title = f"A multi-threaded WSGI server ({os.cpu_count()} CPUs, wrk on the same machine)"
    table(title, head, rows(), name="threads")


if __name__ == "__main__":
    main()
