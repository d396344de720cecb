"""An answer and how it goes out: at once or late, whole or broken off. Knows no socket and no cause."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from entra_guard.emulator._http.messages import Response

_TICK: Final = 0.005
_AFTER_RELEASE: Final = 0.02

Ending = Literal["whole", "silent", "dropped", "refused", "partial"]
"""How an exchange ends: answered, never answered, broken off before or during the answer, or refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out.

    Attributes:
        response: What would be answered if all went well from here.
        ending: How it ends.
        delay: Seconds to wait first.
        held: Wait until this is set, at most `delay` seconds.
        releases: To be set once this answer is out.
    """

    response: Response
    ending: Ending = "whole"
    delay: float = 0.0
    held: threading.Event | None = None
    releases: tuple[threading.Event, ...] = ()

    def pauses(self, patience: float = float("inf")) -> Iterator[float]:
        """Seconds to sleep, piece by piece, before it goes out or its receiver's patience ends."""
        wait = min(self.delay, patience)
        if self.held is None:
            yield wait
            return
        end = time.monotonic() + wait
        while time.monotonic() < end and not self.held.is_set():
            yield _TICK
        yield _AFTER_RELEASE

    def delivered(self) -> None:
        """To be called once the answer is out."""
        for event in self.releases:
            event.set()
