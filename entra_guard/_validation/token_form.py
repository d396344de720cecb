"""Say what text in place of a token looks like, without quoting it. Runs for refused tokens only."""

from __future__ import annotations

import re
from typing import Final

from entra_guard._common.encoding import from_base64url

_QUOTES: Final = (b'"', b"'", b"`", b"<", b"%22", "\u201c".encode(), "\u201e".encode(), "\u00ab".encode())
# $TOKEN, ${TOKEN}, %TOKEN%, <token>, {{token}}, and the text of an object: what has a dot may be a token.
_PLACEHOLDER: Final = re.compile(rb"\$\{?\w+\}?|%\w+%|<[^<>.]*>|\{\{?[^{}\"'.]*\}?\}")
_LONGEST_PLACEHOLDER: Final = 100
_OF_JWT: Final = b"eyJ"  # '{"' in base64url, as every header begins
_SHORTENED: Final = (b"...", "\u2026".encode())
_DOTS_OF_JWT, _DOTS_OF_JWE = 2, 4

PLACEHOLDER: Final = "a placeholder, such as $TOKEN or <token>, in place of the token"
TEXT_IN_FRONT: Final = "a JWT with other text in front of it"


def is_placeholder(text: bytes) -> bool:
    """Return whether text is a variable or placeholder that was not replaced by a token."""
    return len(text) <= _LONGEST_PLACEHOLDER and _PLACEHOLDER.fullmatch(text) is not None


def why_wrapped(text: bytes) -> str:
    """Return the reason for refusing text that holds a token in quotes or in JSON, or ''."""
    if is_placeholder(text):
        return ""
    if text.startswith((b"{", b"[{")):
        return "token_in_json"
    return "quoted_token" if text.startswith(_QUOTES) else ""


def looks_like_jwt(text: bytes) -> bool:
    """Return whether text has the form of a JWT: three segments, the first a JSON object in base64url."""
    return text.startswith(b"ey") and text.count(b".") == _DOTS_OF_JWT and not text.count(b" ")


def has_text_in_front(text: bytes) -> bool:
    """Return whether a JWT begins later in the text, in its first segment."""
    begin = text.find(_OF_JWT, 0, _LONGEST_PLACEHOLDER)
    return begin > 0 and b"." not in text[:begin]


def form_of(text: bytes) -> str:
    """Return in words what text looks like that is not a JWT.

    Example:
        >>> form_of(b"eyJhbGciOiJSUzI1NiJ9.eyJhdWQi")
        'the beginning of a JWT: the token was cut'
    """
    if is_placeholder(text):
        return PLACEHOLDER
    if has_text_in_front(text):
        return TEXT_IN_FRONT
    dots = text.count(b".")
    if text.startswith(_OF_JWT):
        return _form_of_jwt(text, dots)
    return f"{dots + 1} segments" if dots else "one segment"


def _form_of_jwt(text: bytes, dots: int) -> str:
    if text.endswith(_SHORTENED):
        return "a JWT that was shortened with dots: copy the whole token"
    if dots == _DOTS_OF_JWE and _is_encrypted(text):
        return "an encrypted token (JWE)"
    if dots == _DOTS_OF_JWT:
        return "a JWT with a character outside base64url"
    return (
        "a JWT with other text behind it"
        if dots > _DOTS_OF_JWT
        else "the beginning of a JWT: the token was cut"
    )


def _is_encrypted(text: bytes) -> bool:
    try:
        return b'"enc"' in from_base64url(text.partition(b".")[0])
    except ValueError:
        return False
