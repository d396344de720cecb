"""How an issuer's keys are, for readiness probes: ok, degraded or unavailable. Fetches nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from entra_guard._keys import state as key_state

if TYPE_CHECKING:
    from entra_guard._keys.manager import KeyManager


@dataclass(frozen=True, slots=True)
class Health:
    """How the keys are.

    Attributes:
        status: 'ok'; 'degraded': keys serve, and the last refresh failed; 'unavailable': there are none.
        issuer: The pinned issuer of v2.0 tokens; empty before the first success.
        kids: The keys that serve.
        age: Seconds since they were asked for, or None.
        generation: How often the key set has changed, counted from 1; 0 before the first success.
        failures: Failed rounds since the last success.
        refused: Answers refused since the start.
        last_error: What failed last, and at which step; empty after a success.
        next_attempt: Seconds until the next background attempt; 0 where one is due.
    """

    status: str
    issuer: str
    kids: tuple[str, ...]
    age: float | None
    generation: int
    failures: int
    refused: int
    last_error: str
    next_attempt: float

    @property
    def ready(self) -> bool:
        """Whether requests can be judged."""
        return self.status != "unavailable"

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON would have it."""
        return asdict(self)


def health_of(ring: KeyManager, now: float) -> Health:
    """Read a ring's health; `now` in monotonic seconds."""
    state = ring.state
    snapshot = key_state.expire(state, now).snapshot
    status = "unavailable" if snapshot is None else "degraded" if state.failing else "ok"
    return Health(
        status,
        snapshot.issuer.v2 if snapshot else "",
        tuple(sorted(snapshot.by_kid)) if snapshot else (),
        state.age(now) if snapshot else None,
        snapshot.generation if snapshot else 0,
        state.failures,
        state.refused,
        str(state.last_error or ""),
        max(0.0, state.next_attempt - now),
    )
