"""Verify a token again once newer keys are there: whether to wait, how long, and how to refuse it.

`RefreshWait` decides and waits for nothing. The two functions below it differ only in how they wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import wait, wait_async
from entra_guard._keys.refresh_policy import Admission, Cause, RefreshRequest
from entra_guard._keys.unavailable import no_keys, too_many_waiting, unusable_key
from entra_guard._validation.validate import facts_about
from entra_guard.errors import refusal
from entra_guard.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from entra_guard._keys.manager import KeyManager
    from entra_guard._validation.validate import KeyMismatch
    from entra_guard.errors import AccessError

    # Decides with the cached keys: the caller, what newer keys could change, or None without any keys.
    Decide = Callable[[bytes], Principal | KeyMismatch | None]

log: Final = get_logger("entra_guard.keys")


def verify_with_newer_keys(
    keys: KeyManager, decide: Decide, token: bytes, decided: Principal | KeyMismatch | None
) -> Principal:
    """Wait on this thread for keys that may verify a token.

    Args:
        keys: The keys.
        decide: Decides about the token with the keys that are cached then.
        token: The compact JWS.
        decided: What `decide` returned first; a `Principal` is returned as it is.

    Raises:
        AccessError: No newer keys arrive, or they do not verify the token.
    """
    if type(decided) is Principal:
        return decided
    if (refused := _refused_at_once(keys, decided)) is not None:
        raise refused
    refresh = RefreshWait(keys, is_task=False)
    while type(decided) is not Principal:
        if (future := refresh.next_round(decided)) is not None:
            try:
                wait(future, refresh.seconds_left())
            except Exception:  # noqa: BLE001  # whatever it is, the key manager's state has it
                refresh.failed = True
        decided = decide(token)
    return decided


async def verify_with_newer_keys_async(
    keys: KeyManager, decide: Decide, token: bytes, decided: Principal | KeyMismatch | None
) -> Principal:
    """Do the same in a task of asyncio or trio, without blocking its event loop."""
    if type(decided) is Principal:
        return decided
    if (refused := _refused_at_once(keys, decided)) is not None:
        raise refused
    refresh = RefreshWait(keys, is_task=True)
    while type(decided) is not Principal:
        if (future := refresh.next_round(decided)) is not None:
            try:
                await wait_async(future, refresh.seconds_left())
            except Exception:  # noqa: BLE001  # as above
                refresh.failed = True
        decided = decide(token)
    return decided


class RefreshWait:
    """One token that waits for newer keys: since when, for how many rounds, and whether one has failed it.

    Args:
        keys: The keys.
        is_task: Whether a task of an event loop waits, and not a thread.
    """

    __slots__ = ("_is_task", "_keys", "_rounds", "_since", "_until", "failed")

    def __init__(self, keys: KeyManager, *, is_task: bool) -> None:
        self._keys = keys
        self._is_task = is_task
        self._since = keys.monotonic()
        self._until = float("inf")
        self._rounds = 0
        self.failed = False

    def seconds_left(self) -> float:
        """Return the seconds that the token may still wait, in all its rounds together."""
        end = min(self._since + self._keys.settings.wait, self._until)
        return max(0.0, end - self._keys.monotonic())

    def next_round(self, mismatch: KeyMismatch | None) -> Future[None] | None:
        """Return the round to wait for, or None to decide again at once.

        Args:
            mismatch: What newer keys could change; None if there are no keys at all.

        Raises:
            AccessError: Waiting does not help.
        """
        now = self._keys.monotonic()
        if mismatch is None:
            return self._without_keys(now)
        if mismatch.claims is None:
            if now < mismatch.until:
                raise _refusal(self._keys, mismatch, now)
            mismatch.keys.unknown_kids.discard(mismatch.header)  # that was long ago: look it up again
            return None
        admission = None
        if self._may_wait_again() and not _is_flood(self._keys, mismatch, now):
            admission = self._keys.refresh(self._request(mismatch), mismatch.keys, now)
            if not isinstance(admission, Admission):
                self._rounds += 1
                self._until = admission.until
                return admission.future
        if self._keys.active_keys is not mismatch.keys:  # newer keys arrived meanwhile
            return None
        raise self._refused(mismatch, now, is_busy=admission is Admission.BUSY)

    def _without_keys(self, now: float) -> Future[None]:
        if self._rounds == 0:
            admission = self._keys.refresh(RefreshRequest(Cause.NO_KEYS, is_task=self._is_task), None, now)
            if not isinstance(admission, Admission):
                self._rounds += 1
                return admission.future
        raise no_keys(self._keys.state, self._keys.source, now)

    def _may_wait_again(self) -> bool:
        """Return whether a round can still help.

        A second one can if the first one was joined: it may have sent its request before the token arrived.
        """
        if self._rounds == 1:
            return not (self.failed or self._keys.state.answered_since(self._since))
        return self._rounds == 0

    def _request(self, mismatch: KeyMismatch) -> RefreshRequest:
        caller = mismatch.caller
        cause = Cause.UNKNOWN_KID if mismatch.is_unknown else Cause.BAD_SIGNATURE
        is_known = mismatch.keys.is_known_caller(caller)
        return RefreshRequest(cause, mismatch.kid, caller, is_known, self._is_task)

    def _refused(self, mismatch: KeyMismatch, now: float, *, is_busy: bool) -> AccessError:
        keys = self._keys
        if mismatch.is_unknown:
            if is_busy:
                return too_many_waiting(keys.source)
            if self.failed or keys.state.failing:
                return no_keys(keys.state, keys.source, now)
            # Never without a kid: all tokens of such an issuer have the same header.
            is_settled = self._rounds and keys.state.answered_since(self._since)
            if is_settled and mismatch.code == "unknown_key" and mismatch.kid:
                until = keys.unknown_kid_expires(self._request(mismatch), now)
                mismatch.keys.add_unknown_kid(mismatch.header, mismatch.kid, until)
        return _refusal(keys, mismatch, now)


def _refused_at_once(keys: KeyManager, mismatch: KeyMismatch | None) -> AccessError | None:
    """Return the refusal of a token that nothing can be fetched or waited for; None if `RefreshWait` decides.

    Nearly all forged tokens end here, so this costs little.
    """
    if mismatch is None or keys.active_keys is not mismatch.keys:
        return None
    now = keys.monotonic()
    if mismatch.claims is None:
        return _refusal(keys, mismatch, now) if now < mismatch.until else None
    if not _is_flood(keys, mismatch, now) or (keys.state.failing and mismatch.is_unknown):
        return None
    return _refusal(keys, mismatch, now)


def _is_flood(keys: KeyManager, mismatch: KeyMismatch, now: float) -> bool:
    """Return at little cost whether a token can neither start a round nor find one to join."""
    if keys.has_round:
        return False
    if not mismatch.is_unknown:
        return keys.look_ups.was_rechecked(mismatch.kid, now)
    state = keys.state
    if now >= state.general.available_at:
        return False
    caller = mismatch.caller
    if not mismatch.keys.is_known_caller(caller):
        return True
    return now < state.for_known_callers.available_at(caller, state.settings, now)


def _refusal(keys: KeyManager, mismatch: KeyMismatch, now: float) -> AccessError:
    """Return the refusal of a token whose key the newest keys lack, or whose signature is wrong."""
    why = mismatch.keys.unusable_kids.get(mismatch.kid) if mismatch.code == "unknown_key" else None
    if why is None:
        return refusal(mismatch.code, lambda: _facts(mismatch, keys.state.age(now)))
    if mismatch.keys.report_unusable(mismatch.kid):
        log.warning("a token needs the key %s, which is published but cannot be used: %s", mismatch.kid, why)
    return unusable_key(keys.state, mismatch.kid, why, now)


def _facts(mismatch: KeyMismatch, age: float | None) -> dict[str, object]:
    facts: dict[str, object] = {"kid": mismatch.kid}
    if mismatch.claims is not None:
        facts = facts_about(mismatch.claims, mismatch.kid)
    if mismatch.code == "unknown_key" and not mismatch.kid:
        facts["found"] = "no kid in the token, and not exactly one key of its algorithm"
    has, makes = mismatch.signature_bytes
    if has != makes:
        facts["found"] = (
            f"a signature of {has} bytes, where the key makes {makes}: the token was cut or changed"
        )
    return facts if age is None else facts | {"keys_age_seconds": round(age)}
