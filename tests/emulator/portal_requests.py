"""Send requests to the portal as a browser does: forms with the token of the page they are on."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import Emulator

BROWSER = {"accept": "text/html,*/*", "sec-fetch-site": "same-origin"}


def open_page(entra: Emulator, path: str, **headers: str) -> httpx.Response:
    return entra.http_client.get(path, headers={**BROWSER, **headers})  # type: ignore[attr-defined]


def send_form(
    entra: Emulator, path: str, fields: dict[str, Any] | None = None, **headers: str | None
) -> httpx.Response:
    """Send a form with its token, from the emulator's own origin. None as a header omits it."""
    sent = {**BROWSER, "origin": entra.url, **headers}
    own = {"form_token": entra.store.form_token, "form_tenant": entra.tenant_id}
    return entra.http_client.post(  # type: ignore[attr-defined]
        path,
        data={**own, **(fields or {})},
        headers={name.replace("_", "-"): value for name, value in sent.items() if value is not None},
    )


def words(response: httpx.Response) -> str:
    """Return the text of a page, without its markup."""
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", response.text)))
