"""The body of an MCP request that is read before the server reads it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from entra_guard.mcp._tool_check import _read


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "body", "repeated"),
    [
        ([part(b"a", more=False), GONE], b"a", [part(b"a", more=False), GONE]),
        ([part(b"a"), part(b"b", more=False), GONE], b"ab", [part(b"ab", more=False), GONE]),
        ([{"type": "http.request"}, GONE], b"", [part(b"", more=False), GONE]),
        ([part(b"a"), GONE, GONE], b"a", [part(b"a"), GONE, GONE]),
    ],
)
def test_a_body_is_repeated_as_one_message(messages: Any, body: bytes, repeated: Any) -> None:
    received = iter(messages)

    async def receive() -> Any:
        return next(received)

    async def main() -> None:
        read, again = await _read(receive)
        assert read == body
        assert [await again() for _each in repeated] == repeated

    anyio.run(main)
