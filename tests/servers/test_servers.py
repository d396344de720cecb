"""The guard under real servers: several workers, forked before and after its first use, on every loop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from entra_guard.emulator import AppRegistration, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
# Each request has a connection of its own, so that any worker may respond.
CLIENT = httpx.Client(verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
PREFLIGHT = {"origin": "https://spa.example", "access-control-request-method": "DELETE"}


@dataclass(frozen=True)
class Server:
    """A server: the command, with {fd} for the socket to serve on, and what to expect of it."""

    command: str
    workers: int = 1
    loop: str = ""
    used_before_fork: bool = False
    https: bool = False


SERVERS = {
    "uvicorn, asyncio": Server("uvicorn served:asgi --fd {fd} --loop asyncio --lifespan off", loop="asyncio"),
    "uvicorn, two workers, uvloop": Server(
        "uvicorn served:asgi --fd {fd} --loop uvloop --workers 2 --lifespan off", workers=2, loop="uvloop"
    ),
    "hypercorn, trio": Server("hypercorn served:asgi -b fd://{fd} -k trio", loop="trio"),
    "gunicorn, each worker builds a guard": Server("gunicorn served:wsgi -b fd://{fd} -w 2", workers=2),
    "gunicorn, built before the fork": Server("gunicorn served:wsgi -b fd://{fd} -w 2 --preload", workers=2),
    "gunicorn, used before the fork": Server(
        "gunicorn served:wsgi -b fd://{fd} -w 2 --preload", workers=2, used_before_fork=True
    ),
    "gunicorn, threads, used before the fork": Server(
        "gunicorn served:wsgi -b fd://{fd} -w 2 -k gthread --threads 4 --preload",
        workers=2,
        used_before_fork=True,
    ),
    "gunicorn, asyncio, used before the fork": Server(
        "gunicorn served:asgi -b fd://{fd} -w 2 -k asgi --asgi-loop asyncio --preload",
        workers=2,
        loop="asyncio",
        used_before_fork=True,
    ),
    "gunicorn, gevent": Server("gunicorn served:wsgi -b fd://{fd} -w 2 -k gevent", workers=2, https=True),
    "gunicorn, gevent, built before the fork": Server(
        "gunicorn served:wsgi -b fd://{fd} -w 2 -k gevent --preload", workers=2, https=True
    ),
    "gunicorn, gevent, used before the fork": Server(
        "gunicorn served:wsgi -b fd://{fd} -w 2 -k gevent --preload",
        workers=2,
        used_before_fork=True,
        https=True,
    ),
}


@contextmanager
def served(server: Server, environ: dict[str, str]) -> Iterator[str]:
    """Start the server on a socket of ours: connections wait in it until the server is ready."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.set_inheritable(True)
    command = server.command.format(fd=listener.fileno()).split()
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed below; a pipe would block the server when full
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=HERE,
        env={**os.environ, **environ},
        pass_fds=[listener.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=errors,
        text=True,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.close()
        process.send_signal(signal.SIGTERM)
        process.wait(45)  # gunicorn gives its workers 30 s; a gevent worker forked after use may take them
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(120)
        errors.seek(0)
        sys.stderr.write(errors.read())  # shown where the test fails
        errors.close()
        listener.close()


@pytest.fixture(scope="module")
def entra() -> Iterator[Emulator]:
    with Emulator(seed=3, https=True) as entra:
        yield entra


@pytest.fixture(scope="module")
def api(entra: Emulator) -> AppRegistration:
    return entra.register_app("Orders API", app_roles=["Orders.Read"])


def request(url: str, token: str) -> httpx.Response:
    return CLIENT.get(url, headers={"authorization": f"Bearer {token}"})


def request_all_workers(url: str, token: str, workers: int) -> set[int]:
    """Send requests until `workers` processes have responded; every response must be 200."""
    pids: set[int] = set()
    deadline = time.monotonic() + 60  # one worker may serve many requests while another still starts
    while time.monotonic() < deadline:
        response = request(url, token)
        assert response.status_code == 200, response.text
        pids.add(response.json()["pid"])
        if len(pids) == workers:
            return pids
    raise AssertionError(f"only {pids} responded")


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker_serves_keeps_keys_in_an_outage_and_follows_a_rotation(
    name: str, entra: Emulator, api: AppRegistration
) -> None:
    server = SERVERS[name]
    base = str(entra.https_url if server.https else entra.url)
    token = entra.issue_token(api, roles=["Orders.Read"], base_url=base)
    environ = {
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUDIENCE": api.client_id,
        "ENTRA_GUARD_AUTHORITY": base,
        "SSL_CERT_FILE": str(entra.ca_bundle),
    }
    if server.used_before_fork:
        environ["FIRST_TOKEN"] = token
    entra.clear_requests()
    with served(server, environ) as url:
        first = request(url, token)
        assert (first.status_code, first.json()["loop"]) == (200, server.loop)
        assert CLIENT.options(url, headers=PREFLIGHT).status_code == 401
        pids = request_all_workers(url, token, server.workers)
        assert entra.count("keys") == (1 if server.used_before_fork else server.workers)

        entra.rotate_keys(overlap=False)
        assert (
            request_all_workers(
                url, entra.issue_token(api, roles=["Orders.Read"], base_url=base), server.workers
            )
            == pids
        )
        assert request(url, token).json()["reason"] == "unknown_key"
        assert request(url, entra.issue_token(api, preset="forged", base_url=base)).status_code == 401

        with entra.failing("all", "503"):
            assert (
                request_all_workers(
                    url, entra.issue_token(api, roles=["Orders.Read"], base_url=base), server.workers
                )
                == pids
            )
