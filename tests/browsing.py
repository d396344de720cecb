"""Chromium without a window, and applications served to it on loopback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from needed_parts import needs_module, needs_program

from entra_guard.emulator._http.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

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


def follow(target: Locator) -> None:
    """Click, and wait until the next document has loaded.

    `expect_navigation` does not: a link to a place on the same page is a navigation too.
    """
    with target.page.expect_event("load"):
        target.click()


def wait_for_focus(page: Page, selector: str) -> None:
    """Wait until an element has the focus: `autofocus` may come after the load event, and keys before it are lost."""
    page.wait_for_function("selector => document.activeElement.matches(selector)", arg=selector)


def wait_for_clipboard(page: Page, pattern: str) -> str:
    """Wait until what was copied matches a regular expression. Return it."""
    copied: str = page.wait_for_function(
        """async pattern => {
            const text = await navigator.clipboard.readText();
            return new RegExp(pattern).test(text) && text;
        }""",
        arg=pattern,
    ).json_value()
    return copied


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The base URL of an ASGI application while it is served."""
    server = LoopbackServer(app)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
