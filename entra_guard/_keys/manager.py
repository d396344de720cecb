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
from contextlib import contextmanager, suppress
from functools import partial
from random import SystemRandom  # forked processes share the state of any other generator
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from entra_guard._common.logs import get_logger
from entra_guard._common.lru import LRUCache
from entra_guard._common.single_flight import NoThreadError, SingleFlight, wait
from entra_guard._keys import snapshot_file
from entra_guard._keys import state as key_state
from entra_guard._keys.fetch import Documents, accept, fetch
from entra_guard._keys.refresh_thread import new_refresh_thread
from entra_guard._keys.state import NEVER, KeyCacheState, KeySettings, Snapshot
from entra_guard._validation.active_keys import ActiveKeys
from entra_guard.errors import ConfigurationError, FetchError, KeysUnavailableError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path
    from queue import SimpleQueue

    from entra_guard._common.lazy_client import LazyClient
    from entra_guard._keys.fetch import Source

log: Final = get_logger("entra_guard.keys")

_system_random: Final = SystemRandom().random
_ROUND: Final = "keys"
_GIVE_UP: Final = 30.0
"""Seconds after which a round counts as failed, whatever its thread still does. A resolver that hangs, or
a host of many addresses that all keep silent, escapes every time-out of an HTTP client."""

_GUESTS: Final = 4
"""How many callers whom the keys at hand have not verified may wait for one round. Each holds a thread of a
threaded server for seconds, and costs the one who sends it nothing."""
_EARLY: Final = 0.5
"""Seconds of a round in which a signature that fails under a known kid may wait for it in any number."""


class KeyManager:
    """The keys of one issuer, kept fresh.

    Args:
        source: Whose keys.
        settings: How they are kept, in seconds.
        cache_size: How many verified tokens are remembered at the most.
        client: Fetches them.
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
        cache_size: int,
        client: LazyClient,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        keys_file: Path | None = None,
        jitter: Callable[[], float] = _system_random,
    ) -> None:
        self.source = source
        self.settings = settings
        self.serving: ActiveKeys | None = None
        self.state = KeyCacheState(settings)
        self._documents: Documents | None = None
        self._file_stamp: tuple[int, ...] | None = None
        self._file_refused = ""
        self._cache_size = cache_size
        self._client = client
        self._monotonic = monotonic
        self._wall = wall
        self._keys_file = keys_file
        self._jitter = jitter
        self._work: SingleFlight[str, None] = SingleFlight()
        self._after_fork()
        _everywhere.add(self)
        self._load_file()

    def begin_in_child(self) -> None:
        """Go on in a forked process."""
        self._after_fork()
        self.state = key_state.after_fork(self.state, self._jitter())

    def _after_fork(self) -> None:
        """A new process has no background thread yet: its first reader is to start one."""
        self._lock = threading.Lock()
        self._after_unlock: list[Callable[[], None]] = []
        self._keeper: SimpleQueue[None] | None = None
        self._began = NEVER
        self._sought = ""
        """The known kid whose new material the round under way was begun for."""
        self._guests = 0
        """How many unfamiliar callers that round has."""
        self._suspected: dict[str, float] = {}
        """Until when a known kid causes no further round; no more of them than there are keys."""
        self.next_due = NEVER
        """When a reader must call `run_due_tasks`: the one comparison that the hot path pays for it."""

    # --- for readers ---------------------------------------------------------------------------------

    def run_due_tasks(self, now: float) -> None:
        """See to what is due: the background thread, a refresh that it missed, keys that are too old.

        Waits for nothing and raises nothing: a token whose key is at hand depends on none of it.
        """
        with self._changing():
            self._expire(now)
            if self._keeper is None:
                self._keeper, start = new_refresh_thread(self)
                self._after_unlock.append(start)
            self.next_due = min(now + self.settings.refresh / 10, self.state.ends())
            if self.state.due(now):
                self._start(now)

    def refresh_without_keys(self, now: float) -> Future[None] | None:
        """Ask for a round because there are no keys; None within a back-off."""
        with self._changing():
            if self.serving is not None:
                return _ended()
            return self._in_flight(now) or (self._start(now) if self.state.may_attempt(now) else None)

    def refresh_for_unknown_kid(
        self, seen: ActiveKeys, now: float, *, is_known_caller: bool
    ) -> Future[None] | None:
        """Ask for a round because of an unknown kid; None if it is too soon.

        Args:
            seen: The keys that lack the kid. Where others serve by now, nothing is left to wait for.
            now: Monotonic seconds.
            is_known_caller: Whether the token names a caller whom the keys at hand have verified.
        """
        if now < self._opens(is_known_caller=is_known_caller) and not self._work.in_flight:
            return None  # a flood ends here, without a lock
        with self._changing():
            if self.serving is not seen:
                return _ended()
            if future := self._in_flight(now):
                return future if is_known_caller or self._admit() else None
            after = key_state.start_forced_refresh(
                self.state, now, self._jitter(), is_known_caller=is_known_caller
            )
            if after is None:
                return None
            future = self._start(now, guests=not is_known_caller)
            self.state = after
        return future

    def unknown_kid_expires(self, now: float, *, is_known_caller: bool) -> float:
        """Until when an unknown kid that was looked for in vain is not looked for again.

        No longer than others are: the answer may have come from a replica that lags behind a rotation.
        """
        return min(now + self.settings.max_cooldown, self._opens(is_known_caller=is_known_caller))

    def _opens(self, *, is_known_caller: bool) -> float:
        state = self.state
        return (
            min(state.forced.available_at, state.reserve.available_at)
            if is_known_caller
            else state.forced.available_at
        )

    def may_recheck(self, kid: str, now: float) -> bool:
        """Whether new material may be found under a known kid: not where that was looked for just now."""
        return now >= self._suspected.get(kid, now) or (self._sought == kid and bool(self._work.in_flight))

    def refresh_for_bad_signature(
        self, seen: ActiveKeys, kid: str, now: float, *, is_known_caller: bool
    ) -> Future[None] | None:
        """Ask for a round because a known kid's signature failed: new material may stand under it."""
        if not self.may_recheck(kid, now):
            return None
        with self._changing():
            if self.serving is not seen:
                return _ended()
            if future := self._in_flight(now):
                # A forged token may name anybody, so a name buys no more than the beginning of the round.
                early = is_known_caller and now - self._began < _EARLY
                return future if early or self._admit() else None
            if now < self._suspected.get(kid, now) or not self.state.may_attempt(now):
                return None
            future = self._start(now, guests=1)
            self._sought = kid
            self._suspected[kid] = now + self.settings.max_cooldown
        return future

    def _admit(self) -> bool:
        """Whether one more unfamiliar caller may wait for the round under way: few do, and it may answer."""
        if self.state.failing or self._guests >= _GUESTS:
            return False
        self._guests += 1
        return True

    def unusable(self, kid: str, why: str, now: float) -> KeysUnavailableError:
        """Return the refusal of a token whose key is published but unusable, and log it once per kid."""
        serving = self.serving
        if serving is not None and kid not in serving.reported_kids:
            serving.reported_kids.add(kid)
            log.warning(
                "a token needs the key %s, which is published but cannot be used: %s", printable(kid), why
            )
        facts = {
            "kid": kid,
            "url": self.state.snapshot.keys_url if self.state.snapshot else "",
            "detail": why,
        }
        after = min(self.state.next_attempt, self.state.forced.available_at) - now
        return KeysUnavailableError(
            "keys_unavailable", {**facts, "step": "content"}, retry_after=max(1.0, after)
        )

    def retry_after(self, now: float) -> float:
        """Seconds until the next attempt, at least 1."""
        return max(1.0, self.state.next_attempt - now)

    # --- the lock ------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Hold the lock; log and start threads once it is free.

        A slow log handler must delay no reader; and under gevent, starting a thread switches to other
        greenlets, which would wait for this lock forever.
        """
        with self._lock:
            yield
            steps, self._after_unlock = self._after_unlock, []
        for step in steps:
            step()

    def _say(self, level: int, words: str, *values: object, exc_info: Exception | None = None) -> None:
        self._after_unlock.append(partial(log.log, level, words, *values, exc_info=exc_info))

    # --- rounds --------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Fetch before anybody waits, and wait for it as long as a round may take.

        Raises:
            FetchError: It failed, and no keys are at hand.
        """
        with self._changing():
            future = self._start(self._monotonic())
        try:
            wait(future, _GIVE_UP)
        except Exception as error:
            if self.serving is not None:
                return
            if isinstance(error, FetchError):
                raise
            url = self.source.configuration_urls["2.0"]
            raise FetchError("timeout", url, f"{str(error) or 'not done in time'}") from error

    def _start(self, now: float, *, guests: int = 0) -> Future[None]:
        """Start a round, or join the one under way. Under the lock."""
        if future := self._in_flight(now):
            return future
        self._began, self._sought, self._guests = now, "", guests
        future = self._work.start(_ROUND, self.round, prepare=self.warm_up, launch=self._after_unlock.append)
        self._after_unlock.append(partial(self._note_missing_thread, future, now))
        return future

    def _note_missing_thread(self, future: Future[None], now: float) -> None:
        """Count a round whose thread could not be started as failed."""
        if future.done() and isinstance(error := future.exception(), NoThreadError):
            with self._changing():
                self._failed(error, now, now)

    def _in_flight(self, now: float) -> Future[None] | None:
        """The round under way, unless it takes too long: then it has failed. Under the lock."""
        future = self._work.in_flight.get(_ROUND)
        if future is None or now - self._began < _GIVE_UP:
            return future
        self._work.abandon(_ROUND)
        url = self.source.configuration_urls["2.0"]
        error = FetchError("timeout", url, f"not done after {_GIVE_UP:.0f} seconds")
        self._failed(error, self._began, self._began)  # it has kept us from trying anew for long enough
        return None

    def warm_up(self) -> None:
        """Make the HTTP client of this process, which a round needs first; `round` reports its errors."""
        with suppress(ConfigurationError):
            self._client.warm_up()

    def round(self) -> None:
        """Fetch, and accept or keep.

        Raises:
            FetchError: It failed; the state tells the same.
        """
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
            state = key_state.succeeded(before, snapshot, self._monotonic(), self._jitter())
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
        return fetch(
            self._client(),
            self.source,
            old=state.snapshot,
            known=known,
            now=began,
            tries=1 if state.failing else 2,
        )

    def _failed(self, error: Exception, began: float, now: float) -> None:
        """Note that a round failed. Under the lock."""
        refused = isinstance(error, FetchError) and error.step == "content"
        after = error.retry_after if isinstance(error, FetchError) else None
        before = self.state
        self.state = key_state.failed(
            before, error, began, now, self._jitter(), retry_after=after, refused=refused
        )
        kept = "none at hand" if self.serving is None else "the keys at hand stay"
        surprise = None if isinstance(error, FetchError) else error
        # An outage of hours is one line in the log, and not one for each attempt.
        level = logging.INFO if str(error) == str(before.last_error) else logging.WARNING
        self._say(level, "keys not refreshed, %s: %s", kept, error, exc_info=surprise)

    def _swap(self, state: KeyCacheState) -> None:
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
        if state.ends() < self.next_due:
            self.next_due = state.ends()
            if self._keeper is not None:
                self._keeper.put(None)  # it may have lain down for longer

    def _serve(self, snapshot: Snapshot) -> None:
        old, by_kid = self.serving, snapshot.by_kid
        unusable = snapshot.keys.unusable
        if old is not None and (old.issuer, old.by_kid, old.unusable_kids) == (
            snapshot.issuer,
            by_kid,
            unusable,
        ):
            return
        self._suspected = {kid: until for kid, until in self._suspected.items() if kid in by_kid}
        if old is not None and all(by_kid.get(kid) is key for kid, key in old.by_kid.items()):
            verified_tokens = old.verified_tokens
        else:
            verified_tokens = LRUCache(self._cache_size)
        known = old.known_callers if old is not None and old.issuer == snapshot.issuer else None
        self.serving = ActiveKeys(snapshot.issuer, by_kid, verified_tokens, known, unusable)
        self._say(logging.INFO, "signing keys %s of %s", ", ".join(sorted(by_kid)), snapshot.issuer.v2)
        for line in snapshot.keys.faults:
            self._say(logging.WARNING, "the key set of %s has an entry to skip, %s", snapshot.issuer.v2, line)
        for line in snapshot.keys.skipped:
            self._say(logging.DEBUG, "skipped a key that is not for RSA signatures, %s", line)

    def _expire(self, now: float) -> None:
        state = key_state.expire(self.state, now)
        if state is not self.state:
            self._swap(state)

    # --- the background ------------------------------------------------------------------------------

    def run_pending(self) -> float:
        """Do what is due, see it through, and tell in how many seconds to come again."""
        self.warm_up()
        self.run_due_tasks(self._monotonic())
        if future := self._work.in_flight.get(_ROUND):
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
        old = self.state.snapshot
        try:
            documents, age = snapshot_file.read(
                path, self.source, now=self._wall(), max_age=self.settings.max_stale
            )
            asked = self._monotonic() - age
            snapshot = accept(documents, self.source, old=old, now=asked, configured_at=NEVER)
        except (snapshot_file.KeysFileError, FetchError) as error:
            # It is read again at the next failure: what was wrong may be this host's clock, or its rights.
            level = logging.INFO if str(error) == self._file_refused else logging.WARNING
            log.log(level, "keys file not used: %s", error)
            self._file_refused = str(error)
            return False
        self._file_stamp, self._file_refused = stamp, ""
        with self._changing():
            state = key_state.adopt(self.state, snapshot, self._monotonic())
            if state is self.state:
                return False
            self._swap(state)
        return True

    def _save_file(self, documents: Documents) -> None:
        path = self._keys_file
        if path is None:
            return
        try:
            snapshot_file.write(path, self.source, documents, self._wall())
            self._file_stamp = _stamp(path)
        except snapshot_file.KeysFileError as error:
            log.warning("keys file not written: %s", error)


def _ended() -> Future[None]:
    """Nothing to wait for. A new one each time: its lock is shared with no other ring, thread or fork."""
    future: Future[None] = Future()
    future.set_result(None)
    return future


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What tells a file from the one that was there before."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size, status.st_mode


_everywhere: Final[WeakSet[KeyManager]] = WeakSet()


def _renew_in_child() -> None:
    for ring in list(_everywhere):
        ring.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
