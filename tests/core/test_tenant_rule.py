"""Tenants by rule: when it is called, how long its answers are kept, and what its errors do."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest
from openid_issuer import reason_of

from entra_guard import AccessError, ConfigurationError, Tenants

HOME = "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rule:
    """A rule whose answer can be changed, which counts its calls; async for an event loop."""

    def __init__(self, answer: object = True) -> None:
        self.answer = answer
        self.calls: list[str] = []

    def __call__(self, tenant_id: str) -> bool:
        self.calls.append(tenant_id)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def in_loop(self, tenant_id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return self(tenant_id)


WAYS = [
    ("sync", "function"),
    *((loop, kind) for loop in ("asyncio", "trio") for kind in ("function", "async")),
]


@pytest.fixture(params=WAYS, ids="-".join)
def way(request):
    """How a guard is used, and whether the rule is async."""
    return request.param


@pytest.fixture
def kind(way):
    return way[1]


@pytest.fixture
def verify_kind(way):
    return way[0]


@pytest.fixture
def run(verify_kind):
    """Verify with a guard, in one of the three ways."""
    if verify_kind == "sync":
        return lambda guard, token: guard.verify(token)
    return lambda guard, token: anyio.run(guard.averify, token, backend=verify_kind)


@pytest.fixture
def guard_of(entra, kind):
    def build(rule: Rule, *, keep: float = 60.0, timeout: float = 3.0, **settings):
        function = rule if kind == "function" else rule.in_loop
        tenants = Tenants.where(function, "a test", keep=keep, timeout=timeout)
        return entra.guard(tenant=tenants, **settings)

    return build


def reason(run, guard, token) -> str:
    try:
        run(guard, token)
    except AccessError as error:
        return error.reason
    return ""


def test_the_rule_decides_with_the_tenant_id_only(entra, run, guard_of):
    rule = Rule()
    assert run(guard_of(rule), entra.token()).tenant_id == HOME
    assert rule.calls == [HOME]
    assert reason(run, guard_of(Rule(answer=False)), entra.token()) == "wrong_tenant"


@pytest.mark.parametrize(
    "preset",
    [
        "forged",
        "expired",
        "not-yet-valid",
        "wrong-aud",
        "tampered",
        "unknown-kid",
        "no-roles",
        "msa-user",
        "wrong-iss",
    ],
)
def test_the_rule_is_not_called_for_a_token_that_is_refused_anyway(entra, run, guard_of, preset):
    rule = Rule()
    assert reason(run, guard_of(rule), entra.token(preset=preset))
    assert rule.calls == []


@pytest.mark.parametrize("answer", [True, False])
def test_an_answer_is_kept_for_60_seconds_and_ends_then(entra, run, guard_of, answer):
    rule, clock = Rule(answer), Clock()
    guard = guard_of(rule, monotonic=clock)
    expected = "" if answer else "wrong_tenant"
    for seconds, calls in ((0, 1), (59.9, 1), (60.0, 2), (119.9, 2), (120.1, 3)):
        clock.now = 1000.0 + seconds
        assert reason(run, guard, entra.token()) == expected
        assert len(rule.calls) == calls


def test_a_removed_tenant_ends_for_cached_tokens_too(entra, run, guard_of):
    rule, clock = Rule(), Clock()
    guard, token = guard_of(rule, monotonic=clock, keep=10), entra.token()
    assert reason(run, guard, token) == ""
    rule.answer = False
    clock.now += 9
    assert reason(run, guard, token) == ""
    clock.now += 2
    assert reason(run, guard, token) == "wrong_tenant"
    rule.answer = True
    clock.now += 11
    assert reason(run, guard, token) == ""


def test_without_keeping_every_request_calls_the_rule(entra, run, guard_of):
    rule = Rule()
    guard, token = guard_of(rule, keep=0), entra.token()
    for calls in (1, 2, 3):
        assert reason(run, guard, token) == ""
        assert len(rule.calls) == calls


@pytest.mark.parametrize(
    "fault", [ValueError("db"), TimeoutError(), OSError(), None, 1, "yes", [HOME]], ids=repr
)
def test_an_error_is_503_and_never_an_old_yes(entra, run, guard_of, fault):
    rule, clock = Rule(), Clock()
    guard, token = guard_of(rule, monotonic=clock), entra.token()
    assert reason(run, guard, token) == ""
    rule.answer = fault
    assert reason(run, guard, token) == ""  # within its 60 s, the answer holds
    clock.now += 61
    with pytest.raises(AccessError) as caught:
        run(guard, token)
    assert (caught.value.reason, caught.value.status) == ("tenants_unavailable", 503)
    assert caught.value.headers["retry-after"] == "1"
    assert "db" not in str(caught.value.facts)
    rule.answer = True
    assert reason(run, guard, token) == ""


def test_a_rule_that_ends_its_thread_is_503(entra):
    guard = entra.guard(tenant=Tenants.where(Rule(SystemExit(1)), "a test"))
    assert reason_of(guard, entra.token()) == "tenants_unavailable"


def test_a_rule_that_does_not_return_is_503_in_time(entra, run, kind):
    release = threading.Event()

    def hangs(_tenant):
        release.wait(60)
        return True

    async def hangs_in_loop(_tenant):
        await anyio.sleep(60)
        return True

    tenants = Tenants.where(hangs if kind == "function" else hangs_in_loop, "a test", timeout=0.05)
    guard = entra.guard(tenant=tenants)
    run_reason = [reason(run, guard, entra.token()) for _ in range(2)]
    release.set()
    assert run_reason == ["tenants_unavailable"] * 2


def test_a_late_answer_counts_from_its_beginning(entra):
    clock = Clock()

    def slow(_tenant):
        clock.now += 61
        return True

    calls = []
    guard = entra.guard(tenant=Tenants.where(lambda t: calls.append(t) or slow(t), "a test"), monotonic=clock)
    token = entra.token()
    assert guard.verify(token)
    assert guard.verify(token)
    assert len(calls) == 2


def test_threads_of_one_tenant_share_one_call(entra):
    started, release = threading.Semaphore(0), threading.Event()
    running, most = 0, 0
    lock = threading.Lock()

    def rule(_tenant):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        started.release()
        release.wait(60)
        with lock:
            running -= 1
        return True

    guard = entra.guard(tenant=Tenants.where(rule, "a test", timeout=30))
    tokens = [entra.token() for _ in range(12)]
    with ThreadPoolExecutor(12) as callers:
        outcomes = [callers.submit(guard.verify, token) for token in tokens]
        assert started.acquire(timeout=10)
        assert not started.acquire(timeout=0.1)
        release.set()
        assert all(outcome.result(timeout=10) for outcome in outcomes)
    assert most == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_of_one_tenant_share_one_call(entra, backend):
    rule = Rule()

    async def slow(tenant_id):
        await anyio.sleep(0.01)
        return rule(tenant_id)

    guard = entra.guard(tenant=Tenants.where(slow, "a test"))
    guard._key_manager.load_now()

    async def all_at_once():
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(guard.averify, entra.token())

    anyio.run(all_at_once, backend=backend)
    assert len(rule.calls) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_caller_leaves_the_others_their_answer(entra, backend):
    calls = []

    async def rule(tenant_id):
        calls.append(tenant_id)
        if len(calls) == 1:
            await anyio.sleep_forever()
        return True

    guard = entra.guard(tenant=Tenants.where(rule, "a test"))
    guard._key_manager.load_now()
    found = []

    async def second():
        found.append(await guard.averify(entra.token()))

    async def first(scope):
        with scope:
            await guard.averify(entra.token())

    async def main():
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first, scope)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()

    anyio.run(main, backend=backend)
    assert len(found) == 1
    assert len(calls) == 2


def test_event_loops_of_several_threads_share_answers(entra):
    rule = Rule()
    guard = entra.guard(tenant=Tenants.where(rule.in_loop, "a test"))
    guard._key_manager.load_now()
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _n: asyncio.run(guard.averify(entra.token())), range(8)))
    assert len(done) == 8
    assert len(rule.calls) <= 4


def test_calls_of_many_tenants_are_bounded(entra):
    from entra_guard._guard.tenant_rule import TenantRule

    release = threading.Event()
    rule = TenantRule(Tenants.where(lambda _t: release.wait(60), "a test", timeout=0.01), time.monotonic)
    reasons = []
    for number in range(70):
        with pytest.raises(AccessError) as caught:
            rule.check(f"aaaabbbb-0000-cccc-1111-{number:012d}")
        reasons.append(str(caught.value.facts["detail"]))
    release.set()
    assert len(rule._calls) <= 64
    assert ["64 calls" in detail for detail in reasons] == [False] * 64 + [True] * 6


def test_answers_are_bounded():
    from entra_guard._guard.tenant_rule import _REMEMBERED, TenantRule

    rule = TenantRule(Tenants.where(lambda _t: True, "a test"), Clock())
    for number in range(_REMEMBERED + 50):
        rule._end(str(number), rule._join(str(number))[0], outcome=True)
    assert len(rule._answers) == _REMEMBERED


def test_a_call_that_never_ends_is_replaced_after_a_minute(entra):
    from entra_guard._guard.tenant_rule import TenantRule

    clock, release = Clock(), threading.Event()
    answers = iter([lambda: release.wait(60), lambda: True])
    rule = TenantRule(Tenants.where(lambda _t: next(answers)(), "a test", timeout=0.01), clock)
    with pytest.raises(AccessError, match="tenants_unavailable"):
        rule.check(HOME)
    clock.now += 61
    rule._timeout = 10
    rule.check(HOME)
    release.set()


# --- configuration ---------------------------------------------------------------------------------------


async def async_rule(_tenant):
    return True


class AsyncCallable:
    async def __call__(self, _tenant):
        return True


@pytest.mark.parametrize(
    "rule",
    [async_rule, AsyncCallable(), functools.partial(async_rule), functools.partial(AsyncCallable())],
    ids=["def", "object", "partial", "partial of an object"],
)
def test_an_async_rule_needs_an_event_loop(entra, rule):
    from entra_guard import flask, wsgi
    from entra_guard.asgi import GuardMiddleware

    guard = entra.guard(tenant=Tenants.where(rule, "a test"))
    with pytest.raises(ConfigurationError, match="async"):
        guard.verify(entra.token())
    for combined in (guard, guard | entra.guard(), entra.guard() | guard):
        with pytest.raises(ConfigurationError, match="async"):
            wsgi.GuardMiddleware(lambda _environ, _start: [], guard=combined)
        with pytest.raises(ConfigurationError, match="async"):
            flask.init_app(__import__("flask").Flask("x"), combined)
    assert GuardMiddleware(lambda *_: None, guard=guard)
    assert asyncio.run(guard.averify(entra.token()))


def test_a_function_that_returns_a_coroutine_is_not_a_yes(entra):
    guard = entra.guard(tenant=Tenants.where(lambda tenant: async_rule(tenant), "a test"))  # noqa: PLW0108
    assert reason_of(guard, entra.token()) == "tenants_unavailable"


@pytest.mark.parametrize(
    "build",
    [
        lambda: Tenants.where(None, "a test"),
        lambda: Tenants.where([HOME], "a test"),
        lambda: Tenants.where(lambda _t: True, ""),
        lambda: Tenants.where(lambda _t: True, None),
        lambda: Tenants.where(lambda _t: True, "a test", keep=61),
        lambda: Tenants.where(lambda _t: True, "a test", keep=-1),
        lambda: Tenants.where(lambda _t: True, "a test", keep="60"),
        lambda: Tenants.where(lambda _t: True, "a test", keep=True),
        lambda: Tenants.where(lambda _t: True, "a test", keep=float("nan")),
        lambda: Tenants.where(lambda _t: True, "a test", timeout=0),
        lambda: Tenants.where(lambda _t: True, "a test", timeout=None),
    ],
)
def test_a_rule_that_cannot_work_is_refused(build):
    with pytest.raises(ConfigurationError):
        build()


# --- explain ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "verdict", "reason"),
    [
        (lambda _t: True, "pass", ""),
        (lambda _t: False, "fail", "wrong_tenant"),
        (lambda _t: 1 / 0, "fail", "tenants_unavailable"),
        (async_rule, "open", ""),
    ],
)
def test_explain_shows_the_rule(entra, rule, verdict, reason):
    explanation = entra.guard(tenant=Tenants.where(rule, "a test")).explain(entra.token())
    step = explanation.steps[-1]
    assert (step.name, step.verdict, step.reason) == ("tenant rule", verdict, reason)
    assert explanation.reason == reason
