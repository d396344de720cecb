"""Call the function of `Tenants.where` for the tenants of verified tokens, and cache its results briefly."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
from cachetools import TLRUCache

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import wait, wait_async
from entra_guard._common.threads import start_thread
from entra_guard.errors import ConfigurationError, KeysUnavailableError, refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from entra_guard.policy import Tenants

log: Final = get_logger("entra_guard.tenants")

_REMEMBERED: Final = 10_000
# How many calls may run at once: each of a function that is not async has a thread.
_MOST_CALLS: Final = 64
# Seconds after which a call that does not return no longer keeps others of its tenant from being made.
_GIVE_UP: Final = 60.0

# What the rule returned, and when the call began.
_Answer = tuple[bool, float]


class _Call:
    """One call of the rule: when it began, and its outcome."""

    __slots__ = ("began", "outcome")

    def __init__(self, began: float) -> None:
        self.began = began
        self.outcome: Future[bool] = Future()
        self.outcome.set_running_or_notify_cancel()  # no waiter can cancel it


class _CancelledError(Exception):
    """The task that made the call was cancelled: another one makes it again."""


class _TooManyCallsError(Exception):
    """Too many calls of the rule are running: no more are started."""


class TenantRule:
    """Decides about tenants by the function of `Tenants.where`: one call per tenant at a time.

    Errors are not cached, and do not extend the life of an older result.

    Args:
        tenants: With a rule, for how long its results are cached, and how long it may take.
        monotonic: Seconds that only go forward.
    """

    def __init__(self, tenants: Tenants, monotonic: Callable[[], float]) -> None:
        assert tenants.rule is not None  # noqa: S101  # its only caller has looked
        self._rule = tenants.rule
        self._timeout = tenants.timeout
        self._monotonic = monotonic
        self.is_async: Final = is_async_callable(tenants.rule)
        self._keep = tenants.keep
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Begin again in a process that has none of the parent's threads: they may hold the lock for ever."""
        self._lock = threading.Lock()
        self._calls: dict[str, _Call] = {}
        self._answers: TLRUCache[str, _Answer] = TLRUCache(
            _REMEMBERED, ttu=lambda _tenant, answer, _now: answer[1] + self._keep, timer=self._monotonic
        )

    def check(self, tenant_id: str) -> None:
        """Raise unless the rule accepts a tenant.

        Raises:
            InvalidTokenError: wrong_tenant: the rule returned False.
            KeysUnavailableError: tenants_unavailable: it raised, or did not return in time.
            ConfigurationError: The rule is async, and this is not a task of an event loop.
        """
        if self.is_async:
            raise ConfigurationError(
                "the rule of Tenants.where is async: use averify (or an ASGI adapter), or a rule that is not"
            )
        answer = self._cached(tenant_id)
        if answer is None:
            call = None
            try:
                call = self._joined(tenant_id)
                answer = wait(call.outcome, self._remaining(call))
            except Exception as error:  # noqa: BLE001  # whatever the rule raised
                raise self._unavailable(tenant_id, call, error) from None
        _refuse_unless(answer, tenant_id)

    async def check_async(self, tenant_id: str) -> None:
        """Do what `check` does, in a task of asyncio or trio; blocks no event loop."""
        answer = self._cached(tenant_id)
        while answer is None:
            call = None
            try:
                call, is_ours = self._join(tenant_id)
                if is_ours and self.is_async:
                    await self._call_here(tenant_id, call)
                elif is_ours:
                    self._start(tenant_id, call)
                answer = await wait_async(call.outcome, self._remaining(call))
            except _CancelledError:
                continue
            except Exception as error:  # noqa: BLE001  # as above
                raise self._unavailable(tenant_id, call, error) from None
        _refuse_unless(answer, tenant_id)

    def _cached(self, tenant_id: str) -> bool | None:
        with self._lock:
            answer = self._answers.get(tenant_id)
        return None if answer is None else answer[0]

    # --- calls ---------------------------------------------------------------------------------------

    def _join(self, tenant_id: str) -> tuple[_Call, bool]:
        """Return the call of a tenant, and whether it is a new one that the caller must make."""
        now = self._monotonic()
        with self._lock:
            call = self._calls.get(tenant_id)
            if call is not None and now - call.began < _GIVE_UP:
                return call, False
            if call is None and len(self._calls) >= _MOST_CALLS:
                raise _TooManyCallsError
            call = self._calls[tenant_id] = _Call(now)
            return call, True

    def _joined(self, tenant_id: str) -> _Call:
        call, is_ours = self._join(tenant_id)
        if is_ours:
            self._start(tenant_id, call)
        return call

    def _start(self, tenant_id: str, call: _Call) -> None:
        """Call a function that is not async, on a thread: the caller waits no longer than it may."""
        try:
            start_thread(self._run, tenant_id, call, name="entra_guard tenant rule")
        except RuntimeError as error:  # too many threads, or the interpreter exits
            self._end(tenant_id, call, error)

    def _run(self, tenant_id: str, call: _Call) -> None:
        try:
            answer = _as_answer(self._rule(tenant_id))
        except BaseException as error:  # the waiters get it, whatever it is
            log.error("the tenant rule failed for %s", tenant_id, exc_info=error)  # noqa: TRY400
            # SystemExit must end no waiting thread.
            self._end(tenant_id, call, error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            self._end(tenant_id, call, answer)

    async def _call_here(self, tenant_id: str, call: _Call) -> None:
        """Await an async function in this task; others wait for the outcome."""
        outcome: bool | BaseException = _CancelledError()  # for all that is not caught below
        try:
            with anyio.fail_after(self._timeout):
                outcome = _as_answer(await cast("Awaitable[object]", self._rule(tenant_id)))
        except Exception as error:  # the waiters get it, whatever it is
            log.error("the tenant rule failed for %s", tenant_id, exc_info=error)  # noqa: TRY400
            outcome = error
        finally:
            self._end(tenant_id, call, outcome)

    def _end(self, tenant_id: str, call: _Call, outcome: bool | BaseException) -> None:
        with self._lock:
            if self._calls.get(tenant_id) is call:
                del self._calls[tenant_id]
            if isinstance(outcome, bool):
                self._answers[tenant_id] = outcome, call.began
        if isinstance(outcome, bool):
            call.outcome.set_result(outcome)
        else:
            call.outcome.set_exception(outcome)

    def _remaining(self, call: _Call) -> float:
        """Return how many seconds a caller may still wait for a call."""
        return max(0.0, call.began + self._timeout - self._monotonic())

    def _unavailable(self, tenant_id: str, call: _Call | None, error: Exception) -> KeysUnavailableError:
        detail = f"the rule raised {type(error).__name__}"
        if call is None:
            detail = f"{_MOST_CALLS} calls of the rule run already"
        elif isinstance(error, TimeoutError):
            detail = f"the rule did not return within {self._timeout:g} s"
        facts = {"tenant_id": tenant_id, "detail": detail}
        return KeysUnavailableError("tenants_unavailable", facts, retry_after=1.0)


def is_async_callable(function: Any) -> bool:
    """Return whether calling an object gives something to await: an async function, or an object of one."""
    while isinstance(function, partial):
        function = function.func
    call = getattr(cast("object", type(function)), "__call__", None)  # noqa: B004  # not whether it can be called
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _as_answer(returned: object) -> bool:
    """Return what the rule returned, if it is True or False: a coroutine or a row of a table is not a yes."""
    if isinstance(returned, bool):
        return returned
    if inspect.iscoroutine(returned):
        returned.close()
    raise TypeError(
        f"the rule of Tenants.where must return True or False, and returned {type(returned).__name__}"
        + (": define it with 'async def'" if inspect.isawaitable(returned) else "")
    )


def _refuse_unless(answer: bool, tenant_id: str) -> None:
    if not answer:
        raise refusal("wrong_tenant", {"expected": "a tenant that the rule accepts", "found": tenant_id})
