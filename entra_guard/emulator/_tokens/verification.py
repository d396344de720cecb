"""Verify access tokens that this emulator issued, for its Graph and for the on-behalf-of grant.

It shares no code with the guard, so that one mistake cannot hide on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._tokens.jws import (
    ParsedJwt,
    compact_json,
    jwt_algorithm,
    parse_jwt,
    with_hashed_nonce,
)

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store

_BAD_SIGNATURE: Final = "Signature validation failed. Signature verification failed."


class InvalidTokenError(Exception):
    """The token is not valid; the message is Entra's."""


class ExpiredTokenError(InvalidTokenError):
    """The token has expired."""


def verify_own_token(store: Store, token: str) -> dict[str, Any]:
    """Return the claims of an access token that this emulator issued and that is valid now.

    Raises:
        InvalidTokenError: The token is malformed, of another issuer, or not valid now.
    """
    try:
        parsed = parse_jwt(token)
    except ValueError:
        raise InvalidTokenError("CompactToken parsing failed with error code: 80049217") from None
    keys = store.state.keys
    known = {key.kid: key for key in (*keys.published(), *keys.apps.values())}
    key = known.get(str(parsed.header.get("kid")))
    if key is None or parsed.algorithm != "RS256":
        raise InvalidTokenError(_BAD_SIGNATURE)
    public_key = key.private_key.public_key()
    if not jwt_algorithm("RS256").verify(_signed_bytes(parsed), public_key, parsed.signature):
        raise InvalidTokenError(_BAD_SIGNATURE)
    _check_lifetime(store, parsed.claims)
    return parsed.claims


def _signed_bytes(parsed: ParsedJwt) -> bytes:
    """Return what the signature covers; in a token for Graph, the hash of the nonce replaces the nonce."""
    if "nonce" not in parsed.header:
        return parsed.signing_input
    claims = parsed.signing_input.partition(b".")[2]
    return base64url(compact_json(with_hashed_nonce(parsed.header))).encode() + b"." + claims


def _check_lifetime(store: Store, claims: dict[str, Any]) -> None:
    now = store.now()
    if now >= claims.get("exp", 0):
        raise ExpiredTokenError("Lifetime validation failed, the token is expired.")
    # A token that replaces a revoked one begins with the next full second.
    if now + 1 < claims.get("nbf", 0):
        raise InvalidTokenError("Lifetime validation failed, the token is not yet valid.")
