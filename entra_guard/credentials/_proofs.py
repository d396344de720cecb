"""Several proofs of one application: which one is used, which failed, and when each expires. No I/O.

While a secret or certificate is rotated, a credential may hold the old one and the new one. A proof that
Entra refuses makes the next request use the other one, without downtime and without a deployment.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.utc import DAY
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WARN_BEFORE: Final = 30 * DAY
REFUSED_PROOF: Final = "invalid_client"  # RFC 6749 section 5.2: client authentication failed
PROOF_ERRORS: Final = frozenset({REFUSED_PROOF, "file"})  # another proof may help


class ProofRotation:
    """Which of an application's proofs is used. Thread-safe.

    Args:
        kind: What the proofs are, such as 'client secret'.
        expiry: When each of them expires, in seconds since the epoch, or None where that is not known.
    """

    def __init__(self, kind: str, expiry: Sequence[float | None] = (None,)) -> None:
        self.kind = kind
        self.expiry = list(expiry)
        self._reset()

    def _reset(self) -> None:
        self.after_fork()
        reset_after_fork(self)
        self.current = 0
        self._in_use = 0
        self._failed: dict[int, str] = {}
        self._warned: dict[int, float] = {}

    def after_fork(self) -> None:
        """Start with a free lock."""
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[str, list[float | None]]:
        return self.kind, self.expiry

    def __setstate__(self, state: tuple[str, list[float | None]]) -> None:
        self.kind, self.expiry = state
        self._reset()

    def __len__(self) -> int:
        return len(self.expiry)

    def name(self, number: int) -> str:
        """Return what the log calls a proof."""
        return self.kind if len(self) == 1 else f"{self.kind} {number + 1} of {len(self)}"

    def failed(self, number: int, reasons: Iterable[int | str]) -> None:
        """Note that a proof was refused or cannot be read, and use the next one from now on.

        Args:
            number: The proof.
            reasons: AADSTS numbers, or an error code.
        """
        words = ", ".join(f"AADSTS{each}" if isinstance(each, int) else each for each in reasons)
        with self._lock:
            self._failed[number] = words
            if self.current == number:
                self.current = (number + 1) % len(self)

    def accepted(self, number: int) -> str:
        """Note that Entra accepted a proof; return what to log, once, if it replaces one that failed."""
        with self._lock:
            self._failed.pop(number, None)
            changed, self._in_use = number != self._in_use, number
            if not changed or not self._failed:
                return ""
            failed = ", ".join(f"{self.name(each)} ({why})" for each, why in self._failed.items())
            return f"{failed} failed; {self.name(number)} is used instead"

    def due_warnings(self, now: float) -> list[str]:
        """Return a sentence for each proof that expires within 30 days; at most once a day for each."""
        with self._lock:
            due = [
                (number, ends)
                for number, ends in enumerate(self.expiry)
                if ends is not None
                and ends - now < WARN_BEFORE
                and now >= self._warned.get(number, float("-inf")) + DAY
            ]
            self._warned.update((number, now) for number, _ in due)
        return [f"the {self.name(number)} {_days(ends - now)}" for number, ends in due]

    def health(self, now: float) -> list[dict[str, Any]]:
        """Return for each proof: its name, whether it is in use, the days left, and why it failed."""
        with self._lock:
            return [
                {
                    "name": self.name(number),
                    "in_use": number == self.current,
                    "days_left": None if ends is None else round((ends - now) / DAY, 1),
                    "failed": self._failed.get(number),
                }
                for number, ends in enumerate(self.expiry)
            ]


def _days(left: float) -> str:
    if left < 0:
        return f"expired {-left / DAY:.1f} days ago"
    return f"expires in {left / DAY:.1f} days"


def expiry_time(value: object) -> float | None:
    """Return a secret's expiry as seconds since the epoch.

    Args:
        value: Seconds since the epoch, a date, a datetime with a time zone, or either as ISO 8601 text.

    Raises:
        ConfigurationError: It is none of these.
    """
    if value is None:
        return None
    given = value
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ConfigurationError(
        "expires_on must be a date, a datetime with a time zone, ISO 8601 text, or seconds since the epoch, "
        f"got {given!r:.100}"
    )


def _parsed(text: str) -> object:
    try:
        return (
            dt.date.fromisoformat(text) if len(text) == len("2026-01-31") else dt.datetime.fromisoformat(text)
        )
    except ValueError:
        return None
