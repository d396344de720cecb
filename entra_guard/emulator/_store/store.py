"""The emulator's one mutable place: the current state, its clock and its lock. Knows no HTTP."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._store.directory import Directory, put, without
from entra_guard.emulator._store.first_directory import first_directory
from entra_guard.emulator._store.ids import Ids
from entra_guard.emulator._store.sessions import Sessions
from entra_guard.emulator._store.signing_keys import SigningKeySet, first_key_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._store.faults import Fault

IN_PROCESS: Final = "http://entra.localhost"
"""Where an emulator is that has no socket: a loopback name, for `Emulator.transport`."""


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How the emulator's time differs from its clock's: by so many seconds, or it stands still."""

    offset: float = 0.0
    frozen_at: float | None = None


@dataclass(frozen=True, slots=True)
class ArcKey:
    """The file an Azure Arc client must show it can read."""

    path: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that can change, as one value."""

    directory: Directory
    keys: SigningKeySet
    clock: ClockSetting = ClockSetting()
    faults: tuple[Fault, ...] = ()
    sessions: Sessions = field(default_factory=Sessions)
    identity_header: str = field(default="", repr=False)
    arc_key: ArcKey | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state to come back to, see `Emulator.restore`."""

    state: State
    position: object


class Store:
    """State, clock and identifiers, shared by the Python interface and by what answers requests.

    Args:
        seed: Makes every identifier and secret the same on every run.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, *, seed: int | None = None, clock: Callable[[], float] = time.time) -> None:
        self.lock: Final = threading.RLock()
        self._ids = Ids(seed)
        self._clock = clock
        self._state = State(first_directory(), first_key_set(), identity_header=self._ids.secret())
        self._used_keys = 0
        self._first = self.snapshot()

    @property
    def ids(self) -> Ids:
        return self._ids

    @property
    def state(self) -> State:
        return self._state

    @property
    def directory(self) -> Directory:
        """What is registered now. It never changes; the next registration makes another."""
        return self._state.directory

    @property
    def url(self) -> str:
        """The base URL: the authority of a tenant is `{url}/{tenant id}`."""
        return IN_PROCESS

    def now(self) -> float:
        """The emulator's time, in seconds since 1970."""
        setting = self._state.clock
        return self._clock() + setting.offset if setting.frozen_at is None else setting.frozen_at

    def time_for(self, principal_id: str) -> float:
        """The time to write on what a principal gets now: not before it was last revoked.

        Tokens count whole seconds, so a revocation counts from the next one on, and what is issued meanwhile
        is dated then.
        """
        return max(self.now(), self.state.sessions.revoked.get(principal_id, 0.0))

    def change(self, **parts: Any) -> None:
        """Replace parts of the state."""
        with self.lock:
            self._state = replace(self._state, **parts)

    def put(self, **entries: Any) -> None:
        """Add entries to the directory."""
        with self.lock:
            self.change(directory=put(self.directory, **entries))

    def remove(self, **identifiers: str) -> None:
        """Take entries out of the directory: `remove(grants=identifier)`."""
        with self.lock:
            parts = {part: without(getattr(self.directory, part), i) for part, i in identifiers.items()}
            self.change(directory=replace(self.directory, **parts))

    def freeze(self, at: float | None = None) -> None:
        """Stop the emulator's clock, now or at that time (seconds since 1970)."""
        self.change(clock=ClockSetting(frozen_at=self.now() if at is None else at))

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock, frozen or running; a negative number moves it back."""
        now, setting = self.now(), self._state.clock
        frozen = setting.frozen_at is not None
        self.change(
            clock=ClockSetting(frozen_at=now + seconds)
            if frozen
            else replace(setting, offset=setting.offset + seconds)
        )

    def unfreeze(self) -> None:
        """Let the clock run again, from the true time."""
        self.change(clock=ClockSetting())

    def snapshot(self) -> Snapshot:
        """Remember everything as it is. Costs nothing: the state is one immutable value."""
        with self.lock:
            return Snapshot(self._state, self.ids.position())

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to how everything was."""
        with self.lock:
            self._state = snapshot.state
            self.ids.return_to(snapshot.position)
        self.faults_changed()

    def reset(self) -> None:
        """Go back to how everything was when the emulator was made."""
        self.restore(self._first)

    def faults_changed(self) -> None:
        """Called without the lock when faults came or went, for what must follow."""
