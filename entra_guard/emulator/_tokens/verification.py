"""Verifying the emulator's own access tokens, for its Graph and for the on-behalf-of grant.

This is the authority checking what it issued itself. It shares nothing with the guard.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import jwt

from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.assertions import Presented, decode_base64, read_assertion
from entra_guard.emulator._tokens.jws import base64url, minified

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import World


class TokenProblemError(Exception):
    """Why a token is not good, in words."""


def own_claims(world: World, token: str) -> dict[str, Any]:
    """The claims of an access token this emulator issued, valid now.

    Raises:
        TokenProblemError: It is none, or not valid now.
    """
    try:
        presented = read_assertion(token)
    except EntraError:
        raise TokenProblemError("CompactToken parsing failed with error code: 80049217") from None
    keys = world.state.keys
    known = {key.kid: key for key in (*keys.published(), *keys.apps.values())}
    key = known.get(str(presented.header.get("kid")))
    if key is None or presented.algorithm != "RS256":
        raise TokenProblemError("Signature validation failed. Signature verification failed.")
    verifier = jwt.get_algorithm_by_name("RS256")
    if not verifier.verify(_signed_text(presented, token), key.private_key.public_key(), presented.signature):
        raise TokenProblemError("Signature validation failed. Signature verification failed.")
    _check_times(world, presented.claims)
    return presented.claims


def _signed_text(presented: Presented, token: str) -> bytes:
    """What the signature covers; in a token for Graph the hash of the nonce in the place of the nonce."""
    if "nonce" not in presented.header:
        return presented.signing_input
    header, claims, _ = token.split(".")
    nonce = str(presented.header["nonce"])
    hashed = {
        **json.loads(decode_base64(header)),
        "nonce": base64url(hashlib.sha256(nonce.encode()).digest()),
    }
    return f"{base64url(minified(hashed))}.{claims}".encode()


def _check_times(world: World, claims: dict[str, Any]) -> None:
    now = world.now()
    if now >= claims.get("exp", 0):
        raise TokenProblemError("Lifetime validation failed, the token is expired.")
    if now < claims.get("nbf", 0):
        raise TokenProblemError("Lifetime validation failed, the token is not yet valid.")
