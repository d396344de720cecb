"""HTTP requests and responses as immutable values, and the parsers for forms and Basic credentials."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY: Final = 1024 * 1024
MAX_FIELDS: Final = 1000
# Not parsed with urlsplit, which takes more for a host than browsers do: `evil.example\\@localhost`.
_LOOPBACK_HOST: Final = re.compile(
    r"(?:(?:[a-z0-9_-]{1,63}\.){0,8}localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
MAX_PORT: Final = 65535


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Header names are in lower case; `host` is the Host header, including the port."""

    method: str
    scheme: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=_no_headers)
    body: bytes = field(default=b"", repr=False)

    @property
    def base(self) -> str:
        """Return the base URL that the client used. All URLs in responses are built from it."""
        return f"{self.scheme}://{self.host}"

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def parameters(self) -> dict[str, str]:
        """Parse the query string."""
        return parse_form(self.query)

    def form(self) -> dict[str, str]:
        """Parse the body as an HTML form."""
        return parse_form(self.body.decode("utf-8", "replace"))

    def json(self) -> Any:
        """Parse the body as JSON; an empty body is an empty object.

        Raises:
            ValueError: The body is not JSON.
        """
        return parse_json(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = ()

    def with_headers(self, *headers: tuple[str, str]) -> Response:
        """Return the response with these headers added."""
        return replace(self, headers=(*self.headers, *headers))


def json_response(content: Any, status: int = 200, *headers: tuple[str, str]) -> Response:
    """Return a JSON response, written without spaces as Entra does."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(status, body, (("Content-Type", "application/json; charset=utf-8"), *headers))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that a client wrote.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or has a string that is not Unicode text.
    """
    try:
        return check_texts(json.loads(text))
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def check_texts(content: Any) -> Any:
    """Return what was parsed, if each string in it can be written as UTF-8.

    JSON and YAML can escape one half of a surrogate pair (U+D83D), which no page and no file can hold.

    Raises:
        ValueError: One of the strings cannot.
        RecursionError: It is nested too deeply.
    """
    try:
        json.dumps(content, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{error.object[error.start]!r} is half of a surrogate pair, not a character."
        ) from None
    return content


def split_url(text: str) -> SplitResult:
    """Split a URL into its parts; all parts are empty if the text is not a URL."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def is_loopback(host: str) -> bool:
    """Return whether a Host header names this machine, which protects against DNS rebinding."""
    match = _LOOPBACK_HOST.fullmatch(host)
    return match is not None and int(match[1] or 0) <= MAX_PORT


class TooManyFieldsError(ValueError):
    """A form has more fields than any real client sends."""


def parse_form(text: str) -> dict[str, str]:
    """Parse form fields. If a field is repeated, the first value is used.

    Raises:
        TooManyFieldsError: The form has more than 1,000 fields.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise TooManyFieldsError(f"The form has more than {MAX_FIELDS} fields; send fewer.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def parse_basic(header: str) -> tuple[str, str] | None:
    """Return client id and secret of a Basic header, percent-decoded (RFC 6749 section 2.3.1).

    Returns:
        None if the header uses another scheme or is malformed.
    """
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if colon else None
