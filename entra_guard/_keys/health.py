"""Health of an issuer's keys, for readiness probes: ok, degraded or unavailable. Fetches nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from entra_guard._keys import state as key_state

if TYPE_CHECKING:
    from entra_guard._keys.state import KeyCacheState


@dataclass(frozen=True, slots=True)
class Health:
    """State of the keys.

    Attributes:
        status: 'ok'; 'degraded': keys are cached, but the last refresh failed; 'unavailable': no keys.
        issuer: The pinned issuer of v2.0 tokens; empty before the first success.
        kids: The keys that verify tokens.
        age: Seconds since they were requested, or None.
        generation: The number of different key sets so far; 0 before the first success.
        failures: Failed rounds since the last success.
        refused: Responses that were refused since the start.
        last_error: What failed last, and at which step; empty after a success.
        next_attempt: Seconds until the next background attempt; 0 if one is due.
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
        """Return whether tokens can be verified."""
        return self.status != "unavailable"

    def as_dict(self) -> dict[str, Any]:
        """Return all values as JSON types."""
        return asdict(self)


def health_of(state: KeyCacheState, now: float) -> Health:
    """Return the health of an issuer's keys; `now` in monotonic seconds."""
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
