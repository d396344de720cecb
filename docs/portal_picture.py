"""Draw `docs/portal.png`, the emulator's portal as README shows it: an API's page after the first requests.

Run `python docs/portal_picture.py`. It needs Chromium, Playwright and Pillow.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Final

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

from entra_guard.emulator import Emulator
from entra_guard.emulator._directory.samples import API, DAEMON, SECRET

PICTURE: Final = Path(__file__).with_name("portal.png")
_SIZE: Final = {"width": 1280, "height": 1040}
_COLORS: Final = 224
_SECRETS: Final = (SECRET, SECRET, "another value")


def send_requests(entra: Emulator) -> None:
    """Request tokens as the sample daemon does, once with a wrong secret."""
    for secret in _SECRETS:
        httpx.post(
            f"{entra.authority}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": DAEMON,
                "client_secret": secret,
                "scope": f"api://{API}/.default",
            },
        )


def screenshot(entra: Emulator) -> bytes:
    """Return the page of the sample API as PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport=_SIZE, color_scheme="light")  # pyright: ignore[reportArgumentType]
        page.goto(f"{entra.url}/portal/apps/{API}")
        picture = page.screenshot()
        browser.close()
    return picture


def main() -> None:
    """Write the picture with few colors, which keeps it small."""
    with Emulator(port=8787) as entra:
        entra.add_samples()
        send_requests(entra)
        picture = Image.open(io.BytesIO(screenshot(entra))).convert("RGB")
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
