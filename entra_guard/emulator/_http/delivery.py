"""How a response is delivered: immediately or late, complete or interrupted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from entra_guard.emulator._http.messages import Response

_POLL_SECONDS: Final = 0.005
_SECONDS_AFTER_RELEASE: Final = 0.02

Ending = Literal["complete", "silent", "dropped", "refused", "partial"]
# complete: the response is sent. silent: nothing is ever sent. dropped: the connection closes without a
# response. partial: it closes in the middle of the body. refused: the connection is not accepted.


@dataclass(frozen=True, slots=True)
class Delivery:
    """A response and how it is sent.

    Attributes:
        response: The response that is sent if the exchange completes.
        ending: How the exchange ends.
        delay: Seconds to wait before sending.
        wait_for: Event to wait for before sending, for at most `delay` seconds.
        releases: Events to set after this response was sent.
    """

    response: Response
    ending: Ending = "complete"
    delay: float = 0.0
    wait_for: threading.Event | None = None
    releases: tuple[threading.Event, ...] = ()

    def pauses(self, timeout: float = float("inf")) -> Iterator[float]:
        """Yield the seconds to sleep, in parts, until it is sent or the client's timeout ends."""
        wait = min(self.delay, timeout)
        if self.wait_for is None:
            yield wait
            return
        end = time.monotonic() + wait
        while time.monotonic() < end and not self.wait_for.is_set():
            yield _POLL_SECONDS
        yield _SECONDS_AFTER_RELEASE

    def mark_sent(self) -> None:
        """Set the events of responses that wait for this one. Call it after sending."""
        for event in self.releases:
            event.set()
