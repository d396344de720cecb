"""`python -m benchmarks.emulator`: the emulator beside npm's oauth2-mock-server and oidc-provider-mock.

Measured are the time from the start of the process to the first response, the memory then, and a token by
HTTP. The others are found if they are installed:

    npm install --prefix .benchmarks oauth2-mock-server
    pip install oidc-provider-mock
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import statistics
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from benchmarks import _progress, _results
from benchmarks._measure import pair, per_call, table
from benchmarks._processes import COMMAND, free_port
from entra_guard.emulator import Emulator
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS: Final = 9
TOKENS: Final = 200
_NODE_SERVER: Final = Path(".benchmarks/node_modules/.bin/oauth2-mock-server")


@dataclass(frozen=True)
class Server:
    """A mock server: how it starts, what shows that it serves, and how it issues a token."""

    name: str
    command: tuple[str, ...]
    ready: str
    token: tuple[str, dict[str, str]] | None


def servers(port: int) -> list[Server]:
    """Return the servers that are installed, each for a port."""
    emulator = (sys.executable, "-c", COMMAND, "emulator", "--port", str(port))
    entra = Emulator(seed=1)
    samples = entra.add_samples()
    discovery = f"/{entra.tenant_id}/v2.0/.well-known/openid-configuration"
    form = {
        "grant_type": "client_credentials",
        "client_id": samples.daemon.client_id,
        "client_secret": samples.secret.value,
        "scope": samples.api.default_scope,
    }
    token = (f"/{entra.tenant_id}/oauth2/v2.0/token", form)
    found = [
        Server("entra-guard emulator --no-https", (*emulator, "--no-https"), discovery, token),
        Server("entra-guard emulator", (*emulator, "--https-port", "0"), discovery, token),
    ]
    if shutil.which("node") and _NODE_SERVER.exists():
        command = ("node", str(_NODE_SERVER), "-a", "127.0.0.1", "-p", str(port))
        grant = ("/token", {"grant_type": "client_credentials", "scope": "api"})
        found.append(Server("oauth2-mock-server", command, "/.well-known/openid-configuration", grant))
    if importlib.util.find_spec("oidc_provider_mock"):
        command = (sys.executable, "-m", "oidc_provider_mock", "-p", str(port))
        found.append(Server("oidc-provider-mock", command, "/.well-known/openid-configuration", None))
    return found


@contextmanager
def running(server: Server, port: int) -> Iterator[tuple[float, int]]:
    """Start a server; yield the seconds until its first response, and its process id."""
    began = time.perf_counter()
    process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _first_response(f"http://127.0.0.1:{port}{server.ready}", began), process.pid
    finally:
        process.terminate()
        process.wait(10)


def _first_response(url: str, began: float) -> float:
    host, port = httpx.URL(url).host, httpx.URL(url).port or 80
    while time.perf_counter() - began < 20:
        with closing(socket.socket()) as probe:
            served = probe.connect_ex((host, port)) == 0
        if served:
            assert httpx.get(url).status_code == 200, url
            return time.perf_counter() - began
        time.sleep(0.002)
    raise RuntimeError(f"{url} did not respond within 20 s")


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is its own, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    private = (int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return sum(private) / 1024


def milliseconds_per_token(port: int, path: str, form: dict[str, str]) -> float:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            assert client.post(path, data=form).is_success
        began = time.perf_counter()
        for _ in range(TOKENS):
            client.post(path, data=form)
        return (time.perf_counter() - began) / TOKENS * 1000


def measured() -> list[tuple[str, str, str, str, str]]:
    port = free_port()
    found = servers(port)
    starts: dict[str, list[float]] = {server.name: [] for server in found}
    memory: dict[str, list[float]] = {server.name: [] for server in found}
    tokens: dict[str, list[float]] = {server.name: [] for server in found}
    for number in _progress.steps(range(ROUNDS + 1)):
        for server in found:
            with running(server, port) as (seconds, pid):
                if number == 0:
                    continue  # caches on disk are filled in this round
                starts[server.name].append(seconds)
                memory[server.name].append(resident_mib(pid))
                if server.token and number <= 3:
                    tokens[server.name].append(milliseconds_per_token(port, *server.token))
    ours = starts[found[0].name]
    rows = []
    for server in found:
        ratios = [mine / other for mine, other in zip(ours, starts[server.name], strict=True)]
        _results.record(f"emulator: start beside {server.name}", ratios)
        minted = tokens[server.name]
        rows.append(
            (
                server.name,
                f"{statistics.median(starts[server.name]):.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{statistics.median(memory[server.name]):.0f}",
                f"{statistics.median(minted):.2f}" if minted else "-",
            )
        )
    return rows


def in_process() -> list[tuple[str, str, str]]:
    """Measure what a test pays: the fixture, and one token."""
    entra = Entra()
    entra.guard().verify(entra.token())
    minted, _ = pair(entra.token, entra.token, rounds=5)
    fixture = _fixture_milliseconds()
    return [
        ("a token, ms", f"{minted / 1000:.2f}", "< 1"),
        ("Entra() and a guard, ms", f"{fixture:.1f}", "< 20"),
    ]


def _fixture_milliseconds() -> float:
    def set_up() -> None:
        entra = Entra()
        entra.guard().verify(entra.token())

    set_up()
    return statistics.median(per_call(set_up, 1) for _ in range(9)) / 1000


def main() -> None:
    head = ("", "s from start to first response", "ours / theirs", "MiB", "ms per token by HTTP")
    table("The emulator beside other mock servers", head, measured(), name="emulator")
    table("The emulator in a test's process", ("", "measured", "bar"), in_process(), name="emulator-fixture")


if __name__ == "__main__":
    main()
