"""The emulator's only mutable part: the current state, its clock, its lock and the identifiers."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import is_loopback
from entra_guard.emulator._store.directory import Directory, upsert, without
from entra_guard.emulator._store.first_directory import first_directory
from entra_guard.emulator._store.ids import Ids
from entra_guard.emulator._store.sessions import Sessions
from entra_guard.emulator._store.signing_keys import SigningKeySet, first_key_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._store.faults import Fault

_YEAR_9000: Final = 221_845_392_000.0  # what is valid for years from then on still has a date
# The base URL without a server: a loopback name, for requests through the in-process transport.
IN_PROCESS_URL: Final = "http://entra.localhost"


def _checked_time(at: float) -> float:
    if not 0 <= at <= _YEAR_9000:
        raise ValueError(f"The emulator's time must be between the years 1970 and 9000, got {at!r} seconds.")
    return at


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How the emulator's time differs from the real time: shifted by seconds, or frozen."""

    offset: float = 0.0
    frozen_at: float | None = None


@dataclass(frozen=True, slots=True)
class ArcKey:
    """The file that an Azure Arc client must be able to read."""

    path: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that can change, as one immutable value."""

    directory: Directory
    keys: SigningKeySet
    clock: ClockSetting = ClockSetting()
    faults: tuple[Fault, ...] = ()
    sessions: Sessions = field(default_factory=Sessions)
    identity_header: str = field(default="", repr=False)
    arc_key: ArcKey | None = None


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """A saved state, see `Emulator.restore`."""

    state: State
    position: object


def wall_clock() -> float:
    """Return the time; `time.time` is looked up at each call, so that freezegun reaches it."""
    return time.time()


class Store:
    """Keep the state, the clock and the identifiers.

    Args:
        seed: Makes every identifier and secret the same on every run. Signing keys are not affected.
        clock: Returns the time in seconds since 1970.
        base_url: The URL that tokens and documents refer to.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: Callable[[], float] = wall_clock,
        base_url: str = IN_PROCESS_URL,
    ) -> None:
        self.lock: Final = threading.RLock()
        self.base_url: str = base_url
        # Written into the forms of the pages, so that no other web page can send one.
        self.form_token: Final = secrets.token_urlsafe(24)
        # Whether RFC 8414 metadata is served, which Entra does not have.
        self.serves_mcp_metadata = False
        # The name and port for other containers; empty on loopback.
        self.public_netloc = ""
        self._ids = Ids(seed)
        self._clock = clock
        self._state = State(first_directory(), first_key_set(), identity_header=self._ids.secret())
        self._restore_callbacks: list[Callable[[], None]] = []
        self._first = self.snapshot()

    @property
    def ids(self) -> Ids:
        return self._ids

    @property
    def state(self) -> State:
        return self._state

    @property
    def directory(self) -> Directory:
        """The current directory. It is immutable: every change replaces it."""
        return self._state.directory

    def now(self) -> float:
        """Return the emulator's time in seconds since 1970."""
        setting = self._state.clock
        return self._clock() + setting.offset if setting.frozen_at is None else setting.frozen_at

    def time_for(self, principal_id: str) -> float:
        """Return the issue time for a principal's new tokens: not before its last revocation.

        Token times are whole seconds, so a revocation takes effect at the next full second. Tokens issued
        before that second get its time.
        """
        return max(self.now(), self.state.sessions.revoked.get(principal_id, 0.0))

    def change(self, **parts: Any) -> None:
        """Replace parts of the state."""
        with self.lock:
            self._state = replace(self._state, **parts)

    def upsert(self, **entries: Any) -> None:
        """Add or replace directory entries: `upsert(users=alice)`."""
        with self.lock:
            self.change(directory=upsert(self.directory, **entries))

    def remove(self, **identifiers: str) -> None:
        """Remove directory entries: `remove(grants=identifier)`."""
        with self.lock:
            parts = {part: without(getattr(self.directory, part), i) for part, i in identifiers.items()}
            self.change(directory=replace(self.directory, **parts))

    def freeze(self, at: float | None = None) -> None:
        """Stop the emulator's clock, now or at that time (seconds since 1970).

        Raises:
            ValueError: The time is not between 1970 and 9000.
        """
        self.change(clock=ClockSetting(frozen_at=self.now() if at is None else _checked_time(at)))

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock, frozen or running; a negative number moves it back.

        Raises:
            ValueError: It is not a finite number, or the time is not between 1970 and 9000.
        """
        if not isinstance(seconds, int | float) or not isfinite(seconds):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"seconds must be a finite number, got {seconds!r}.")
        now, setting = self.now(), self._state.clock
        _checked_time(now + seconds)
        if setting.frozen_at is None:
            self.change(clock=replace(setting, offset=setting.offset + seconds))
        else:
            self.change(clock=ClockSetting(frozen_at=now + seconds))

    def unfreeze(self) -> None:
        """Let the clock run again, from the real time."""
        self.change(clock=ClockSetting())

    def snapshot(self) -> StoreSnapshot:
        """Save the state. This is cheap: the state is one immutable value."""
        with self.lock:
            return StoreSnapshot(self._state, self.ids.position())

    def restore(self, snapshot: StoreSnapshot) -> None:
        """Return to a saved state."""
        with self.lock:
            self._state = snapshot.state
            self.ids.restore_position(snapshot.position)
        for callback in self._restore_callbacks:
            callback()

    def reset(self) -> None:
        """Return to the state after construction."""
        self.restore(self._first)

    def is_own(self, netloc: str) -> bool:
        """Return whether a host with its port names this emulator."""
        return is_loopback(netloc) or (self.public_netloc != "" and netloc.lower() == self.public_netloc)

    def load(self, state: State) -> None:
        """Continue with a state that another emulator left."""
        with self.lock:
            self._state = state

    def mark_start(self) -> None:
        """Let `reset` return to the current state."""
        self._first = self.snapshot()

    def on_restore(self, callback: Callable[[], None]) -> None:
        """Call a function after each `restore`, without the lock."""
        self._restore_callbacks.append(callback)
