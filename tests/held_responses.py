"""A transport to the emulator that holds responses back: a test then depends on no duration."""

from __future__ import annotations

import threading

import httpx


class HeldResponses(httpx.BaseTransport):
    """A transport to the emulator that can hold back responses, without any time passing."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._to_hold = 0
        self._released = threading.Event()
        self._arrived = threading.Semaphore(0)

    def hold(self, requests: int) -> None:
        """Handle the next requests now, and hold their responses until `release`."""
        self._released.clear()
        self._to_hold = requests

    def release(self) -> None:
        self._to_hold = 0
        self._released.set()

    def wait_for_request(self) -> None:
        """Wait until a request is being held."""
        assert self._arrived.acquire(timeout=30), "no request came"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if self._to_hold:
            self._to_hold -= 1
            self._arrived.release()
            self._released.wait(30)
        return response
