"""The page that explains errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.aadsts import AADSTS

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request, Response


def errors_page(request: Request) -> Response:
    """Show the error that an `error_uri` links to, or all errors."""
    code = request.parameters().get("code", "")
    row = AADSTS.get(int(code)) if re.fullmatch("[0-9]{1,9}", code) else None
    rows: list[Any] = [row] if row else sorted(AADSTS.values(), key=lambda r: r.number)
    return page("errors.html", title="Error codes", rows=rows)
