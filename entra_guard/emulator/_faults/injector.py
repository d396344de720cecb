"""Breaking the emulator and mending it, from Python."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

from entra_guard.emulator._faults.effects import EFFECTS, FaultContext
from entra_guard.emulator._http.delivery import Answer
from entra_guard.emulator._store.faults import TARGETS, Fault, FaultTarget, choose, spent
from entra_guard.emulator._tokens.issuer import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from entra_guard.emulator._http.messages import Request, Response

_numbers = itertools.count(1)


class FaultInjection(Issuer):
    """Things that go wrong on request."""

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
        """Make something go wrong until `clear_faults`, a number of times, or for a while.

        Counted faults strike in the order they were set; a lasting one replaces an earlier lasting one.

        Args:
            target: `configuration`, `keys`, `token`, `graph`, `identity` (managed identity) or `all`.
            how: An effect's name:
                `500`, `503`, `429`; `slow`, `silent` (accepted, never answered), `dropped` (no answer),
                `partial` (half an answer), `refused` (over sockets: the ports are closed, for every target);
                `html`, `truncated`, `empty`, `oversize`, `redirect`, `wrong-issuer`, `foreign-jwks-uri`;
                `stale` (shows the keys of the moment it was set, whatever is rotated since);
                `reordered` (goes out after a later answer); `shuffled`, `no-x5c`; one odd key among the good
                ones: `ec-key`, `rsa-1024-key`, `no-kid`, `bad-base64`, `enc-key`, `symmetric-key`,
                `private-key`, `duplicate-kid`; for Graph also `claims-challenge`; for the token endpoint
                also `temporarily_unavailable`, `AADSTS53003` and the like.
            times: How many requests it strikes; all by default.
            delay: Seconds: how late `slow` is (5 by default), how late `reordered` is at most, and in-process
                how long `silent` keeps a caller waiting that has no time-out of its own (0 by default).
            retry_after: What `Retry-After` says, in seconds; no such header by default.
            probability: How likely a request is context, 0 to 1.
            seconds: For how long.

        Raises:
            ValueError: There is no such target or effect, or a number makes no sense.
        """
        _check(target, how, times, probability)
        until = None if seconds is None else time.monotonic() + seconds
        with self.lock:
            keys = self.state.keys
            fault = Fault(target, how, next(_numbers), times, delay, retry_after, probability, until, keys)
            self.change(faults=(*self.state.faults, fault))
        self.faults_changed()
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
        """Make the next request go wrong, or the next few. See `fail`."""
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
        """Make something go wrong within a `with` block. See `fail`."""
        fault = self.fail(target, how, delay=delay, retry_after=retry_after, probability=probability)
        try:
            yield fault
        finally:
            self._forget(lambda other: other.number == fault.number)

    def clear_faults(self, target: FaultTarget | None = None) -> None:
        """End every fault, or those set for one target."""
        self._forget(lambda fault: target in {None, fault.target})

    def _forget(self, ended: Callable[[Fault], bool]) -> None:
        with self.lock:
            self.change(faults=tuple(f for f in self.state.faults if not ended(f)))
        self.faults_changed()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults set now."""
        return self.state.faults

    def apply_fault(self, target: str, request: Request, true: Callable[[], Response]) -> Answer:
        """The answer to a request, as the faults would have it. To be called with the lock held."""
        fault = choose(self.state.faults, target, time.monotonic())
        if fault is None or self.ids.fraction() >= fault.probability:
            return Answer(true())
        if fault.times is not None:
            self.change(faults=spent(self.state.faults, fault))
        return EFFECTS[fault.how](FaultContext(self, fault, request, true))


def _check(target: str, how: str, times: int | None, probability: float) -> None:
    if target not in TARGETS:
        raise ValueError(f"There is no target {target!r}. There are: {', '.join(TARGETS)}.")
    if how not in EFFECTS:
        raise ValueError(f"There is no effect {how!r}. There are: {', '.join(EFFECTS)}.")
    if times is not None and times < 1:
        raise ValueError("times must be at least 1; leave it out for a lasting fault.")
    if not 0.0 < probability <= 1.0:
        raise ValueError("probability must be above 0 and at most 1.")
