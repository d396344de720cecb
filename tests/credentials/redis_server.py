"""A Redis server on loopback for one test, which can be stopped, frozen and restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import redis
from needed_parts import needs_program

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class RedisServer:
    """A server that writes no data to disk and stops with the test."""

    def __init__(self, folder: Path) -> None:
        self.program = needs_program("redis-server", "valkey-server")
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for _ in range(5):  # another program may take the free port before Redis does
            self.port = _free_port()
            if self.start():
                return self
        raise AssertionError("redis-server does not start: see its log")

    def __exit__(self, *_problem: object) -> None:
        self.kill()

    def start(self) -> bool:
        """Start it on its port and return whether it responds."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self.folder}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [self.program, *arguments, "--logfile", self.folder / "redis.log"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self._responds()

    def _responds(self) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process and self._process.poll() is None:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                time.sleep(0.01)
        return False

    def client(self, **more: Any) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.port, **more)

    def freeze(self) -> None:
        """Let it accept connections but not respond."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait(120)
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
