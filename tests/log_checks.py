"""Collect what the package logs, and check that no line of it was written by a client."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

FORGED = "\n401 GET /forged: expired"
"""A line that an attacker would like to see in the log."""

_CONTROLS = [chr(code) for code in (*range(32), *range(127, 160))]
_INVISIBLE = list(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202d\u202e\u2066\u2067\u2069\ufeff\U000e0041"
)
_LETTERS = list("aZ0 /%\"'\\{}[]()<>=,;:~\u05d0\u0635\u00e9")
_SEQUENCES = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\r\n", FORGED, "${jndi:x}", "%s%n"]

hostile_text = st.lists(
    st.sampled_from([*_CONTROLS, *_INVISIBLE, *_LETTERS, *_SEQUENCES]), min_size=1, max_size=30
).map("".join)
"""Text that would move a cursor, break a line, or reverse the order of what follows."""


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def collected_logs() -> Iterator[list[logging.LogRecord]]:
    """Collect every record of the package, at every level."""
    logger, collector = logging.getLogger("entra_guard"), _Collector()
    before = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    try:
        yield collector.records
    finally:
        logger.removeHandler(collector)
        logger.setLevel(before)


def assert_clean(records: list[logging.LogRecord]) -> None:
    """Check each line as a file or a terminal gets it, and the details that a JSON formatter gets."""
    for record in records:
        lines = logging.Formatter().format(record).split("\n")
        for line in lines:
            assert line.isascii(), line
            assert line.isprintable(), line
            assert not line.startswith(FORGED.strip()), lines
        for text in _texts(record.__dict__.get("entra_guard", {})):
            assert text.isascii(), text
            assert text.isprintable(), text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in _texts(part))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for part in value for text in _texts(part))
    elif isinstance(value, str):
        yield value
