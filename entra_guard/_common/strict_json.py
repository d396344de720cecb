"""Parse untrusted JSON objects strictly: no duplicate names, no NaN, UTF-8 only.

Most documents are accepted quickly: if parsing and writing again gives the same bytes, no name occurs
twice and nothing can be read in a second way. A slower parser decides about all others (RFC 8259
section 4, RFC 7519 section 4). The interpreter's recursion limit bounds the depth of both.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

import msgspec

_read = msgspec.json.Decoder(dict[str, Any]).decode
_write = msgspec.json.Encoder().encode


# What msgspec raises for bytes that do not fit a type. Its messages name types, and quote no value.
UNREADABLE = (ValueError, RecursionError, msgspec.MsgspecError)


class NotStrictJsonError(ValueError):
    """The bytes are not a JSON object that can be read in one way only; the message says why."""


def read_object(data: bytes) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        NotStrictJsonError: It is not a JSON object, has a name twice, or is nested too deeply.

    Example:
        >>> read_object(b'{"iss": "https://issuer.example"}')
        {'iss': 'https://issuer.example'}
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
            object_pairs_hook=once_each,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except NotStrictJsonError:
        raise
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
    if why:
        raise NotStrictJsonError(f"not JSON ({why})")  # outside of `except`: the other error holds the bytes
    if not isinstance(value, dict):
        raise NotStrictJsonError("not a JSON object")
    return cast("dict[str, Any]", value)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotStrictJsonError("a number is out of range")
    return number


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object: the `object_pairs_hook` of `json.loads`.

    Raises:
        NotStrictJsonError: A name occurs twice.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotStrictJsonError("a name occurs twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrictJsonError(f"{name} is not a JSON number")
