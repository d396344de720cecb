"""Writing compact JWS, right or deliberately wrong. Knows no claims.

PyJWT's algorithms sign; its `encode` is not used, because it refuses to write what a hostile sender would.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jwt

if TYPE_CHECKING:
    from entra_guard.emulator._store.signing_keys import SigningKey

Signer = Callable[[bytes], bytes]


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def minified(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def signer_of(key: SigningKey, algorithm: str = "RS256") -> Signer:
    """A signature by that key."""
    signer = jwt.get_algorithm_by_name(algorithm)
    return lambda signing_input: signer.sign(signing_input, key.private_key)


def hmac_with_public_key(key: SigningKey) -> Signer:
    """An HMAC with the public key as its secret: the classic confusion of algorithms."""
    signer = jwt.get_algorithm_by_name("HS256")
    return lambda signing_input: signer.sign(signing_input, key.public_pem())


def no_signature(_signing_input: bytes) -> bytes:
    """No signature at all."""
    return b""


def compact(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, signer: Signer) -> str:
    """The three segments. Bytes are taken as they are, however malformed."""
    segments = (part if isinstance(part, bytes) else minified(part) for part in (header, payload))
    signing_input = ".".join(map(base64url, segments))
    return f"{signing_input}.{base64url(signer(signing_input.encode()))}"


def graph_token(header: Mapping[str, Any], payload: Mapping[str, Any], signer: Signer) -> str:
    """A token only Microsoft Graph can verify: its signature covers the hash of the nonce, not the nonce."""
    nonce = str(header["nonce"])
    hashed = {**header, "nonce": base64url(hashlib.sha256(nonce.encode()).digest())}
    signed = compact(hashed, payload, signer)
    return ".".join([base64url(minified(header)), *signed.split(".")[1:]])
