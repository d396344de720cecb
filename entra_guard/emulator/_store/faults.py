"""Faults as immutable values: what goes wrong, where, how often and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.emulator._store.signing_keys import SigningKeySet

FaultTarget = Literal["configuration", "keys", "token", "graph", "identity", "all"]
TARGETS: Final[tuple[str, ...]] = ("configuration", "keys", "token", "graph", "identity", "all")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        target: The endpoints it affects; `all` affects everything except the control API.
        how: The effect's name, see `EFFECTS`.
        number: Identifies the fault.
        times: How many more requests it affects; None for all.
        delay: Seconds, for effects that take time.
        retry_after: Value of the `Retry-After` header in seconds.
        probability: Probability that a request is affected, 0 to 1.
        until: When the fault ends, on the monotonic clock.
        keys: The signing keys when the fault was set, for outdated documents.
    """

    target: FaultTarget
    how: str
    number: int
    times: int | None = None
    delay: float | None = None
    retry_after: float | None = None
    probability: float = 1.0
    until: float | None = None
    keys: SigningKeySet | None = field(default=None, repr=False)

    def has_ended(self, monotonic: float) -> bool:
        return self.until is not None and monotonic >= self.until

    def applies_to(self, target: str, monotonic: float) -> bool:
        """Return whether the fault affects requests to that target now."""
        matches = self.target == target or (self.target == "all" and target != "control")
        return matches and not self.has_ended(monotonic)


def choose_fault(faults: Sequence[Fault], target: str, monotonic: float) -> Fault | None:
    """Return the next fault: counted ones in the order they were set, then the latest lasting one."""
    active = [fault for fault in faults if fault.applies_to(target, monotonic)]
    counted = next((fault for fault in active if fault.times is not None), None)
    return counted or (active[-1] if active else None)


def after_use(faults: Sequence[Fault], used: Fault) -> tuple[Fault, ...]:
    """Return the faults that remain after one was applied."""
    if used.times is None:
        return tuple(faults)
    remaining = replace(used, times=used.times - 1)
    updated = (remaining if fault.number == used.number else fault for fault in faults)
    return tuple(fault for fault in updated if fault.times != 0)
