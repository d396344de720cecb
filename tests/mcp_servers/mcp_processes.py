"""MCP servers of each SDK line as separate processes, and what is registered for them in the emulator."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from needed_parts import lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.emulator import AppRegistration, Emulator

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
EXAMPLES = ROOT / "examples"
LINES = ("mcp1", "mcp2")
WITH_TASKS = ("mcp1", "tasks")


class Registered(NamedTuple):
    """An API with its callers, and the Entra that knows them."""

    emulator: Emulator
    api: AppRegistration
    client: AppRegistration
    other_client: AppRegistration

    def token(self, user: str | None, role: str = "Tasks.Read", **more: object) -> str:
        more.setdefault("audience", self.api)
        app = more.pop("app", self.client)
        scopes = ["access_as_user"] if user else None
        return self.emulator.issue_token(app, user=user, roles=[role], scopes=scopes, **more)

    def object_id(self, user: str) -> str:
        payload = self.token(user).split(".")[1]
        return json.loads(urlsafe_b64decode(payload + "=="))["oid"]


def interpreter(line: str) -> Path:
    folder = os.environ.get("MCP_ENVIRONMENTS", ROOT / ".mcp-environments")
    return Path(folder) / line / "bin" / "python"


def python_of(line: str) -> Path:
    """Return the interpreter of an SDK line's environment."""
    python = interpreter(line)
    return python if python.exists() else lacking(f"the environment {python.parent.parent}")


def environment(entra: Registered, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), str(EXAMPLES)]),
        "ENTRA_GUARD_TENANT": entra.emulator.tenant_id,
        "ENTRA_GUARD_AUDIENCE": entra.api.client_id,
        "ENTRA_GUARD_AUTHORITY": entra.emulator.url,
        "ENTRA_GUARD_LEEWAY": "0",
        "FASTMCP_LOG_LEVEL": "CRITICAL",
        **more,
    }


class Server(NamedTuple):
    line: str
    url: str
    log: list[str]


def run(line: str, program: Path, entra: Registered, **more: str) -> str:
    """Run a program in an SDK line's environment, and return what it prints."""
    command = [python_of(line), "-W", "ignore", str(program)]
    done = subprocess.run(
        command, env=environment(entra, **more), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def serve(line: str, module: str, entra: Registered, port: int = 0, **more: str) -> Iterator[Server]:
    """Run an application in an SDK line's environment, on a free port."""
    command = [python_of(line), "-W", "ignore", "-m", "uvicorn", f"{module}:app", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=HERE, env=environment(entra, **more), stderr=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    running: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=read, args=[process.stderr, lines, running])
    reader.start()
    try:
        url = running.get(timeout=120)
        assert url, "".join(lines)
        yield Server(line, url, lines)
    finally:
        process.kill()
        process.wait()
        reader.join()


def read(stream: IO[str], lines: list[str], running: queue.Queue[str]) -> None:
    """Keep what a server logs, and pass on the URL it names; '' if it ends before that."""
    with stream:
        for text in stream:
            lines.append(text)
            if found := re.search(r"running on (http://[\w.:]+)", text):
                running.put(found[1])
    running.put("")
