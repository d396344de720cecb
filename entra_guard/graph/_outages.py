"""How long failed requests for groups are remembered: an outage of Graph must not cost each caller a wait.

Used under its owner's lock. An outage counts for all callers, a refusal for the caller whom it is about.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import cachetools

from entra_guard.errors import ConfigurationError, EntraGuardError, TokenAcquisitionError
from entra_guard.graph._errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER_ERROR: Final = 500
_TOO_MANY_REQUESTS: Final = 429
_MOST_REFUSALS: Final = 2_000
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_LONGEST_RETRY_AFTER: Final = 300.0
_REFUSAL_PAUSE: Final = 10.0

E = TypeVar("E", bound=EntraGuardError)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: EntraGuardError
    until: float


class OutageMemory:
    """The last outage, and refusals by caller.

    Args:
        monotonic: Returns seconds that only increase.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._outage: _Failure | None = None
        self._in_a_row = 0
        self._refusals: cachetools.LRUCache[str, _Failure] = cachetools.LRUCache(_MOST_REFUSALS)

    def remember(self, key: str, error: EntraGuardError) -> None:
        """Remember how a request for a caller failed."""
        now = self._monotonic()
        if not is_outage(error):
            self._refusals[key] = _Failure(error, now + _REFUSAL_PAUSE)
            return
        if self._outage is not None and now < self._outage.until:
            return  # a request of the same moment
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._in_a_row)
        requested = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        self._in_a_row = min(self._in_a_row + 1, 10)
        self._outage = _Failure(error, now + max(pause, requested))

    def forget(self, key: str) -> None:
        """Forget the outage and a caller's refusal: a request succeeded."""
        self._outage, self._in_a_row = None, 0
        self._refusals.pop(key, None)

    def current(self, key: str) -> EntraGuardError | None:
        """Return the error that a caller gets without another request, or None if one may be sent."""
        now = self._monotonic()
        for failure in (self._outage, self._refusals.get(key)):
            if failure is not None and now < failure.until:
                error = repeated(failure.error)
                if getattr(error, "retry_after", None) is not None or is_outage(error):
                    error.retry_after = failure.until - now  # type: ignore[attr-defined]  # each kind has it
                return error
        return None


def repeated(error: E) -> E:
    """Return the same error for another caller."""
    return copy(error)


def is_outage(error: Exception) -> bool:
    """Return whether Graph could not be reached; a refusal, or a user that was deleted, is a response."""
    if isinstance(error, GraphError):
        return error.status >= _SERVER_ERROR or error.status == _TOO_MANY_REQUESTS
    if isinstance(error, ConfigurationError):
        return False
    return not isinstance(error, TokenAcquisitionError) or error.retryable
