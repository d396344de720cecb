"""What the ASGI guard reads of a request's scope."""

from __future__ import annotations

import pytest

from entra_guard._web.asgi_scope import read_headers

TOKEN = (b"authorization", b"Bearer a.b.c")
EVENTS = (b"accept", b"application/json, Text/Event-Stream;q=0.5")
SESSION = (b"mcp-session-id", b"1")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], ([], False, False)),
        ([TOKEN], ([TOKEN[1]], False, False)),
        ([TOKEN, (b"host", b"x"), TOKEN], ([TOKEN[1]] * 2, False, False)),
        ([EVENTS], ([], False, True)),
        ([EVENTS, (b"accept", b"*/*")], ([], False, True)),
        ([(b"accept", b"*/*"), EVENTS], ([], False, True)),
        ([SESSION, SESSION], ([], True, False)),
        ([(b"x-accept", EVENTS[1])], ([], False, False)),
    ],
)
def test_every_occurrence_of_a_header_counts(
    headers: list[tuple[bytes, bytes]], expected: tuple[list[bytes], bool, bool]
) -> None:
    assert read_headers({"headers": headers}) == expected
    assert read_headers({"headers": iter(headers)}) == expected
