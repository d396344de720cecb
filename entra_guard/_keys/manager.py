"""KeyManager: connects the state of one issuer's keys to clocks, network, keys file and refresh thread.

Readers use `active_keys` and take no lock. One round of fetching runs at a time. Whether a round begins is
decided under the lock, so that tokens that arrive together cause one.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from functools import partial
from random import SystemRandom  # forked processes share the state of any other generator
from typing import TYPE_CHECKING, Final, NamedTuple

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.clock import wall_clock
from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import NoThreadError, SingleFlight, done_future, wait
from entra_guard._common.telemetry import TELEMETRY
from entra_guard._keys import refresh_policy
from entra_guard._keys import state as key_state
from entra_guard._keys.activation import active_keys_of, log_activation
from entra_guard._keys.budget import NEVER
from entra_guard._keys.fetcher import Fetcher
from entra_guard._keys.kid_look_ups import KidLookUps
from entra_guard._keys.refresh_policy import Admission, Cause, RefreshRequest, RefreshRound
from entra_guard._keys.refresh_thread import REFRESH_THREAD
from entra_guard._keys.snapshot_file import KeysFile
from entra_guard._keys.state import KeyCacheState
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future
    from pathlib import Path

    from entra_guard._common.lazy_client import LazyClient
    from entra_guard._common.lru import LRUCache
    from entra_guard._keys.documents import Source
    from entra_guard._keys.refresh_thread import Visits
    from entra_guard._keys.settings import KeySettings
    from entra_guard._keys.state import Snapshot
    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard.principal import Identity

log: Final = get_logger("entra_guard.keys")

_system_random: Final = SystemRandom().random
_ROUND: Final = "keys"
# Seconds after which a round counts as failed: a resolver that hangs escapes an HTTP client's time-outs.
_GIVE_UP: Final = 30.0


class Wait(NamedTuple):
    """A round that a token may wait for, and until when (monotonic seconds)."""

    future: Future[None]
    until: float = float("inf")


class KeyManager:
    """The keys of one issuer, fetched and refreshed.

    Args:
        source: Whose keys.
        settings: How they are cached and refreshed.
        cache_size: The maximum number of verified tokens to cache.
        client: Fetches them.
        monotonic: Seconds that only increase: ages and cooldowns are measured with it.
        wall: Seconds since the epoch, for the keys file.
        keys_file: Where to keep the documents on disk, or None.
        jitter: Returns numbers from 0 to 1.
    """

    def __init__(
        self,
        source: Source,
        settings: KeySettings,
        *,
        cache_size: int,
        client: LazyClient,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = wall_clock,
        keys_file: Path | None = None,
        jitter: Callable[[], float] = _system_random,
    ) -> None:
        self.source = source
        self.settings = settings
        self.monotonic = monotonic
        self.active_keys: ActiveKeys | None = None
        self.state = KeyCacheState(settings)
        self.fetcher = Fetcher(source, client)
        self._file = KeysFile(keys_file, source) if keys_file else None
        self._cache_size = cache_size
        self._wall = wall
        self._jitter = jitter
        self._work: SingleFlight[str, None] = SingleFlight()
        # Verified under former keys. The refresh thread empties it; until then it is not freed.
        self._replaced_tokens: LRUCache[bytes, Identity] | None = None
        self.after_fork()
        reset_after_fork(self)
        TELEMETRY.observed.keys.add(self)
        TELEMETRY.look_for_providers()
        self._load_file()

    def after_fork(self) -> None:
        """Continue in a forked process, which has no thread of its parent's."""
        self._lock = threading.Lock()
        self._after_unlock: list[Callable[[], None]] = []
        self._visits: Visits | None = None
        self._round: RefreshRound | None = None
        self.look_ups = KidLookUps(self.settings, self.monotonic)
        # When a reader must call `run_due_tasks`: the one comparison that the hot path pays for it.
        self.next_due = NEVER
        self.state = key_state.after_fork(self.state, self._jitter())

    # --- for readers ---------------------------------------------------------------------------------

    def run_due_tasks(self, now: float) -> None:
        """Start what is due: the background thread, a refresh that it missed, the end of old keys.

        Waits for nothing and raises nothing: a token whose key is cached depends on none of it.
        """
        TELEMETRY.look_for_providers()
        with self._changing():
            self._visits = self._visits or REFRESH_THREAD.add(self)
            self._after_unlock.append(REFRESH_THREAD.ensure_running)
            expired = key_state.expire(self.state, now)
            if expired is not self.state:
                self._swap(expired)
            self.next_due = min(now + self.settings.refresh / 10, self.state.ends())
            if self._current_round(now) is None and self.state.due(now):
                self._start(RefreshRound(self.settings, now))

    @property
    def has_round(self) -> bool:
        """Whether a round is in flight; without the lock, and so perhaps no longer."""
        return bool(self._work.in_flight)

    def refresh(self, request: RefreshRequest, seen: ActiveKeys | None, now: float) -> Wait | Admission:
        """Start a round for a token or join the one in flight, as `refresh_policy` decides.

        Args:
            request: The token.
            seen: The keys it was checked with. If others are there by now, there is nothing to wait for.
            now: Monotonic seconds.
        """
        with self._changing():
            if self.active_keys is not seen:
                return Wait(done_future())
            current = self._current_round(now)
            is_recheck = request.cause is Cause.BAD_SIGNATURE
            if (
                is_recheck
                and self.look_ups.was_rechecked(request.kid, now)
                and not refresh_policy.is_recheck_of(current, request)
            ):
                return Admission.REFUSED
            if current is not None:
                return self._join(current, request, now)
            after = refresh_policy.start(self.state, request, now, self._jitter())
            if after is None:
                return Admission.REFUSED
            if is_recheck:
                self.look_ups.add_recheck(request.kid, now)
            self.state = after
            return Wait(self._start(RefreshRound(self.settings, now, request)))

    def _join(self, current: RefreshRound, request: RefreshRequest, now: float) -> Wait | Admission:
        admission = refresh_policy.admit(self.state, current, request, now)
        if admission not in (Admission.WAIT, Admission.WAIT_SHORTLY):
            return admission
        current.add(request)
        future = self._future()
        if admission is Admission.WAIT:
            return Wait(future)
        return Wait(future, current.began + refresh_policy.SHORT_WAIT)

    def _future(self) -> Future[None]:
        """Return the future of the round in flight; one that is done if the round has just ended."""
        return self._work.in_flight.get(_ROUND) or done_future()

    def unknown_kid_expires(self, request: RefreshRequest, now: float) -> float:
        """Return until when a kid that was not found is not looked up again.

        No longer than others: the response may have come from a replica that lags behind a rotation.
        """
        return min(now + self.settings.max_cooldown, refresh_policy.may_start_at(self.state, request, now))

    # --- for metrics ---------------------------------------------------------------------------------

    def key_age(self) -> float | None:
        """Return how many seconds ago the keys were fetched; None if there are none."""
        snapshot = self.state.snapshot
        return None if snapshot is None else self.monotonic() - snapshot.fetched_at

    def cached_tokens(self) -> int:
        """Return about how many verified tokens are cached."""
        keys = self.active_keys
        return 0 if keys is None else keys.verified_tokens.entries

    def issuer_name(self) -> str:
        """Return the configured issuer: its authority and tenant."""
        return self.fetcher.issuer_name()

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

    def _log(self, level: int, message: str, *values: object, exc_info: Exception | None = None) -> None:
        self._after_unlock.append(partial(log.log, level, message, *values, exc_info=exc_info))

    # --- rounds --------------------------------------------------------------------------------------

    def load_now(self) -> None:
        """Fetch the keys and wait for them, as long as a round may take.

        Raises:
            FetchError: It failed, and no keys are cached.
        """
        now = self.monotonic()
        with self._changing():
            current = self._current_round(now)
            future = self._future() if current else self._start(RefreshRound(self.settings, now))
        try:
            wait(future, _GIVE_UP)
        except Exception as error:
            if self.active_keys is not None:
                return
            if isinstance(error, FetchError):
                raise
            url = self.source.configuration_urls["2.0"]
            raise FetchError("timeout", url, f"{str(error) or 'not done in time'}") from error

    def _start(self, round_: RefreshRound) -> Future[None]:
        """Start a round. Under the lock, with no other round in flight."""
        self._round = round_
        future = self._work.start(
            _ROUND,
            partial(self.fetch_now, round_),
            prepare=self.fetcher.warm_up,
            launch=self._after_unlock.append,
        )
        self._after_unlock.append(partial(self._on_launch, future, round_))
        return future

    def _on_launch(self, future: Future[None], round_: RefreshRound) -> None:
        """Wake the refresh thread when the round ends; count a round without a thread as failed."""
        if future.done() and isinstance(error := future.exception(), NoThreadError):
            with self._changing():
                self._fail(error, round_.began, round_.began)
        elif (visits := self._visits) is not None:
            future.add_done_callback(lambda _future: visits.wake())

    def _current_round(self, now: float) -> RefreshRound | None:
        """Return the round in flight, unless it takes too long: then it has failed. Under the lock."""
        if _ROUND not in self._work.in_flight or (current := self._round) is None:
            return None
        if now - current.began < _GIVE_UP:
            return current
        self._work.abandon(_ROUND)
        url = self.source.configuration_urls["2.0"]
        error = FetchError("timeout", url, f"not done after {_GIVE_UP:.0f} seconds")
        self._fail(error, current.began, current.began)  # it has prevented a new attempt for long enough
        return None

    def fetch_now(self, round_: RefreshRound | None = None) -> None:
        """Run one round on this thread: fetch, and adopt what is acceptable.

        Raises:
            FetchError: It failed; the state has the error, too.
        """
        began = self.monotonic()
        try:
            snapshot, documents = self.fetcher.fetch(self.state, round_, began)
        except Exception as error:
            with self._changing():
                self._fail(error, began, self.monotonic())
            if self._load_file():
                return
            raise
        with self._changing():
            before = self.state
            after = key_state.succeed(before, snapshot, self.monotonic(), self._jitter())
            if after is before:
                return  # newer keys are cached
            self.fetcher.adopted = documents
            round_ = round_ or RefreshRound(self.settings, began)
            self._swap(self.look_ups.after_round(before.snapshot, after, round_))
            if self.active_keys is not None and documents.date is not None:
                self.active_keys.entra_ahead = documents.date - self._wall()
        if before.failing:
            log.info("keys refreshed again, after %d failures", before.failures)
        if self._file is not None:
            self._file.save(documents, self._wall())

    def _fail(self, error: Exception, began: float, now: float) -> None:
        """Record a failed round. Under the lock."""
        refused = isinstance(error, FetchError) and error.step == "content"
        retry_after = error.retry_after if isinstance(error, FetchError) else None
        before = self.state
        self.state = key_state.fail(
            before, error, began, now, self._jitter(), retry_after=retry_after, refused=refused
        )
        kept = "there are none" if self.active_keys is None else "the cached keys stay"
        unexpected = None if isinstance(error, FetchError) else error
        # An outage of hours is one line in the log, and not one for each attempt.
        level = logging.INFO if str(error) == str(before.last_error) else logging.WARNING
        self._log(level, "keys not refreshed, %s: %s", kept, error, exc_info=unexpected)

    # --- what readers see ----------------------------------------------------------------------------

    def _swap(self, state: KeyCacheState) -> None:
        """Put a new state in place. Under the lock.

        Readers get their keys in one assignment, and before the state says when these were requested: a
        reader who finds that the keys are newer than its token finds these keys, too.
        """
        if state.snapshot is None:
            if self.active_keys is not None:
                self._replaced_tokens = self.active_keys.verified_tokens
            self.active_keys = None
            self._log(logging.WARNING, "the cached signing keys are too old and are no longer used")
        else:
            self._activate(state.snapshot)
        self.state = state
        if state.ends() < self.next_due:
            self.next_due = state.ends()
            if self._visits is not None:
                self._visits.wake()

    def _activate(self, snapshot: Snapshot) -> None:
        old = self.active_keys
        keys = active_keys_of(snapshot, old, self._cache_size)
        if keys is old:
            return
        if old is not None and keys.verified_tokens is not old.verified_tokens:
            self._replaced_tokens = old.verified_tokens
        self.active_keys = keys
        self._after_unlock.append(partial(log_activation, snapshot))

    # --- the background ------------------------------------------------------------------------------

    def run_pending(self) -> float:
        """Start what is due, and return in how many seconds to call again."""
        self.fetcher.warm_up()
        now = self.monotonic()
        self.run_due_tasks(now)
        self._empty_replaced_tokens()
        with self._changing():
            current = self._current_round(now)
        if current is not None:
            return current.began + _GIVE_UP - now
        return min(self.state.next_attempt, self.state.ends()) - now

    def _empty_replaced_tokens(self) -> None:
        """Free the tokens of former keys in slices: 200,000 at once would stall the event loop for 0.1 s."""
        replaced, self._replaced_tokens = self._replaced_tokens, None
        if replaced is not None:
            for _ in replaced.empty_in_slices():
                time.sleep(0)  # other threads may run

    # --- the keys file -------------------------------------------------------------------------------

    def _load_file(self) -> bool:
        """Use the file's keys if they are newer than the cached ones; return whether they are."""
        if self._file is None:
            return False
        now = self.monotonic()
        snapshot = self._file.load(
            self.state.snapshot, wall=self._wall(), monotonic=now, max_age=self.settings.max_stale
        )
        if snapshot is None:
            return False
        with self._changing():
            state = key_state.adopt(self.state, snapshot, now)
            if state is self.state:
                return False
            self._swap(state)
        return True
