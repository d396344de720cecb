"""Tokens sealed for a place that others can read and write: AES-256-GCM, keys that can be rotated. No I/O.

A sealed token is bound to its name, so that nobody can put it where another belongs.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from entra_guard.credentials._cache.token import AccessToken, is_bearer
from entra_guard.errors import ConfigurationError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MARK_BYTES: Final = 4
_VERSION: Final = b"1"


class NotSealedByUsError(ValueError):
    """What was found is none of ours, or damaged; the message quotes nothing of it."""


def new_key() -> str:
    """Make a key for `RedisTokens`, as text for a secret store."""
    return urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


class TokenCipher:
    """Seals tokens with the first of some keys, and opens what any of them has sealed.

    Args:
        keys: Keys of 32 bytes, as bytes or in base64; the newest first.

    Raises:
        ConfigurationError: There is none, or one of another length.
    """

    def __init__(self, keys: Iterable[str | bytes] | str | bytes) -> None:
        if not isinstance(keys, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("keys are text or bytes, one or several")
        read = [_key(key) for key in ([keys] if isinstance(keys, (str, bytes)) else keys)]
        if not read:
            raise ConfigurationError("give at least one key: entra_guard.credentials.new_key() makes one")
        self._ciphers = {sha256(key).digest()[:_MARK_BYTES]: AESGCM(key) for key in reversed(read)}
        self._first = sha256(read[0]).digest()[:_MARK_BYTES]

    def __repr__(self) -> str:
        return f"<TokenCipher with {len(self._ciphers)} keys>"

    def close(self, token: AccessToken, name: str) -> bytes:
        """TokenCipher a token for its name, as ASCII."""
        plain = json.dumps([token.token, token.expires_on, token.refresh_on]).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, plain, _VERSION + name.encode())
        return urlsafe_b64encode(_VERSION + self._first + nonce + sealed)

    def open(self, sealed: bytes | str, name: str) -> AccessToken:
        """Open what was sealed for a name.

        Raises:
            NotSealedByUsError: It was not sealed by any of the keys, or for another name, or is damaged.
        """
        try:
            raw = urlsafe_b64decode(sealed)
            head, mark, rest = raw[:1], raw[1 : 1 + _MARK_BYTES], raw[1 + _MARK_BYTES :]
            cipher = self._ciphers[mark]
            plain = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + name.encode())
            return _read(json.loads(plain))
        except (KeyError, ValueError, TypeError, InvalidTag) as error:
            raise NotSealedByUsError(f"it cannot be opened ({type(error).__name__})") from None


def _read(parts: Any) -> AccessToken:
    token, expires_on, refresh_on = parts
    if not is_bearer(token):
        raise ValueError("no token")
    return AccessToken(token, int(expires_on), float(refresh_on))


def _key(given: str | bytes) -> bytes:
    try:
        key = given if isinstance(given, bytes) and len(given) == _KEY_BYTES else urlsafe_b64decode(given)
    except (ValueError, TypeError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            "a key is 32 bytes, or their base64: entra_guard.credentials.new_key() makes one"
        )
    return key
