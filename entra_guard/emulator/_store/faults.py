"""Faults as values: what is to go wrong where, how often and for how long. Knows no HTTP."""

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
    """One thing that goes wrong.

    Attributes:
        target: What it strikes; `all` spares only the control interface.
        how: The effect's name, see `EFFECTS`.
        number: Tells faults apart.
        times: How many requests it still strikes; None for all.
        delay: Seconds, for effects that take time.
        retry_after: What a `Retry-After` header says, in seconds.
        probability: How likely a request is context, 0 to 1.
        until: When it ends by itself, on the monotonic clock.
        keys: The keys there were when it was set, for documents that lag behind.
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

    def ended(self, monotonic: float) -> bool:
        """Whether its time is over."""
        return self.until is not None and monotonic >= self.until

    def strikes(self, target: str, monotonic: float) -> bool:
        """Whether a request to that target is its business."""
        return not self.ended(monotonic) and (
            self.target == target or (self.target == "all" and target != "control")
        )


def choose(faults: Sequence[Fault], target: str, monotonic: float) -> Fault | None:
    """The fault that strikes next: counted ones in the order they were set, then the latest lasting one."""
    due = [f for f in faults if f.strikes(target, monotonic)]
    counted = next((f for f in due if f.times is not None), None)
    return counted or (due[-1] if due else None)


def spent(faults: Sequence[Fault], context: Fault) -> tuple[Fault, ...]:
    """The faults that remain after one has context."""
    if context.times is None:
        return tuple(faults)
    left = replace(context, times=context.times - 1)
    after = (left if f.number == context.number else f for f in faults)
    return tuple(f for f in after if f.times != 0)
