"""Read text as secret stores and editors save it: with a byte order mark, or in UTF-16. Pure."""

from __future__ import annotations

import codecs
from typing import Final

# UTF-32 first: its little-endian mark begins with the one of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def to_utf8(data: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark; data of any other kind is returned unchanged."""
    encoding = _encoding_of(data)
    if encoding is None:
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError:
        return data


def _encoding_of(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    # ASCII text in UTF-16 without a mark: every second byte is zero.
    pairs = data[:8]
    if len(pairs) == 8 and not any(pairs[1::2]) and all(pairs[::2]):  # noqa: PLR2004  # four characters
        return "utf-16-le"
    if len(pairs) == 8 and not any(pairs[::2]) and all(pairs[1::2]):  # noqa: PLR2004
        return "utf-16-be"
    return None
