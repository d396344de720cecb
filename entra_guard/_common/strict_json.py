"""Strict JSON objects from strangers: one meaning, or none.

Ordinary documents take a fast way: what was read and written again gives the same bytes, so no name
can stand in it twice and nothing in it is open to a second reading. Everything else goes to a slower
parser, which alone decides: names once, no NaN, UTF-8 (RFC 8259 section 4, RFC 7519 section 4). The
interpreter's recursion limit bounds the depth of both.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

import msgspec

_read = msgspec.json.Decoder(dict[str, Any]).decode
_write = msgspec.json.Encoder().encode


UNREADABLE = (ValueError, RecursionError, msgspec.MsgspecError)
"""What msgspec raises for bytes that are not what was asked for; its words name types, and quote no value."""


class NotStrictJsonError(ValueError):
    """The bytes are not one JSON object with a single meaning; the message says why."""


def read_object(data: bytes) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        NotStrictJsonError: It is no JSON object, names something twice, or is nested without end.
    """
    try:
        value = _read(data)
        if _write(value) == data:
            return value
    except UNREADABLE:
        pass
    return _read_strictly(data)


def _read_strictly(data: bytes) -> dict[str, Any]:
    value, why = None, ""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_once_each,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except NotStrictJsonError:
        raise
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
    if why:
        raise NotStrictJsonError(f"not JSON ({why})")  # not inside: the other error holds the bytes
    if not isinstance(value, dict):
        raise NotStrictJsonError("not a JSON object")
    return cast("dict[str, Any]", value)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotStrictJsonError("a number in it is out of range")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotStrictJsonError("a name stands in it twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrictJsonError(f"{name} is no JSON number")
