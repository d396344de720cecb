"""Set and clear faults, and apply them to responses."""

from __future__ import annotations

import contextlib
import itertools
import time
from math import isfinite
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._faults.effects import EFFECTS, FaultContext
from entra_guard.emulator._http.delivery import Delivery
from entra_guard.emulator._http.trail import note_fault
from entra_guard.emulator._store.faults import TARGETS, Fault, FaultTarget, after_use, choose_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store

_numbers: Final = itertools.count(1)


class FaultInjector:
    """Make responses go wrong on request. Usable without the emulator.

    Args:
        store: The state; it holds the faults.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._callbacks: list[Callable[[], None]] = []
        store.on_restore(self._notify)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call a function after faults were set or cleared, without the store's lock."""
        self._callbacks.append(callback)

    def _notify(self) -> None:
        for callback in self._callbacks:
            callback()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that are set."""
        return self._store.state.faults

    def fail(
        self,
        target: FaultTarget,
        how: str,
        *,
        times: int | None = None,
        delay: float | None = None,
        retry_after: float | None = None,
        probability: float = 1.0,
        seconds: float | None = None,
    ) -> Fault:
        """Set a fault: until `clear_faults`, for a number of requests, or for a time.

        Counted faults apply in the order they were set. A lasting fault replaces an earlier lasting one.

        Args:
            target: `configuration`, `keys`, `token`, `graph`, `identity` (managed identity) or `all`.
            how: The effect's name:
                `500`, `503`, `429`; `slow`, `silent` (accepted, but no response), `dropped` (the connection
                closes), `partial` (half a response), `refused` (over sockets: the ports close, for every
                target); `html`, `truncated`, `empty`, `oversize`, `redirect`, `wrong-issuer`,
                `foreign-jwks-uri`; `stale` (the keys of the moment it was set, even after rotations);
                `reordered` (sent after a later response); `shuffled`, `no-x5c`; one unusable key before the
                others: `ec-key`, `rsa-1024-key`, `no-kid`, `bad-base64`, `enc-key`, `symmetric-key`,
                `private-key`, `duplicate-kid`; for Graph also `claims-challenge`; for the token endpoint
                also `temporarily_unavailable`, `AADSTS53003` and other AADSTS numbers.
            times: How many requests it affects; all by default.
            delay: Seconds: the delay of `slow` (5 by default), the maximum delay of `reordered`, and
                in-process the time after which `silent` raises for a caller without a timeout (0 by default).
            retry_after: Value of the `Retry-After` header in seconds; no header by default.
            probability: Probability that a request is affected, 0 to 1.
            seconds: How long the fault lasts.

        Raises:
            ValueError: The target or the effect does not exist, or a number is out of range.
        """
        _check_fault(target, how, times, probability)
        _check_seconds(delay=delay, retry_after=retry_after, seconds=seconds)
        until = None if seconds is None else time.monotonic() + seconds
        with self._store.lock:
            keys = self._store.state.keys
            fault = Fault(target, how, next(_numbers), times, delay, retry_after, probability, until, keys)
            self._store.change(faults=(*self.faults, fault))
        self._notify()
        return fault

    def fail_next(
        self,
        target: FaultTarget,
        how: str,
        *,
        times: int = 1,
        delay: float | None = None,
        retry_after: float | None = None,
    ) -> Fault:
        """Set a fault for the next request, or for the next few. See `fail`."""
        return self.fail(target, how, times=times, delay=delay, retry_after=retry_after)

    @contextlib.contextmanager
    def failing(
        self,
        target: FaultTarget,
        how: str,
        *,
        delay: float | None = None,
        retry_after: float | None = None,
        probability: float = 1.0,
    ) -> Generator[Fault]:
        """Set a fault within a `with` block. See `fail`."""
        fault = self.fail(target, how, delay=delay, retry_after=retry_after, probability=probability)
        try:
            yield fault
        finally:
            self.remove_fault(fault.number)

    def clear_faults(self, target: FaultTarget | None = None) -> None:
        """Clear all faults, or those of one target."""
        self._remove(lambda fault: target in {None, fault.target})

    def remove_fault(self, number: int) -> None:
        """Clear the fault of that number, if it is still set."""
        self._remove(lambda fault: fault.number == number)

    def _remove(self, ended: Callable[[Fault], bool]) -> None:
        with self._store.lock:
            self._store.change(faults=tuple(fault for fault in self.faults if not ended(fault)))
        self._notify()

    def apply_fault(self, target: str, request: Request, respond: Callable[[], Response]) -> Delivery:
        """Return the response as the faults change it. Call it with the store's lock held."""
        fault = choose_fault(self.faults, target, time.monotonic())
        if fault is None or self._store.ids.fraction() >= fault.probability:
            return Delivery(respond())
        if fault.times is not None:
            self._store.change(faults=after_use(self.faults, fault))
        note_fault(fault.how)
        return EFFECTS[fault.how](FaultContext(self._store, fault, request, respond))


def _check_fault(target: str, how: str, times: int | None, probability: float) -> None:
    if target not in TARGETS:
        raise ValueError(f"There is no target {target!r}. Use one of: {', '.join(TARGETS)}.")
    if how not in EFFECTS:
        raise ValueError(f"There is no effect {how!r}. Use one of: {', '.join(EFFECTS)}.")
    if times is not None and (type(times) is not int or times < 1):
        raise ValueError(f"times must be an integer, at least 1, got {times!r}. Omit it for a lasting fault.")
    if not 0.0 < probability <= 1.0:
        raise ValueError(f"probability must be above 0 and at most 1, got {probability}.")


def _check_seconds(**given: float | None) -> None:
    # The control API has no types, and a state file with another value could not be read again.
    for name, value in given.items():
        if value is not None and not (type(value) in {int, float} and isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a number of seconds, got {value!r}.")
