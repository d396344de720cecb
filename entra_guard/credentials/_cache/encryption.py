"""Encrypt tokens for a store that others can read and write: AES-256-GCM, with rotating keys. No I/O.

An encrypted token is bound to its name: it cannot be moved to another entry.
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


class DecryptionError(ValueError):
    """The data was not encrypted with any of our keys, or is damaged; the message quotes nothing of it."""


def new_key() -> str:
    """Return a new key for `RedisTokens`, as text for a secret store."""
    return urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


class TokenCipher:
    """Encrypts tokens with the first of some keys, and decrypts what any of them encrypted.

    Args:
        keys: Keys of 32 bytes, as bytes or in base64; the newest first.

    Raises:
        ConfigurationError: There is no key, or one of another length.
    """

    def __init__(self, keys: Iterable[str | bytes] | str | bytes) -> None:
        if not isinstance(keys, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"keys must be str or bytes, one or several, got {type(keys).__name__}")
        self._keys = [_read_key(key) for key in ([keys] if isinstance(keys, (str, bytes)) else keys)]
        if not self._keys:
            raise ConfigurationError("give at least one key: entra_guard.credentials.new_key() makes one")
        self._ciphers = {_mark(key): AESGCM(key) for key in reversed(self._keys)}
        self._first = _mark(self._keys[0])

    def __repr__(self) -> str:
        return f"<TokenCipher with {len(self._ciphers)} keys>"

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenCipher, (self._keys,)

    def encrypt(self, token: AccessToken, name: str) -> bytes:
        """Encrypt a token for its name; the result is ASCII."""
        plain = json.dumps([token.token, token.expires_on, token.refresh_on]).encode()
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = self._ciphers[self._first].encrypt(nonce, plain, _VERSION + name.encode())
        return urlsafe_b64encode(_VERSION + self._first + nonce + encrypted)

    def decrypt(self, data: bytes | str, name: str) -> AccessToken:
        """Decrypt what was encrypted for a name.

        Raises:
            DecryptionError: None of the keys encrypted it, or it was for another name, or is damaged.
        """
        try:
            raw = urlsafe_b64decode(data)
            version, mark, rest = raw[:1], raw[1 : 1 + _MARK_BYTES], raw[1 + _MARK_BYTES :]
            cipher = self._ciphers[mark]
            plain = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], version + name.encode())
            return _read_token(json.loads(plain))
        except (KeyError, ValueError, TypeError, InvalidTag) as error:
            raise DecryptionError(f"it cannot be decrypted ({type(error).__name__})") from None


def _mark(key: bytes) -> bytes:
    """Return the short public name of a key."""
    return sha256(key).digest()[:_MARK_BYTES]


def _read_token(parts: Any) -> AccessToken:
    token, expires_on, refresh_on = parts
    if not is_bearer(token):
        raise ValueError("not a bearer token")
    return AccessToken(token, int(expires_on), float(refresh_on))


def _read_key(given: str | bytes) -> bytes:
    try:
        key = given if isinstance(given, bytes) and len(given) == _KEY_BYTES else urlsafe_b64decode(given)
    except (ValueError, TypeError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            "a key must be 32 bytes, or their base64: entra_guard.credentials.new_key() makes one"
        )
    return key
