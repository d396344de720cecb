"""HTTP as values: a request, a response, and the two things clients write in them that need parsing.

Knows no socket, no framework and no Entra.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY: Final = 1024 * 1024
MAX_FIELDS: Final = 1000


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case; `host` is the Host header, port included."""

    method: str
    scheme: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=_no_headers)
    body: bytes = field(default=b"", repr=False)

    @property
    def base(self) -> str:
        """The URL everything in the answer is built upon: the caller's own."""
        return f"{self.scheme}://{self.host}"

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def parameters(self) -> dict[str, str]:
        """The query string."""
        return parse_form(self.query)

    def form(self) -> dict[str, str]:
        """The body of an HTML form."""
        return parse_form(self.body.decode("utf-8", "replace"))

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = ()

    def adding(self, *headers: tuple[str, str]) -> Response:
        return replace(self, headers=(*self.headers, *headers))


def json_response(content: Any, status: int = 200, *headers: tuple[str, str]) -> Response:
    """JSON as Entra writes it: no spaces."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(status, body, (("Content-Type", "application/json; charset=utf-8"), *headers))


def split_url(text: str) -> SplitResult:
    """The parts of a URL; all of them empty if it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine: foreign pages must not reach in by DNS rebinding."""
    name = split_url(f"//{host}").hostname or ""
    return name in {"localhost", "127.0.0.1", "::1"} or name.endswith(".localhost")


class TooManyFieldsError(ValueError):
    """A form no client would send."""


def parse_form(text: str) -> dict[str, str]:
    """The fields of a form; of a field named twice the first, as a second one is mostly meant to confuse.

    Raises:
        TooManyFieldsError: More than a thousand fields.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise TooManyFieldsError(f"A form has at most {MAX_FIELDS} fields.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def parse_basic(header: str) -> tuple[str, str] | None:
    """Client id and secret of a Basic header, both percent-decoded (RFC 6749 section 2.3.1).

    Returns:
        Nothing when the header is another scheme's or cannot be read.
    """
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if colon else None
