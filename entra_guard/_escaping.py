"""Escape text for logs and terminals: whatever a client, a token or a server controls passes through here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_FACT: Final = 200
_MOST_ITEMS: Final = 20
_LONGEST_LINE: Final = 4000
_LONGEST_ERROR: Final = 2000


def escape(text: str, *, longest: int = _LONGEST_LINE) -> str:
    r"""Return text for a log or a terminal: on one line, in printable ASCII, and not longer than `longest`.

    Everything that a client, a token or a server controls passes through here before it is logged. Control
    characters, escape sequences, line separators, bidirectional overrides and everything else outside of
    printable ASCII become escapes.

    Example:
        >>> escape("GET\n\x1b[2J")
        'GET\\n\\x1b[2J'
    """
    cut = text[: longest + 1]
    if not (cut.isascii() and cut.isprintable()):
        cut = cut.encode("unicode_escape").decode("ascii")
    return cut if len(cut) <= longest else f"{cut[:longest]}..."


def shorten(text: str, longest: int = _LONGEST_ERROR) -> str:
    """Return a text of at most `longest` characters: the middle is left out, so that both ends stay readable.

    The text of an error passes through here: the value in it may be very long, and what to do follows it.

    Example:
        >>> shorten("'aaaaaaaaaaaaaaaaaaaa' is not valid", 25)
        "'aaaaaaaaaa...s not valid"
    """
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[: longest - 3 - half]}...{text[len(text) - half :]}"


def printable(value: object) -> str:
    r"""Return a fact for a log line: escaped, cut, and in quotes where it holds spaces or quotes.

    Example:
        >>> printable("Orders.Read"), printable(["a", "b\n"])
        ('Orders.Read', '["a", "b\\\\n"]')
    """
    value = cleaned(value)
    if isinstance(value, str):
        return json.dumps(value) if not value or " " in value or '"' in value else value
    return escape(json.dumps(value, default=repr), longest=_LONGEST_FACT)


def cleaned(value: object) -> object:
    """Return a fact for a structured log: each text in it escaped and cut, numbers as they are."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        items = islice(cast("Mapping[object, object]", value).items(), _MOST_ITEMS)
        return {escape(str(name), longest=_LONGEST_FACT): cleaned(item) for name, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [cleaned(item) for item in islice(cast("Iterable[object]", value), _MOST_ITEMS)]
    return escape(str(value), longest=_LONGEST_FACT)
