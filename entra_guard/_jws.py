"""A compact JWS taken apart, strictly, and one signature verified. Knows no claims and no policy.

RFC 7515 sections 5.2 and 7.1. Base64url is accepted in its one canonical spelling only: without
this, one signed token has many spellings, and each would be remembered for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pybase64
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from entra_guard._json import NotStrictJsonError, read_object
from entra_guard.errors import refusal

if TYPE_CHECKING:
    from entra_guard._keys import SigningKey

MAX_TOKEN: Final = 16 * 1024
_MAX_KID: Final = 128
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REFUSED_MEMBERS: Final = frozenset({"crit", "b64", "zip", "enc"})
_DIGEST: Final = SHA256()
_PADDINGS: Final = {"RS256": PKCS1v15(), "PS256": PSS(mgf=MGF1(SHA256()), salt_length=PSS.DIGEST_LENGTH)}

# By length modulo 4: what to add, and which last characters leave no stray bits (RFC 4648 section 3.5).
_PADDED: Final = (b"", b"", b"==", b"=")
_LAST: Final[tuple[frozenset[int], ...]] = (
    frozenset(),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)


class Header(msgspec.Struct, frozen=True, gc=False):
    """What a token's header says, once it was found acceptable."""

    alg: str
    kid: str


def split(token: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Take a compact JWS apart into header, payload, signature and signing input, still encoded.

    Raises:
        InvalidTokenError: token_too_large, or not_a_jwt.
    """
    if len(token) > MAX_TOKEN:
        raise refusal("token_too_large", {"bytes": len(token), "most": MAX_TOKEN})
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if not (header and payload) or b"." in payload:
        raise refusal("not_a_jwt", lambda: {"segments": token.count(b".") + 1, "bytes": len(token)})
    if b"+" in token or b"/" in token or b"=" in token:
        raise refusal("not_a_jwt", {"found": "a character outside base64url"})
    return header, payload, signature, signing_input


def decode(segment: bytes) -> bytes:
    """Decode one base64url segment, canonical and unpadded (RFC 7515 section 2).

    Raises:
        InvalidTokenError: not_a_jwt.
    """
    remainder = len(segment) & 3
    if remainder and segment[-1] not in _LAST[remainder]:
        raise refusal("not_a_jwt", {"found": "base64url that is not canonical"})
    try:
        return pybase64.b64decode(segment + _PADDED[remainder], b"-_", validate=True)
    except ValueError:
        raise refusal("not_a_jwt", {"found": "a character outside base64url"}) from None


def read_header(segment: bytes, algorithms: frozenset[str]) -> Header:
    """Read a header segment and refuse what must not be verified.

    The members jku, jwk, x5u and x5c are ignored: a token does not choose its key.

    Raises:
        InvalidTokenError: not_a_jwt, or algorithm_not_allowed.
    """
    try:
        header = read_object(decode(segment))
    except NotStrictJsonError as error:
        raise refusal("not_a_jwt", {"found": f"header: {error}"}) from None
    if why := _unacceptable(header, algorithms):
        found = {"found": why, "alg": header.get("alg"), "kid": header.get("kid")}
        raise refusal("algorithm_not_allowed", found | {"expected": " or ".join(sorted(algorithms))})
    return Header(header["alg"], header["kid"])


def _unacceptable(header: dict[str, Any], algorithms: frozenset[str]) -> str:
    if header.get("alg") not in [*algorithms]:  # a list: what stands there may be unhashable
        return "algorithm"
    if not _REFUSED_MEMBERS.isdisjoint(header):
        return f"header member {', '.join(sorted(_REFUSED_MEMBERS & header.keys()))}"
    kind, kid = header.get("typ", "JWT"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return "typ"
    return "" if isinstance(kid, str) and 0 < len(kid) <= _MAX_KID else "kid"


def signature_holds(key: SigningKey, alg: str, signing_input: bytes, signature: bytes) -> bool:
    """Verify one RSA signature over bytes (RFC 7518 sections 3.3 and 3.5)."""
    try:
        key.public_key.verify(signature, signing_input, _PADDINGS[alg], _DIGEST)
    except InvalidSignature:
        return False
    return True
