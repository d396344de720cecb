"""Read the challenges of a 401 (RFC 9110 section 11.6.1): several in one header or in several. Pure.

Malformed challenges are skipped: they are untrusted, and only request something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.request import parse_http_list

from entra_guard._common.encoding import from_base64url
from entra_guard._common.strict_json import NotStrictJsonError, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LONGEST: Final = 16 * 1024
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME: Final = re.compile(rf"({_NAME})(?:[ \t]+(?=\S)|$)")
_PARAMETER: Final = re.compile(
    rf"({_NAME})[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^\s\",;]+)",  # URLs and base64 appear without quotes, too
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: its scheme and parameters, both names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse all values of WWW-Authenticate. Of a parameter that appears twice, the first value counts."""
    return [challenge for header in headers for challenge in _parse_header(header[:_LONGEST])]


def _parse_header(header: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for part in parse_http_list(header):
        item = part.strip()
        # A part is a parameter of the challenge before it, or begins a new challenge with its scheme.
        if not _PARAMETER.fullmatch(item) and (begins := _SCHEME.match(item)):
            if scheme:
                yield Challenge(scheme, parameters)
            scheme, parameters, item = begins[1].lower(), {}, item[begins.end() :]
        if found := _PARAMETER.fullmatch(item):
            parameters.setdefault(found[1].lower(), _unquoted(found[2]))
    if scheme:
        yield Challenge(scheme, parameters)


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def requested_claims(headers: Iterable[str]) -> str | None:
    """Return the first claims that a resource requests, as JSON, or None (Microsoft: "Claims challenges")."""
    found = (
        _decoded_claims(challenge.parameters.get("claims", ""))
        for challenge in read_challenges(headers)
        if challenge.scheme == "bearer" and challenge.parameters.get("error") == "insufficient_claims"
    )
    return next((claims for claims in found if claims is not None), None)


def _decoded_claims(encoded: str) -> str | None:
    """Return claims decoded from base64 of JSON, in either alphabet, padded or not."""
    try:
        claims = from_base64url(encoded.translate({ord("+"): "-", ord("/"): "_"}))
        return claims.decode() if are_claims(claims) else None
    except ValueError:
        return None


def are_claims(written: bytes) -> bool:
    """Return whether this is the JSON object of a claims challenge that requests something."""
    try:
        requested = read_object(written)
    except NotStrictJsonError:
        return False
    return bool(requested) and isinstance(requested.get("access_token", {}), dict)
