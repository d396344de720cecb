"""Tokens as bytes, and base64url without padding (RFC 7515 section 2). The strict decoder is in `jws.py`."""

from __future__ import annotations

import pybase64


def as_bytes(token: object) -> bytes:
    """Return a token as bytes. A character that is not ASCII stays one that base64url does not have.

    Raises:
        TypeError: It is neither a str nor bytes.
    """
    if isinstance(token, str):
        return token.encode("utf-8", "replace")
    if isinstance(token, bytes):
        return token
    kind = type(token).__name__
    del token  # this frame stays in the traceback
    raise TypeError(f"token must be a str or bytes, got {kind}")


def to_base64url(data: bytes) -> str:
    """Encode bytes as base64url without padding.

    Example:
        >>> to_base64url(b"ab")
        'YWI'
    """
    return pybase64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str | bytes) -> bytes:
    """Decode base64url, with or without padding. For data that is trusted, or only compared.

    Raises:
        ValueError: It is not base64url.
    """
    data = text.encode() if isinstance(text, str) else text
    return pybase64.urlsafe_b64decode(data.rstrip(b"=") + b"=" * (-len(data.rstrip(b"=")) % 4))
