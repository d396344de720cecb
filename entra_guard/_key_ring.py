"""The keys at hand: binds the pure state to clocks, the network, a snapshot file and a background thread.

Readers take `serving` and no lock. Whatever changes the state runs in one round at a time, and whether
a round is to begin is decided under the lock, so that callers who come at once cause one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import Future
from concurrent.futures import wait as settle
from contextlib import contextmanager, nullcontext
from functools import partial
from random import SystemRandom  # forked processes share the state of any other generator
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from entra_guard import _key_store, _keys_file
from entra_guard._http import new_client
from entra_guard._key_fetch import Documents, accept, fetch
from entra_guard._key_keeper import start_keeper
from entra_guard._key_store import NEVER, KeySettings, KeyState, Snapshot
from entra_guard._late_imports import NO_FORK, load_late_imports
from entra_guard._serving import Serving
from entra_guard._shared_work import SharedWork
from entra_guard._verdicts import Verdicts
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import httpx

    from entra_guard._key_fetch import Source

log: Final = logging.getLogger("entra_guard.keys")

_system_random: Final = SystemRandom().random
_ROUND: Final = "keys"
_GIVE_UP: Final = 30.0
"""Seconds after which a round counts as failed, whatever its thread still does. A resolver that hangs or
a peer that sends a header byte by byte escapes every time-out of an HTTP client."""

_ENDED: Final[Future[None]] = Future()
_ENDED.set_result(None)


class KeyRing:
    """The keys of one issuer, kept fresh.

    Args:
        source: Whose keys.
        settings: How they are kept, in seconds.
        remember: How many verified tokens are remembered at the most.
        client: A client of the user's, or what makes one for each round.
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
        jitter: Callable[[], float] = _system_random,
    ) -> None:
        self.source = source
        self.settings = settings
        self.serving: Serving | None = None
        self.state = KeyState(settings)
        self._documents: Documents | None = None
        self._file_stamp: tuple[int, int, int] | None = None
        self._remember = remember
        self._client = client
        self._monotonic = monotonic
        self._wall = wall
        self._keys_file = keys_file
        self._jitter = jitter
        self._work: SharedWork[str, None] = SharedWork()
        self._after_fork()
        _everywhere.add(self)
        self._load_file()

    def _after_fork(self) -> None:
        """A new process has no background thread yet: its first reader is to start one."""
        self._lock = threading.Lock()
        self._lines: list[Callable[[], None]] = []
        self._keeper: threading.Event | None = None
        self._began = NEVER
        self._suspected: dict[str, float] = {}
        """Until when a known kid causes no further round; no more of them than there are keys."""
        self.attend_at = NEVER
        """When a reader must call `attend`: the one comparison that the hot path pays for all of this."""

    # --- for readers ---------------------------------------------------------------------------------

    def attend(self, now: float) -> None:
        """See to what is due: the background thread, a refresh that it missed, keys that are too old.

        Waits for nothing and raises nothing: a token whose key is at hand depends on none of it.
        """
        with self._changing():
            self._expire(now)
            self._keeper = self._keeper or start_keeper(self)
            self.attend_at = min(now + self.settings.refresh / 10, self.state.ends())
            if self.state.due(now):
                self._start(now)

    def for_nothing(self, now: float) -> Future[None] | None:
        """Ask for a round because there are no keys; None within a back-off."""
        with self._changing():
            if self.serving is not None:
                return _ENDED
            return self._in_flight(now) or (self._start(now) if self.state.may_attempt(now) else None)

    def for_unknown(self, seen: Serving, now: float, *, familiar: bool) -> Future[None] | None:
        """Ask for a round because of an unknown kid; None if it is too soon.

        Args:
            seen: The keys that lack the kid. Where others serve by now, nothing is left to wait for.
            now: Monotonic seconds.
            familiar: Whether the token names a caller whom the keys at hand have verified.
        """
        state = self.state
        opens = min(state.forced.opens, state.reserve.opens) if familiar else state.forced.opens
        if now < opens and not self._work.under_way:
            return None  # a flood ends here, without a lock
        with self._changing():
            if self.serving is not seen:
                return _ENDED
            if future := self._in_flight(now):
                return future
            before = self.state
            after = _key_store.forced(before, now, self._jitter(), familiar=familiar)
            if after is None:
                return None
            future = self._start(now)  # before the state tells others that it is too soon for another
            if self.state is before:  # it is another where no thread could be started
                self.state = after
        return future

    def may_doubt(self, kid: str, now: float) -> bool:
        """Whether new material may be found under a known kid: not where that was looked for just now."""
        return now >= self._suspected.get(kid, now) or bool(self._work.under_way)

    def for_suspect(self, seen: Serving, kid: str, now: float) -> Future[None] | None:
        """Ask for a round because a known kid's signature failed: new material may stand under it."""
        if not self.may_doubt(kid, now):
            return None
        with self._changing():
            if self.serving is not seen:
                return _ENDED
            if future := self._in_flight(now):
                return future
            if now < self._suspected.get(kid, now) or not self.state.may_attempt(now):
                return None
            future = self._start(now)
            self._suspected[kid] = now + self.settings.max_cooldown
        return future

    def retry_after(self, now: float) -> float:
        """Seconds until the next attempt, at least 1."""
        return max(1.0, self.state.next_attempt - now)

    # --- the lock ------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Hold the lock, and say what there is to say once it is free: a slow log must hold up no reader."""
        with self._lock:
            yield
            lines, self._lines = self._lines, []
        for line in lines:
            line()

    def _say(self, level: int, words: str, *values: object, exc_info: Exception | None = None) -> None:
        self._lines.append(partial(log.log, level, words, *values, exc_info=exc_info))

    # --- rounds --------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Fetch on this thread, before anybody waits.

        Raises:
            FetchError: It failed, and no keys are at hand.
        """
        try:
            self.round()
        except FetchError:
            if self.serving is None:
                raise

    def _start(self, now: float) -> Future[None]:
        """Start a round, or join the one under way. Under the lock."""
        if future := self._in_flight(now):
            return future
        self._began = now
        future = self._work.start(_ROUND, self.round)
        if future.done() and (error := future.exception()):  # no thread could be started
            self._failed(error if isinstance(error, Exception) else RuntimeError(str(error)), now, now)
        return future

    def _in_flight(self, now: float) -> Future[None] | None:
        """The round under way, unless it takes too long: then it has failed. Under the lock."""
        future = self._work.under_way.get(_ROUND)
        if future is None or now - self._began < _GIVE_UP:
            return future
        self._work.abandon(_ROUND)
        url = self.source.configuration_urls["2.0"]
        error = FetchError("timeout", url, f"not done after {_GIVE_UP:.0f} seconds")
        self._failed(error, self._began, self._began)  # it has kept us from trying anew for long enough
        return None

    def round(self) -> None:
        """Fetch, and accept or keep.

        Raises:
            FetchError: It failed; the state tells the same.
        """
        load_late_imports()
        began = self._monotonic()
        known = None if self.state.needs_configuration(began) else self._documents
        try:
            snapshot, documents = self._fetch(known, began)
        except Exception as error:
            with self._changing():
                self._failed(error, began, self._monotonic())
            if self._load_file():
                return
            raise
        with self._changing():
            before = self.state
            state = _key_store.succeeded(before, snapshot, self._monotonic(), self._jitter())
            if state is before:
                return  # something newer is at hand
            self._documents = documents
            self._swap(state)
            if self.serving is not None and documents.date is not None:
                self.serving.entra_ahead = documents.date - self._wall()
        if before.failing:
            log.info("keys refreshed again, after %d failures", before.failures)
        self._save_file(documents)

    def _fetch(self, known: Documents | None, began: float) -> tuple[Snapshot, Documents]:
        state = self.state
        with self._client_of_round() as client:
            return fetch(
                client,
                self.source,
                old=state.snapshot,
                known=known,
                now=began,
                tries=1 if state.failing else 2,
            )

    def _client_of_round(self) -> AbstractContextManager[httpx.Client]:
        given = self._client
        if not callable(given):
            return nullcontext(given)
        with NO_FORK:  # it may read certificates
            return given()

    def _failed(self, error: Exception, began: float, now: float) -> None:
        """Note that a round failed. Under the lock."""
        refused = isinstance(error, FetchError) and error.step == "content"
        after = error.retry_after if isinstance(error, FetchError) else None
        before = self.state
        self.state = _key_store.failed(
            before, error, began, now, self._jitter(), retry_after=after, refused=refused
        )
        kept = "none at hand" if self.serving is None else "the keys at hand stay"
        surprise = None if isinstance(error, FetchError) else error
        # An outage of hours is one line in the log, and not one for each attempt.
        level = logging.INFO if str(error) == str(before.last_error) else logging.WARNING
        self._say(level, "keys not refreshed, %s: %s", kept, error, exc_info=surprise)

    def _swap(self, state: KeyState) -> None:
        """Put a new state in place. Under the lock.

        Readers get their keys in one assignment, and before the state says that these were asked for:
        who finds a question answered finds the answer too.
        """
        snapshot = state.snapshot
        if snapshot is None:
            self.serving = None
            self._say(logging.WARNING, "the signing keys at hand are too old to serve any longer")
        else:
            self._serve(snapshot)
        self.state = state

    def _serve(self, snapshot: Snapshot) -> None:
        old, by_kid = self.serving, snapshot.by_kid
        if old is not None and old.issuer == snapshot.issuer and old.by_kid == by_kid:
            return
        self._suspected = {kid: until for kid, until in self._suspected.items() if kid in by_kid}
        if old is not None and all(by_kid.get(kid) is key for kid, key in old.by_kid.items()):
            verdicts, callers = old.verdicts, old.callers
        else:
            verdicts, callers = Verdicts(self._remember), set[str]()
        self.serving = Serving(snapshot.issuer, by_kid, verdicts, callers)
        self._say(logging.INFO, "signing keys %s of %s", ", ".join(sorted(by_kid)), snapshot.issuer.v2)
        for line in snapshot.keys.skipped:
            self._say(logging.DEBUG, "skipped a key: %s", line)

    def _expire(self, now: float) -> None:
        state = _key_store.expired(self.state, now)
        if state is not self.state:
            self._swap(state)

    # --- the background ------------------------------------------------------------------------------

    def tick(self) -> float:
        """Do what is due, see it through, and tell in how many seconds to come again."""
        self.attend(self._monotonic())
        if future := self._work.under_way.get(_ROUND):
            settle([future], timeout=_GIVE_UP)
        now = self._monotonic()
        with self._changing():
            self._in_flight(now)  # gives up what never ends
        return min(self.state.next_attempt, self.state.ends()) - now

    # --- the snapshot file ---------------------------------------------------------------------------

    def _load_file(self) -> bool:
        """Serve the file's keys if they are newer than those at hand; tell whether they are."""
        path = self._keys_file
        if path is None or (stamp := _stamp(path)) in (None, self._file_stamp):
            return False
        self._file_stamp = stamp
        old = self.state.snapshot
        try:
            documents, age = _keys_file.read(
                path, self.source, now=self._wall(), max_age=self.settings.max_stale
            )
            asked = self._monotonic() - age
            snapshot = accept(documents, self.source, old=old, now=asked, configured_at=NEVER)
        except (_keys_file.KeysFileError, FetchError) as error:
            log.warning("keys file not used: %s", error)
            return False
        with self._changing():
            state = _key_store.adopted(self.state, snapshot, self._monotonic())
            if state is self.state:
                return False
            self._swap(state)
        return True

    def _save_file(self, documents: Documents) -> None:
        path = self._keys_file
        if path is None:
            return
        try:
            _keys_file.write(path, self.source, documents, self._wall())
            self._file_stamp = _stamp(path)
        except _keys_file.KeysFileError as error:
            log.warning("keys file not written: %s", error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from the one that was there before."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


_everywhere: Final[WeakSet[KeyRing]] = WeakSet()


def _renew_in_child() -> None:
    for ring in list(_everywhere):
        ring._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
