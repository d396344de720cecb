"""Verifying the emulator's own access tokens, for its Graph and for the on-behalf-of grant.

This is the authority checking what it issued itself. It shares nothing with the guard.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import jwt

from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.assertions import ParsedJwt, decode_base64, read_assertion
from entra_guard.emulator._tokens.jws import base64url, minified

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store


class InvalidTokenError(Exception):
    """Why a token is not good, in words."""


def verify_own_token(store: Store, token: str) -> dict[str, Any]:
    """The claims of an access token this emulator issued, valid now.

    Raises:
        InvalidTokenError: It is none, or not valid now.
    """
    try:
        parsed = read_assertion(token)
    except EntraError:
        raise InvalidTokenError("CompactToken parsing failed with error code: 80049217") from None
    keys = store.state.keys
    known = {key.kid: key for key in (*keys.published(), *keys.apps.values())}
    key = known.get(str(parsed.header.get("kid")))
    if key is None or parsed.algorithm != "RS256":
        raise InvalidTokenError("Signature validation failed. Signature verification failed.")
    verifier = jwt.get_algorithm_by_name("RS256")
    if not verifier.verify(_signed_text(parsed, token), key.private_key.public_key(), parsed.signature):
        raise InvalidTokenError("Signature validation failed. Signature verification failed.")
    _check_times(store, parsed.claims)
    return parsed.claims


def _signed_text(parsed: ParsedJwt, token: str) -> bytes:
    """What the signature covers; in a token for Graph the hash of the nonce in the place of the nonce."""
    if "nonce" not in parsed.header:
        return parsed.signing_input
    header, claims, _ = token.split(".")
    nonce = str(parsed.header["nonce"])
    hashed = {
        **json.loads(decode_base64(header)),
        "nonce": base64url(hashlib.sha256(nonce.encode()).digest()),
    }
    return f"{base64url(minified(hashed))}.{claims}".encode()


def _check_times(store: Store, claims: dict[str, Any]) -> None:
    now = store.now()
    if now >= claims.get("exp", 0):
        raise InvalidTokenError("Lifetime validation failed, the token is expired.")
    if now < claims.get("nbf", 0):
        raise InvalidTokenError("Lifetime validation failed, the token is not yet valid.")
