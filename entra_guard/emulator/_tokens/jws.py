"""Compact JWS: sign them, correctly or deliberately wrong, and parse them without verification.

PyJWT's algorithms sign. Its `encode` is not used, because it refuses what an attacker would send.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._store.encoding import base64url, decode_base64

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

    from entra_guard.emulator._store.signing_keys import SigningKey

Signer = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class ParsedJwt:
    """The parts of a JWT, unverified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg"))

    def text(self, claim: str) -> str:
        return str(self.claims.get(claim, ""))

    def audiences(self) -> tuple[str, ...]:
        """Return the values of `aud`, which may be a string or a list."""
        audience = self.claims.get("aud")
        return tuple(str(a) for a in audience) if isinstance(audience, list) else (str(audience),)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def parse_jwt(text: str) -> ParsedJwt:
    """Parse a JWT, including base64 in the forms that released clients write.

    Raises:
        ValueError: It is not a JWT.
    """
    try:
        header, claims, signature = text.split(".")
        parsed = ParsedJwt(
            json.loads(decode_base64(header)),
            json.loads(decode_base64(claims)),
            f"{header}.{claims}".encode("ascii"),
            decode_base64(signature),
        )
    except RecursionError:
        raise ValueError("The JWT is nested too deeply.") from None
    if not (isinstance(parsed.header, dict) and isinstance(parsed.claims, dict)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("Header and claims must be JSON objects.")  # noqa: TRY004 (the value is wrong)
    return parsed


def compact_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def jwt_algorithm(name: str) -> Algorithm:
    """Return PyJWT's implementation of a signature algorithm."""
    import jwt  # noqa: PLC0415 (slow to import, and only for signatures)

    return jwt.get_algorithm_by_name(name)


def signer_of(key: SigningKey, algorithm: str = "RS256") -> Signer:
    """Return a function that signs with this key."""
    signer = jwt_algorithm(algorithm)
    return lambda signing_input: signer.sign(signing_input, key.private_key)


def hmac_with_public_key(key: SigningKey) -> Signer:
    """Return a function that computes an HMAC with the public key as its secret (algorithm confusion)."""
    signer = jwt_algorithm("HS256")
    return lambda signing_input: signer.sign(signing_input, key.public_pem())


def no_signature(_signing_input: bytes) -> bytes:
    """Return an empty signature."""
    return b""


def compact(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, signer: Signer) -> str:
    """Return the signed token. Bytes are used as they are, even if they are malformed."""
    segments = (part if isinstance(part, bytes) else compact_json(part) for part in (header, payload))
    signing_input = ".".join(map(base64url, segments))
    return f"{signing_input}.{base64url(signer(signing_input.encode()))}"


def graph_token(header: Mapping[str, Any], payload: Mapping[str, Any], signer: Signer) -> str:
    """Return a token that only Microsoft Graph can verify: the signature covers the hash of the nonce."""
    signed = compact(with_hashed_nonce(header), payload, signer)
    return ".".join([base64url(compact_json(header)), *signed.split(".")[1:]])


def with_hashed_nonce(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header that the signature of a token for Graph covers."""
    nonce = str(header["nonce"])
    return {**header, "nonce": base64url(hashlib.sha256(nonce.encode()).digest())}
