"""Chromium without a window, and applications served to it on loopback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from _parts import needs_module, needs_program

from entra_guard.emulator._http.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium() -> Iterator[Browser]:
    path = needs_program("chromium", "chromium-browser", "google-chrome")
    needs_module("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The base URL of an ASGI application while it is served."""
    server = LoopbackServer(app)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
