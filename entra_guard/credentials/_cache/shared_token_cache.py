"""Tokens shared by many processes: one of them requests a token while the others wait for it.

Knows the order of steps, and not Redis. Whatever the store does or fails to do, a token is requested in the
end; and where Entra fails, a process that has just started finds one that is still valid here.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from hashlib import sha256
from random import SystemRandom
from typing import TYPE_CHECKING, Final, Protocol

from entra_guard._common.logs import get_logger
from entra_guard.credentials._cache.token import SKEW
from entra_guard.errors import TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.credentials._cache.token import AccessToken

log: Final = get_logger("entra_guard.credentials")
_random: Final = SystemRandom().random

# Seconds for which a process holds the lock. If it dies, one other process takes the lock after this time. If
# Entra is slower than this, one more process requests a token, not all.
LOCK_SECONDS: Final = 6.0
# Seconds that a process waits for others before it requests a token without the lock: several locks long, and
# up to this much longer, so that not all processes end their wait at once.
_LONGEST_WAIT: Final = 3 * LOCK_SECONDS
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.4
_RETRY_IN: Final = 30.0  # seconds until a token is requested again where Entra failed


class TokenStore(Protocol):
    """Where processes share tokens and locks. No method raises: the return value reports a failure."""

    def get(self, name: str) -> AccessToken | None:
        """Return the token with a name, if there is one that can be decrypted."""

    def put(self, name: str, token: AccessToken, seconds: float) -> None:
        """Store a token for a number of seconds, if that is possible."""

    def acquire_lock(self, name: str, owner: str, seconds: float) -> bool | None:
        """Acquire the lock of a name: True; False if another process holds it; None if that is not known."""

    def release_lock(self, name: str, owner: str) -> None:
        """Release the lock, if it is still the owner's."""


def entry_name(*parts: object) -> str:
    """Return a name for the parts: the same in every process, and the parts cannot be read from it."""
    return sha256(json.dumps(parts, default=_as_text).encode()).hexdigest()


def _as_text(part: object) -> str:
    return part.hex() if isinstance(part, bytes) else str(part)


class SharedTokenCache:
    """Requests a token once, however many processes need it.

    Args:
        store: Shared by the processes.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: TokenStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def get_or_request(self, name: str, send: Callable[[], AccessToken], *, bypass: bool) -> AccessToken:
        """Return a stored token that needs no renewal, or request one and store it for all.

        Args:
            name: The token's name.
            send: Requests it.
            bypass: Whether no stored token is acceptable.

        Raises:
            TokenAcquisitionError: The request failed.
        """
        if bypass:  # the stored token is the rejected one: it is of no use where Entra fails, either
            return self._put(name, send())
        owner = uuid.uuid4().hex
        found = self._wait_for_token_or_lock(name, owner)
        if not isinstance(found, bool | None):
            return found
        try:
            # Another process may have stored a token since the look-up, before this one got the lock.
            return (self._fresh(name) if found else None) or self._request(name, send)
        finally:
            if found:
                self._store.release_lock(name, owner)

    def _wait_for_token_or_lock(self, name: str, owner: str) -> AccessToken | bool | None:
        """Return a token; or True with the lock, None without locks, False if waiting took too long."""
        until = time.monotonic() + _LONGEST_WAIT + _random() * LOCK_SECONDS
        pause = _FIRST_PAUSE
        while True:
            if token := self._fresh(name):
                return token
            locked = self._store.acquire_lock(name, owner, LOCK_SECONDS)
            if locked is not False or time.monotonic() >= until:
                return locked
            time.sleep(pause * (0.5 + _random() / 2))
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _fresh(self, name: str) -> AccessToken | None:
        token = self._store.get(name)
        return token if token is not None and self._clock() < token.refresh_on < token.expires_on else None

    def _request(self, name: str, send: Callable[[], AccessToken]) -> AccessToken:
        try:
            token = send()
        except TokenAcquisitionError as error:
            if error.retryable and (valid := self._still_valid(name)):
                log.warning("using a token that another process stored, as no new one was issued: %s", error)
                return valid
            raise
        return self._put(name, token)

    def _put(self, name: str, token: AccessToken) -> AccessToken:
        self._store.put(name, token, self._seconds_left(token))
        return token

    def _still_valid(self, name: str) -> AccessToken | None:
        """Return a token that can still be used, to be renewed again soon."""
        token, now = self._store.get(name), self._clock()
        if token is None or self._seconds_left(token) <= 0:
            return None
        return replace(token, refresh_on=max(token.refresh_on, now + _RETRY_IN))

    def _seconds_left(self, token: AccessToken) -> float:
        return token.expires_on - SKEW - self._clock()
