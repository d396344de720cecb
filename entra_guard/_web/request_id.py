"""The id of a request, for logs and refusals: from `traceparent` or `x-request-id`, else a new one.

A client can write both headers. So only what has the exact form is taken, and no other text of a header ever
reaches a log or a response.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

# The key in an ASGI scope, WSGI environ or Django's META under which the id of a request is.
REQUEST_ID: Final = "entra_guard.request_id"

# W3C Trace Context, section 3.2: version, trace id, parent id, flags.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII
)
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


def request_id_of(request: MutableMapping[str, Any]) -> str:
    """Return the id of a request: the same one whenever it is called for the request.

    Args:
        request: The ASGI scope, WSGI environ or Django's META.

    Example:
        >>> request_id_of({"headers": [(b"x-request-id", b"7f3a")]})
        '7f3a'
    """
    known = request.get(REQUEST_ID)
    if isinstance(known, str):
        return known
    found = _from_headers(request)
    request[REQUEST_ID] = found
    return found


def _from_headers(request: MutableMapping[str, Any]) -> str:
    if trace := _TRACEPARENT.fullmatch(_header(request, "traceparent")):
        return trace[1]
    given = _header(request, "x-request-id")
    return given if _ID.fullmatch(given) else uuid4().hex


def _header(request: MutableMapping[str, Any], name: str) -> str:
    """Return a header that is there once; '' for none or several."""
    if "headers" not in request:  # a WSGI environ; servers join several with a comma
        return str(request.get(f"HTTP_{name.upper().replace('-', '_')}", ""))
    raw: Iterable[tuple[bytes, bytes]] = request["headers"]
    values = [value for key, value in raw if key == name.encode()]
    return values[0].decode("latin-1") if len(values) == 1 else ""
