"""A token shared by many processes: found, or asked for by one of them while the others wait a little.

Knows the order of things and no Redis. Whatever the store does or fails to do, a token is asked for in the
end; and where Entra fails, one that is still valid is found here even by a process that has just started.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from entra_guard._common.logs import get_logger
from entra_guard.credentials._cache.token import SKEW
from entra_guard.errors import TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.credentials._cache.token import AccessToken

log: Final = get_logger("entra_guard.credentials")

TURN: Final = 12.0
"""Seconds that a process has for asking: longer than a request with its one repetition takes."""
_PATIENCE: Final = 6.0
"""Seconds that a process waits for another one before it asks itself."""
_PAUSE: Final = 0.05
_SOON: Final = 30.0
"""Seconds until Entra is asked again where it failed."""


class Store(Protocol):
    """What holds tokens and turns. No method raises: what cannot be done is told."""

    def find(self, name: str) -> AccessToken | None:
        """The token kept under a name, if there is one that can be opened."""

    def keep(self, name: str, token: AccessToken, seconds: float) -> None:
        """Keep a token for so many seconds, if that is possible."""

    def claim(self, name: str, who: str, seconds: float) -> bool | None:
        """Take the turn to ask, for so many seconds: True; False if another has it; None if none can tell."""

    def release(self, name: str, who: str) -> None:
        """Give the turn back, if it is still one's own."""


def name_of(*parts: object) -> str:
    """A name for what the parts say: the same in every process, and telling nobody what they are."""
    return sha256(json.dumps(parts, default=_written).encode()).hexdigest()


def _written(part: object) -> str:
    return part.hex() if isinstance(part, bytes) else str(part)


class SharedTokenCache:
    """Asks for a token once, however many processes want it.

    Args:
        store: Shared by the processes.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def through(self, name: str, request: Callable[[], AccessToken], *, anew: bool) -> AccessToken:
        """Find a token that need not be renewed yet, or ask for one and keep it for all.

        Args:
            name: What it is kept under.
            request: Asks for it.
            anew: Whether none that is kept will do.

        Raises:
            TokenAcquisitionError: It was asked for, and refused.
        """
        if anew:  # whatever is kept is what was rejected: it is no help where Entra fails
            return self._kept(name, request())
        who, until = uuid.uuid4().hex, time.monotonic() + _PATIENCE
        while True:
            if token := self._found(name):
                return token
            turn = self._store.claim(name, who, TURN)
            if turn is not False or time.monotonic() >= until:
                break
            time.sleep(_PAUSE)
        try:
            # Between the look and the turn another process may have come to its end.
            return (self._found(name) if turn else None) or self._asked(name, request)
        finally:
            if turn:
                self._store.release(name, who)

    def _found(self, name: str) -> AccessToken | None:
        token = self._store.find(name)
        return token if token is not None and self._clock() < token.refresh_on < token.expires_on else None

    def _asked(self, name: str, request: Callable[[], AccessToken]) -> AccessToken:
        try:
            token = request()
        except TokenAcquisitionError as error:
            if error.retryable and (kept := self._valid(name)):
                log.warning("a token kept by another process serves meanwhile: %s", error)
                return kept
            raise
        return self._kept(name, token)

    def _kept(self, name: str, token: AccessToken) -> AccessToken:
        self._store.keep(name, token, self._left(token))
        return token

    def _valid(self, name: str) -> AccessToken | None:
        """A token that can still be used; whoever gets it is to ask again soon."""
        token, now = self._store.find(name), self._clock()
        if token is None or self._left(token) <= 0:
            return None
        return replace(token, refresh_on=max(token.refresh_on, now + _SOON))

    def _left(self, token: AccessToken) -> float:
        return token.expires_on - SKEW - self._clock()
