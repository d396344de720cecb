"""The keys at hand: binds the pure state to clocks, the network, a snapshot file and a background thread.

Readers take `serving` and no lock. Whatever changes the state runs in one round at a time.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from entra_guard import _key_store, _keys_file
from entra_guard._http import new_client
from entra_guard._key_fetch import Documents, accept, fetch
from entra_guard._key_store import KeySettings, KeyState
from entra_guard._shared_work import SharedWork
from entra_guard._verdicts import Verdicts
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    import httpx

    from entra_guard._issuer import Issuer
    from entra_guard._jws import Header
    from entra_guard._key_fetch import Source
    from entra_guard._keys import SigningKey

log: Final = logging.getLogger("entra_guard.keys")

_UNKNOWN_KIDS: Final = 256
_ROUND: Final = "keys"


class Serving:
    """What readers use: an issuer, its keys, and what was verified with exactly these keys.

    A key that changes or goes takes the remembered verdicts with it: they live here, so that no
    reader can remember something under keys that have just been replaced.
    """

    __slots__ = ("by_kid", "headers", "issuer", "verdicts")

    def __init__(self, issuer: Issuer, by_kid: Mapping[str, SigningKey], verdicts: Verdicts) -> None:
        self.issuer = issuer
        self.by_kid = by_kid
        self.verdicts = verdicts
        self.headers: dict[bytes, Header] = {}


class KeyRing:
    """The keys of one issuer, kept fresh.

    Args:
        source: Whose keys.
        settings: How they are kept, in seconds.
        remember: How many verified tokens are remembered at the most.
        client: Makes the HTTP client of a round, and says whether it is ours to close.
        monotonic: Seconds that only go forward: ages and cooldowns are measured with it.
        wall: Seconds since the epoch, for the snapshot file.
        keys_file: A snapshot file, or None.
        jitter: Numbers from 0 to 1.
    """

    def __init__(
        self,
        source: Source,
        settings: KeySettings,
        *,
        remember: int,
        client: httpx.Client | Callable[[], httpx.Client] = new_client,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        keys_file: Path | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.source = source
        self.settings = settings
        self.serving: Serving | None = None
        self.attend_at = float("-inf")
        """When a reader must call `attend`: the one comparison that the hot path pays for all of this."""
        self.state = KeyState(settings)
        self.date: tuple[float, float] | None = None
        """Entra's own time with the last answer, and the wall clock's then."""
        self._documents: Documents | None = None
        self._file_stamp: tuple[int, int] | None = None
        self._remember = remember
        self._client = client
        self._monotonic = monotonic
        self._wall = wall
        self._keys_file = keys_file
        self._jitter = jitter
        self._work: SharedWork[str, None] = SharedWork()
        self._after_fork()
        _everywhere.add(self)
        if keys_file is not None:
            self._load_file()

    def _after_fork(self) -> None:
        """A new process has no background thread yet: its first reader is to start one."""
        self._lock = threading.Lock()
        self._keeper: threading.Event | None = None
        self._unknown: TTLCache[str, None] = TTLCache(
            _UNKNOWN_KIDS, self.settings.max_cooldown, timer=self._monotonic
        )
        self._suspected: TTLCache[str, None] = TTLCache(
            _UNKNOWN_KIDS, self.settings.max_cooldown, timer=self._monotonic
        )
        self.attend_at = float("-inf")

    # --- for readers ---------------------------------------------------------------------------------

    def attend(self, now: float) -> None:
        """See to what is due: the background thread, a refresh that it missed, keys that are too old."""
        with self._lock:
            self._expire(now)
            if self._keeper is None:
                self._keeper = _start_keeper(self)
            self._attend_again(now)
        if self.serving is not None and self.state.due(now):
            self._start()

    def _attend_again(self, now: float) -> None:
        """Let readers look after a tenth of the interval, should nobody refresh in the background."""
        snapshot = self.state.snapshot
        too_old = float("inf") if snapshot is None else snapshot.fetched_at + self.settings.max_stale
        self.attend_at = min(now + self.settings.refresh / 10, too_old)

    def for_nothing(self, now: float) -> Future[None] | None:
        """Ask for a round because there are no keys; None within a back-off."""
        return self._join() or (self._start() if self.state.may_attempt(now) else None)

    def for_unknown(self, kid: str, now: float) -> Future[None] | None:
        """Ask for a round because of an unknown kid; None if it is known to be none, or too soon."""
        with self._lock:
            if kid in self._unknown:
                return None
            if future := self._join():
                return future
            if not self.state.may_force(now):
                return None
            self.state = _key_store.forced(self.state, now)
        return self._start()

    def for_suspect(self, kid: str, now: float) -> Future[None] | None:
        """Ask for a round because a known kid's signature failed: new material may stand under it."""
        if future := self._join():
            return future
        with self._lock:
            if kid in self._suspected or not self.state.may_attempt(now):
                return None
            self._suspected[kid] = None
        return self._start()

    def note_unknown(self, kid: str) -> None:
        """Remember that the newest keys lack this kid."""
        with self._lock:
            self._unknown[kid] = None

    def retry_after(self, now: float) -> float:
        """Seconds until the next attempt, at least 1."""
        return max(1.0, self.state.next_attempt - now)

    # --- rounds --------------------------------------------------------------------------------------

    def _join(self) -> Future[None] | None:
        return self._work.in_flight(_ROUND)

    def _start(self) -> Future[None]:
        return self._work.start(_ROUND, self.round)

    def round(self) -> None:
        """Fetch, and accept or keep. One at a time, on a thread of its own.

        Raises:
            FetchError: It failed; the state tells the same.
        """
        began = self._monotonic()
        known = None if self.state.needs_configuration(began) else self._documents
        try:
            snapshot, documents = self._fetch(known, began)
        except Exception as error:
            self._fail(error)
            if self._keys_file is None or not self._load_file():
                raise
            return
        self._documents = documents
        self.date = None if documents.date is None else (documents.date, self._wall())
        with self._lock:
            state = _key_store.succeeded(self.state, snapshot, self._monotonic(), self._jitter())
            self._swap(state)
        if self._keys_file is not None:
            self._save_file(documents)

    def _fetch(self, known: Documents | None, began: float) -> tuple[_key_store.Snapshot, Documents]:
        old = self.state.snapshot
        if not callable(self._client):
            return fetch(self._client, self.source, old=old, known=known, now=began)
        with self._client() as client:
            return fetch(client, self.source, old=old, known=known, now=began)

    def _fail(self, error: Exception) -> None:
        refused = isinstance(error, FetchError) and error.step == "content"
        after = error.retry_after if isinstance(error, FetchError) else None
        with self._lock:
            self.state = _key_store.failed(
                self.state, error, self._monotonic(), self._jitter(), retry_after=after, refused=refused
            )
        kept = "none at hand" if self.serving is None else "the keys at hand stay"
        surprise = None if isinstance(error, FetchError) else error
        log.warning("keys not refreshed, %s: %s", kept, error, exc_info=surprise)

    def _swap(self, state: KeyState) -> None:
        """Put a new state in place, in one assignment for readers. Under the lock."""
        old, self.state = self.serving, state
        snapshot = state.snapshot
        if snapshot is None:
            self.serving = None
            return
        by_kid = snapshot.by_kid
        if old is not None and old.by_kid == by_kid:
            return
        self._unknown.clear()
        stays = old is not None and all(by_kid.get(kid) is key for kid, key in old.by_kid.items())
        verdicts = old.verdicts if old is not None and stays else Verdicts(self._remember)
        self.serving = Serving(snapshot.issuer, by_kid, verdicts)
        log.info("signing keys %s of %s", ", ".join(sorted(by_kid)), snapshot.issuer.v2)
        for line in snapshot.keys.skipped:
            log.debug("skipped a key: %s", line)

    def _expire(self, now: float) -> None:
        state = _key_store.expired(self.state, now)
        if state is not self.state:
            self._swap(state)

    # --- the background ------------------------------------------------------------------------------

    def tick(self) -> float:
        """Do what is due, and tell in how many seconds to come again."""
        now = self._monotonic()
        with self._lock:
            self._expire(now)
            self._attend_again(now)
        if self.state.due(now):
            self._start().exception()
            now = self._monotonic()
        ends = [self.state.next_attempt]
        if snapshot := self.state.snapshot:
            ends += [snapshot.fetched_at + self.settings.max_stale]
            ends += [until for _key, until in snapshot.retired.values()]
        return max(0.05, min(ends) - now)

    # --- the snapshot file ---------------------------------------------------------------------------

    def _load_file(self) -> bool:
        """Serve the file's keys if they are newer than those at hand; tell whether they are."""
        path = self._keys_file
        if path is None or self._stamp(path) in (None, self._file_stamp):
            return False
        self._file_stamp = self._stamp(path)
        now = self._monotonic()
        try:
            documents, fetched_at = _keys_file.read(path, self.source)
            asked = now - max(0.0, self._wall() - fetched_at)
            old = self.state.snapshot
            if now - asked >= self.settings.max_stale:
                raise _keys_file.KeysFileError(f"{path} is older than {self.settings.max_stale:.0f} seconds")  # noqa: TRY301
            snapshot = accept(documents, self.source, old=old, now=asked, configured_at=asked)
        except (_keys_file.KeysFileError, FetchError) as error:
            log.warning("keys file not used: %s", error)
            return False
        if old is not None and asked <= old.fetched_at:
            return False
        self._documents = documents
        with self._lock:
            served = _key_store.succeeded(self.state, snapshot, now, self._jitter())
            # The file is no answer of the authority: what was due or backing off stays so.
            self._swap(replace(served, next_attempt=self.state.next_attempt))
        return True

    def _save_file(self, documents: Documents) -> None:
        path = self._keys_file
        if path is None:
            return
        try:
            _keys_file.write(path, self.source, documents, self._wall())
            self._file_stamp = self._stamp(path)
        except _keys_file.KeysFileError as error:
            log.warning("keys file not written: %s", error)

    @staticmethod
    def _stamp(path: Path) -> tuple[int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


def _start_keeper(ring: KeyRing) -> threading.Event:
    """Start the background thread of a ring, which ends with the ring."""
    wake = threading.Event()
    reference = weakref.ref(ring, lambda _ring: wake.set())
    threading.Thread(target=_keep, args=(reference, wake), name="entra_guard keeper", daemon=True).start()
    return wake


def _keep(reference: weakref.ref[KeyRing], wake: threading.Event) -> None:
    delay = 0.0
    while not wake.wait(delay):
        ring = reference()
        if ring is None:
            return
        try:
            delay = ring.tick()
        except Exception:
            log.exception("the background refresh stumbled, and goes on")
            delay = 60.0
        del ring


_everywhere: weakref.WeakSet[KeyRing] = weakref.WeakSet()


def _renew_in_child() -> None:
    for ring in list(_everywhere):
        ring._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
