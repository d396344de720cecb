"""Callers whose older tokens are refused, and the open streams of those callers. In this process only.

Bounded: if more callers are revoked than fit, every token from before the oldest of these revocations is
refused. So a flood of events refuses too much for a while, and never accepts a revoked token.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime
from heapq import heapify, heappop, heappush
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.guid import is_guid
from entra_guard._common.logs import get_logger
from entra_guard._common.step_up import authorization_uri, claims_request, takes_claims_challenge
from entra_guard._common.utc import utc_text
from entra_guard.errors import ConfigurationError, InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from entra_guard.principal import Principal

log: Final = get_logger("entra_guard")

_MOST: Final = 10_000
# Seconds for which a token of Entra can live: 28 hours with continuous access evaluation, and some more.
_LONGEST_TOKEN: Final = 30 * 3600.0
# Seconds by which an event's time may be ahead of this host's clock.
_AHEAD: Final = 600.0
_NEVER: Final = float("-inf")


class _Stream:
    """An open stream of a caller, and what ends it."""

    __slots__ = ("end", "principal")

    def __init__(self, principal: Principal, end: Callable[[], object]) -> None:
        self.principal = principal
        self.end = end


class Revocations:
    """Since when the tokens of callers are accepted.

    Args:
        is_entra: Whether the issuer is Entra, whose tokens end within 30 hours.
        most: The maximum number of callers.
    """

    def __init__(self, *, is_entra: bool, most: int = _MOST) -> None:
        self._is_entra = is_entra
        self._keep = _LONGEST_TOKEN if is_entra else float("inf")
        self._most = most
        # Read without the lock; changed under it, and never so that a revoked caller is absent for a moment.
        self._since: dict[str, float] = {}
        # Older tokens of every caller are refused.
        self._floor = _NEVER
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin with a new lock and without the parent's streams; what was revoked stays revoked."""
        self._lock = threading.Lock()
        self._streams: dict[str, set[_Stream]] = {}
        self._sort()

    def add(self, object_id: str, since: float | datetime | None, now: float) -> None:
        """Refuse a caller's tokens that were issued before a time, and end its streams with such tokens.

        Raises:
            ConfigurationError: An argument is not valid.
        """
        caller, moment = self._caller(object_id), _seconds(since, now)
        with self._lock:
            self._put(caller, moment)
            was_full, is_full = self._floor > _NEVER, self._make_room(now)
            streams = list(self._streams.get(caller, ()))
            if is_full:
                streams = [stream for each in self._streams.values() for stream in each]
        log.info("tokens of %s from before %s are refused in this process", caller, utc_text(moment))
        if is_full and not was_full:
            log.warning(
                "more than %d callers are revoked: every token from before %s is refused in this process",
                self._most,
                utc_text(self._floor),
            )
        for stream in streams:
            if self.is_revoked(stream.principal):
                stream.end()

    def _caller(self, object_id: object) -> str:
        if not isinstance(object_id, str) or not object_id.strip():
            raise ConfigurationError(
                f"revoke takes the object id of a user or application, got {object_id!r}"
            )
        if self._is_entra and not is_guid(object_id.lower()):
            raise ConfigurationError(
                f"revoke takes an object id, which is a GUID in Entra, got {object_id!r}"
            )
        return _name(object_id)

    def _put(self, caller: str, moment: float) -> None:
        """Store a revocation, unless a later one of the same caller is known. Under the lock."""
        if moment <= self._since.get(caller, _NEVER):
            return
        self._since[caller] = moment
        heappush(self._by_time, (moment, caller))
        if len(self._by_time) > 2 * self._most:  # the same callers were revoked again and again
            self._sort()

    def _sort(self) -> None:
        # A heap of the entries of `_since`, the oldest first, and of former entries of the same callers.
        self._by_time = [(since, caller) for caller, since in self._since.items()]
        heapify(self._by_time)

    def _make_room(self, now: float) -> bool:
        """Remove the oldest if too many; return whether one of them still had an effect. Under the lock."""
        has_effect = False
        while len(self._since) > self._most:
            moment, caller = heappop(self._by_time)
            if self._since[caller] != moment:
                continue  # revoked again later
            if moment + self._keep >= now:
                has_effect = True
                self._floor = max(self._floor, moment)  # before it is removed: readers have no lock
            del self._since[caller]
        return has_effect

    def _since_of(self, principal: Principal) -> float:
        verified, since = principal.verified, self._since
        known = max(since.get(_name(verified.object_id), _NEVER), self._floor)
        return known if self._is_entra else max(known, since.get(_name(verified.subject), _NEVER))

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether a caller's token was issued before the caller was revoked."""
        since = self._since_of(principal)
        return since > _NEVER and _issued(principal.claims) < since

    def check(self, principal: Principal) -> None:
        """Return if the caller's token is not revoked.

        Raises:
            InvalidTokenError: token_revoked, with a claims challenge if the client takes one.
        """
        since = self._since_of(principal)
        if since == _NEVER:
            return
        claims = principal.claims
        issued = _issued(claims)
        if issued >= since:
            return
        facts: dict[str, object] = {"expected": f"issued at {utc_text(since)} or later"}
        facts |= {
            "app_id": principal.app_id,
            "tenant_id": principal.tenant_id,
            "token_id": principal.token_id,
        }
        if isfinite(issued):
            facts["found"] = utc_text(issued)
        can = principal.verified.is_entra and takes_claims_challenge(claims)
        challenge = claims_request("nbf", str(ceil(since))) if can else ""
        error = InvalidTokenError("token_revoked", facts, claims=challenge)
        error.authorization_uri = authorization_uri(claims) if can else ""
        raise error.for_client(principal.app_id)

    @contextmanager
    def watch(self, principal: Principal, end: Callable[[], object]) -> Generator[None]:
        """Have a stream ended if its caller is revoked while it is open.

        Args:
            principal: The caller.
            end: Ends the stream. Called on any thread, perhaps more than once.
        """
        verified, stream = principal.verified, _Stream(principal, end)
        names = {_name(verified.object_id), _name(verified.subject)}
        with self._lock:
            for name in names:
                self._streams.setdefault(name, set()).add(stream)
        try:
            if self.is_revoked(principal):  # since the token was verified
                end()
            yield
        finally:
            with self._lock:
                for name in names:
                    self._remove(name, stream)

    def _remove(self, name: str, stream: _Stream) -> None:
        streams = self._streams.get(name, set())
        streams.discard(stream)
        if not streams:
            self._streams.pop(name, None)


def _name(object_id: str) -> str:
    """Return an id as it is compared: GUIDs in lower case, as issuers differ in how they write them."""
    lower = object_id.lower()
    return lower if is_guid(lower) else object_id


def _issued(claims: dict[str, Any]) -> float:
    """Return when a token was issued; a claims challenge requests a later 'nbf'."""
    times = [claims.get(name) for name in ("iat", "nbf")]
    numbers = [time for time in times if isinstance(time, int | float) and not isinstance(time, bool)]
    return max(numbers, default=_NEVER)


def _seconds(since: Any, now: float) -> float:
    """Return the time of a revocation in seconds since the epoch."""
    if since is None:
        return now
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ConfigurationError(f"since must have a time zone, got {since!r}: use datetime.now(UTC)")
        since = since.timestamp()
    is_number = isinstance(since, int | float) and not isinstance(since, bool)
    if not is_number or not 0 <= since <= now + _AHEAD:
        raise ConfigurationError(
            f"since must be a datetime or seconds since 1970, and not in the future, got {since!r}"
        )
    return float(since)
