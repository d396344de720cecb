"""Split a compact JWS strictly, and verify one signature. Knows no claims and no policy.

RFC 7515 sections 5.2 and 7.1. Base64url is accepted only in its canonical form: otherwise one signed
token would have many spellings, and each would be cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pybase64
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from entra_guard._common.strict_json import UNREADABLE, NotStrictJsonError, read_object
from entra_guard._validation.token_form import TEXT_IN_FRONT, form_of, has_text_in_front, why_wrapped
from entra_guard.errors import AccessError, refusal

if TYPE_CHECKING:
    from entra_guard._validation.jwks import SigningKey

MAX_TOKEN: Final = 16 * 1024
_MAX_KID: Final = 128
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REFUSED_MEMBERS: Final = frozenset({"crit", "b64", "zip", "enc"})
_DIGEST: Final = SHA256()
_PADDINGS: Final = {"RS256": PKCS1v15(), "PS256": PSS(mgf=MGF1(SHA256()), salt_length=PSS.DIGEST_LENGTH)}

_b64decode: Final = pybase64.b64decode  # called by position: naming `validate` costs half as much again
_DOT, _PLUS, _SLASH, _EQUALS = b".+/="

# By length modulo 4: what to add, and which last characters leave no stray bits (RFC 4648 section 3.5).
_TAILS: Final = (
    (b"", frozenset[int]()),
    (b"===", frozenset[int]()),
    (b"==", frozenset(b"AQgw")),
    (b"=", frozenset(b"AEIMQUYcgkosw048")),
)


class Header(msgspec.Struct, frozen=True, gc=False):
    """A token's header. The members jku, jwk, x5u and x5c are not read: a token does not choose its key."""

    alg: str = ""
    kid: str = ""
    typ: str = "JWT"
    crit: Any = None
    b64: Any = None
    zip: Any = None
    enc: Any = None


_read = msgspec.json.Decoder(Header).decode


def split(token: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Split a compact JWS into header, payload, signature and signing input, still encoded.

    Raises:
        InvalidTokenError: token_too_large, or not_a_jwt.
    """
    if len(token) > MAX_TOKEN:
        raise refusal("token_too_large", {"bytes": len(token), "most": MAX_TOKEN})
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if not (header and payload) or _DOT in payload:
        raise _not_a_jwt(token)
    if _PLUS in token or _SLASH in token or _EQUALS in token:
        raise _not_a_jwt(token)
    return header, payload, signature, signing_input


def _not_a_jwt(token: bytes) -> AccessError:
    """Return the refusal of what is not a JWT; it says what the token is wrapped in, if it is."""
    return _wrapped(token) or refusal("not_a_jwt", lambda: {"found": form_of(token), "bytes": len(token)})


def _wrapped(token: bytes) -> AccessError | None:
    """Return the refusal of a token, or its first segment, in quotes, in JSON or after "Bearer"."""
    if reason := why_wrapped(token):
        return refusal(reason)
    if token[:7].lower() == b"bearer ":
        return refusal("not_a_jwt", {"found": "the word Bearer in front of the token"})
    return refusal("not_a_jwt", {"found": TEXT_IN_FRONT}) if has_text_in_front(token) else None


def decode(segment: bytes) -> bytes:
    """Decode one base64url segment, canonical and unpadded (RFC 7515 section 2).

    Raises:
        InvalidTokenError: not_a_jwt.
    """
    padding, last = _TAILS[len(segment) & 3]
    if padding and segment[-1] not in last:
        raise refusal(
            "not_a_jwt", {"found": "base64url that is not canonical: characters were lost or changed"}
        )
    try:
        return _b64decode(segment + padding, b"-_", True)
    except ValueError:
        raise refusal("not_a_jwt", {"found": "a character outside base64url"}) from None


def read_header(segment: bytes, algorithms: frozenset[str], *, kid_is_optional: bool = False) -> Header:
    """Read a header segment and refuse what must not be verified.

    Does not detect duplicate names; call `refuse_ambiguous_header` before accepting the token.

    Raises:
        InvalidTokenError: not_a_jwt, algorithm_not_allowed, or id_token for a type that is not an access
            token's (RFC 9068 section 4; RFC 8725 section 3.11).
    """
    if not segment.startswith(b"e") and (wrapped := _wrapped(segment)):  # a JSON object begins with 'e'
        raise wrapped
    data, header, why = decode(segment), None, ""
    try:
        header = _read(data)
    except UNREADABLE as error:
        why = str(error)
    if header is None:
        raise refusal("not_a_jwt", {"found": f"header: {why}"})
    if header.alg not in algorithms or header.crit or header.b64 or header.zip or header.enc:
        raise _not_allowed(header, algorithms)
    if header.typ != "JWT" and header.typ.lower() not in _TYPES:
        raise refusal("id_token", {"found": f"header typ {header.typ[:_MAX_KID]!r}"})
    if len(header.kid) > _MAX_KID or not (header.kid or kid_is_optional):
        raise _not_allowed(header, algorithms)
    return header


def refuse_ambiguous_header(segment: bytes) -> None:
    """Refuse a header that another parser could read differently: one with a duplicate name.

    Raises:
        InvalidTokenError: not_a_jwt.
    """
    try:
        header = read_object(decode(segment))
    except NotStrictJsonError as error:
        raise refusal("not_a_jwt", {"found": f"header: {error}"}) from None
    if not _REFUSED_MEMBERS.isdisjoint(header):  # even when null or false
        raise refusal("algorithm_not_allowed", {"found": "header member crit, b64, zip or enc"})


def _not_allowed(header: Header, algorithms: frozenset[str]) -> AccessError:
    facts = {name: getattr(header, name)[:_MAX_KID] for name in ("alg", "kid", "typ")}
    extensions = [name for name in sorted(_REFUSED_MEMBERS) if getattr(header, name)]
    return refusal(
        "algorithm_not_allowed",
        facts | {"expected": " or ".join(sorted(algorithms)), "extensions": extensions},
    )


def is_signed_by(key: SigningKey, alg: str, signing_input: bytes, signature: bytes) -> bool:
    """Return whether a key signed bytes with RSA (RFC 7518 sections 3.3 and 3.5, RFC 8017 section 8)."""
    if len(signature) != key.signature_bytes or (key.alg and key.alg != alg):
        return False  # OpenSSL accepts a PSS signature without its leading zeros
    try:
        key.public_key.verify(signature, signing_input, _PADDINGS[alg], _DIGEST)
    except InvalidSignature:
        return False
    return True
