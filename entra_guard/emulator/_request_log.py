"""Record which requests reached the emulator."""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass
from typing import Final

MAX_RECORDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that reached the emulator, without body and credentials.

    Attributes:
        target: What faults and counts refer to: `configuration`, `keys`, `token`, ...
        status: The status of the response.
        at: The emulator's time, in seconds since 1970.
    """

    method: str
    path: str
    target: str
    status: int
    at: float


class RequestLog:
    """Keep the last 10,000 requests, and count all of them by target."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: collections.deque[RequestRecord] = collections.deque(maxlen=MAX_RECORDS)
        self._counts: collections.Counter[str] = collections.Counter()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last 10,000 requests that reached the emulator, oldest first."""
        with self._lock:
            return tuple(self._records)

    def count(self, target: str) -> int:
        """Return how many requests reached `configuration`, `keys`, `token`, ... since `clear_requests`."""
        with self._lock:
            return self._counts[target]

    def clear_requests(self) -> None:
        """Forget all requests and counts."""
        with self._lock:
            self._records.clear()
            self._counts.clear()

    def add(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)
            self._counts[record.target] += 1
