"""Groups that a token cannot carry come from Graph: one request per caller at a time, bounded in time and size."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from locked_caches import LockedTTLCache
from manual_clock import ManualClock

from entra_guard import Guard
from entra_guard.credentials import ClientSecretCredential
from entra_guard.errors import (
    ConfigurationError,
    FetchError,
    InsufficientPermissionError,
    KeysUnavailableError,
)
from entra_guard.graph import GraphError, GroupResolver, has_overage

if TYPE_CHECKING:
    from graph_entra import Call, GraphEntra

    from entra_guard import Principal

API = "11112222-bbbb-3333-cccc-4444dddd5555"
OVERAGE = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://dead.example"}},
}


@dataclass(frozen=True)
class Caller:
    tenant_id: str
    object_id: str
    is_app: bool = False
    groups: tuple[str, ...] = ()
    claims: dict[str, Any] = field(default_factory=lambda: OVERAGE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def resolver(entra: GraphEntra, clock: ManualClock, **more: Any) -> GroupResolver:
    settings = {
        "base_url": entra.url,
        "scope": "https://graph.microsoft.com/.default",
        "tries": 1,
        "http_client": httpx.Client(transport=entra.transport),
    }
    return GroupResolver(entra.graph_credential, monotonic=clock, **{**settings, **more})


@pytest.fixture
def alice(entra: GraphEntra) -> Caller:
    user = entra.find_user("alice")
    return Caller(user.tenant_id, user.id)


def groups_of(entra: GraphEntra, caller: Caller) -> set[str]:
    return set(entra.directory.group_ids_of(caller.object_id))


def test_groups_come_from_the_token_where_it_has_them(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    caller = Caller(alice.tenant_id, alice.object_id, groups=("g1", "g2"), claims={"groups": ["g1", "g2"]})
    assert call(resolver(entra, clock), "groups_of", caller) == {"g1", "g2"}
    assert entra.graph_requests == 0


def test_groups_come_from_graph_where_the_token_has_too_many(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    entra.add_group("Sales", "alice")
    found = call(resolver(entra, clock), "groups_of", alice)
    assert len(found) == 2
    assert found == groups_of(entra, alice)


def test_a_real_token_of_a_user_in_too_many_groups(entra: GraphEntra, call: Call, clock: ManualClock) -> None:
    import jwt

    api = entra.register_app("Orders", scopes=["x"])
    token = entra.issue_token(api, user="alice", scopes=["x"], preset="group-overage")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert has_overage(claims)
    caller = Caller(claims["tid"], claims["oid"], claims=claims)
    assert call(resolver(entra, clock), "groups_of", caller) == groups_of(entra, caller)


def until_idle(groups: GroupResolver) -> None:
    """Wait until no request is in flight."""
    end = time.monotonic() + 30
    while groups._in_flight.in_flight:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_known_groups_are_used_for_minutes_and_then_renewed_in_the_background(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    first = call(groups, "groups_of", alice)
    entra.add_group("Sales", "alice")
    clock.advance(299)
    assert call(groups, "groups_of", alice) == first
    assert entra.graph_requests == 1
    clock.advance(2)
    with entra.failing("graph", "slow", delay=0.2):
        assert call(groups, "groups_of", alice) == first  # at once, while Graph is slow
    until_idle(groups)
    assert len(call(groups, "groups_of", alice)) == len(first) + 1
    assert entra.graph_requests == 2


def test_groups_older_than_an_hour_are_not_used(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    first = call(groups, "groups_of", alice)
    entra.add_group("Sales", "alice")
    clock.advance(3600)
    assert len(call(groups, "groups_of", alice)) == len(first) + 1


def test_fifty_requests_of_one_caller_cause_one_call(
    entra: GraphEntra, clock: ManualClock, alice: Caller
) -> None:
    entra.fail("graph", "slow", delay=0.1)
    groups = resolver(entra, clock)

    async def concurrent_calls() -> list[frozenset[str]]:
        return await asyncio.gather(*(groups.agroups_of(alice) for _ in range(50)))

    assert len(set(asyncio.run(concurrent_calls()))) == 1
    assert entra.graph_requests == 1


def test_a_request_that_starts_after_another_ended_returns_its_groups(
    entra: GraphEntra, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    found = groups.groups_of(alice)
    key = f"{alice.tenant_id}/{alice.object_id}"
    assert groups._fetch(key, f"/users/{alice.object_id}/getMemberObjects") == found
    assert entra.graph_requests == 1


# --- outages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["503", "429", "dropped", "silent", "html"])
def test_in_an_outage_known_groups_are_used_at_once(
    entra: GraphEntra,
    call: Call,
    clock: ManualClock,
    alice: Caller,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    groups = resolver(entra, clock)
    first = call(groups, "groups_of", alice)
    with entra.failing("graph", fault):
        for _ in range(5):
            clock.advance(600)
            assert call(groups, "groups_of", alice) == first
            until_idle(groups)
        assert "the known ones are used" in caplog.text
        clock.advance(601)
        with pytest.raises((GraphError, FetchError)):
            call(groups, "groups_of", alice)


def test_in_an_outage_requests_grow_rare(entra: GraphEntra, clock: ManualClock, alice: Caller) -> None:
    groups = resolver(entra, clock)
    groups.groups_of(alice)
    clock.advance(301)
    with entra.failing("graph", "503"):
        for _ in range(600):  # ten minutes of a request per second
            groups.groups_of(alice)
            until_idle(groups)
            clock.advance(1)
    assert entra.graph_requests <= 1 + 5 + 600 / 30 + 1
    clock.advance(30)
    groups.groups_of(alice)
    until_idle(groups)
    assert groups._failures.current("x") is None


def test_in_an_outage_other_callers_fail_at_once_after_the_first(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    users = [entra.add_user(f"user{number}") for number in range(20)]
    with entra.failing("graph", "503", retry_after=20):
        for user in users:
            with pytest.raises(GraphError, match="503") as caught:
                call(groups, "groups_of", Caller(user.tenant_id, user.id))
            assert caught.value.retry_after == pytest.approx(20)
    assert entra.graph_requests == 1
    clock.advance(21)
    assert call(groups, "groups_of", alice) == groups_of(entra, alice)


def test_a_caller_without_known_groups_waits_no_longer_than_it_may(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    released = threading.Event()

    def silent(_request: httpx.Request) -> httpx.Response:
        released.wait(20)
        return httpx.Response(200, json={"value": ["late"]})

    client = httpx.Client(transport=httpx.MockTransport(silent))
    groups = resolver(entra, clock, http_client=client, wait=0.1)
    try:
        with pytest.raises(FetchError, match=r"no response within 0\.1 seconds"):
            call(groups, "groups_of", alice)
        with pytest.raises(FetchError):  # the next one does not wait at all
            groups._get_or_start(Caller(alice.tenant_id, API))
    finally:
        released.set()
    until_idle(groups)  # the request itself went on: its groups are known now
    assert call(groups, "groups_of", alice) == {"late"}


def test_a_caller_waits_three_seconds_by_default(entra: GraphEntra, clock: ManualClock) -> None:
    assert resolver(entra, clock)._wait == 3.0


def test_groups_of_a_deleted_user_are_forgotten(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    groups = resolver(entra, clock)
    call(groups, "groups_of", alice)
    clock.advance(301)
    directory = entra.directory
    others = {key: user for key, user in directory.users.items() if key != alice.object_id}
    entra.store.change(directory=replace(directory, users=others))
    call(groups, "groups_of", alice)  # starts the renewal
    until_idle(groups)
    assert "the known ones are forgotten" in caplog.text
    for _ in range(2):
        with pytest.raises(GraphError, match="404"):
            call(groups, "groups_of", alice)
    assert entra.graph_requests == 2


def test_a_refusal_of_one_caller_is_not_one_of_others(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    unknown = Caller(alice.tenant_id, API)
    for _ in range(2):
        with pytest.raises(GraphError, match="404"):
            call(groups, "groups_of", unknown)
    assert call(groups, "groups_of", alice)
    assert entra.graph_requests == 2
    clock.advance(11)
    with pytest.raises(GraphError, match="404"):
        call(groups, "groups_of", unknown)
    assert entra.graph_requests == 3


def test_each_caller_gets_an_error_object_of_its_own(
    entra: GraphEntra, clock: ManualClock, alice: Caller
) -> None:
    entra.fail("graph", "503")
    groups = resolver(entra, clock)

    async def concurrent_calls() -> list[BaseException]:
        return await asyncio.gather(*(groups.agroups_of(alice) for _ in range(5)), return_exceptions=True)

    assert len({id(error) for error in asyncio.run(concurrent_calls())}) == 5


# --- bounds ------------------------------------------------------------------------------------------


def test_many_threads_use_the_cache_under_its_lock_alone(entra: GraphEntra) -> None:
    def graph(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.url.path.count("a") % 2 else 200, json={"value": ["group"]})

    client = httpx.Client(transport=httpx.MockTransport(graph))
    groups = resolver(entra, time.monotonic, http_client=client, refresh=0.0, cache_size=8)
    groups._known = LockedTTLCache(8, 3600.0)
    groups._known.lock = groups._lock
    ids = [f"{number:08x}-0000-4000-8000-{number * 17:012x}" for number in range(20)]

    def hammer(worker: int) -> None:
        for number in range(100):
            with suppress(GraphError):
                groups.groups_of(Caller(entra.tenant_id, ids[(worker + number) % 20]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, range(4)))
    until_idle(groups)
    assert len(groups._known) <= 8


def test_nothing_is_cached_where_nothing_may_be(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock, cache_size=0)
    for requests in (1, 2):
        assert call(groups, "groups_of", alice)
        assert entra.graph_requests == requests


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_a_lock_that_a_thread_holds_at_a_fork_is_free_in_the_child(
    entra: GraphEntra, clock: ManualClock, alice: Caller
) -> None:
    groups = resolver(entra, clock)
    with groups._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork while threads run, which is the point
        child = os.fork()
        if child == 0:
            os._exit(0 if groups._lock.acquire(timeout=5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pages_are_followed_and_their_number_is_bounded(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entra_guard.graph import _groups

    pages = 0

    def endless(request: httpx.Request) -> httpx.Response:  # the emulator puts all ids on one page
        nonlocal pages
        pages += 1
        following = f"{request.url.scheme}://{request.url.host}/v1.0/more?page={pages}"
        ids = [f"{pages}-{number}" for number in range(100)]
        return httpx.Response(200, json={"value": ids, "@odata.nextLink": following})

    monkeypatch.setattr(_groups, "_MOST_GROUPS", 250)
    client = httpx.Client(transport=httpx.MockTransport(endless))
    found = call(resolver(entra, clock, http_client=client), "groups_of", alice)
    assert len(found) == 250
    assert pages == 3


def test_the_number_of_cached_callers_is_bounded(entra: GraphEntra, clock: ManualClock) -> None:
    groups = resolver(entra, clock, cache_size=4)
    for number in range(10):
        user = entra.add_user(f"user{number}")
        groups.groups_of(Caller(user.tenant_id, user.id))
    assert len(groups._known) <= 4


def test_callers_of_another_tenant_are_refused(
    entra: GraphEntra, call: Call, clock: ManualClock, alice: Caller
) -> None:
    guest = Caller("fab41ca0-1d00-4a11-8b0b-0c0a11ce0002", alice.object_id)
    with pytest.raises(ConfigurationError, match="cannot be requested"):
        call(resolver(entra, clock), "groups_of", guest)
    with pytest.raises(ConfigurationError, match="no object id"):
        call(resolver(entra, clock), "groups_of", Caller(alice.tenant_id, "../me"))
    assert entra.graph_requests == 0


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, False),
        ({"groups": []}, False),
        (OVERAGE, True),
        ({"hasgroups": True}, True),
        ({"hasgroups": "true"}, True),
        ({"hasgroups": "false"}, False),
        ({"_claim_names": {"roles": "src1"}}, False),
        ({"_claim_names": "groups"}, False),
    ],
)
def test_an_overage_is_recognised(claims: dict[str, Any], expected: bool) -> None:
    assert has_overage(claims) is expected


def test_impossible_settings_fail_when_the_resolver_is_built(entra: GraphEntra) -> None:
    wrong = [
        {"refresh": -1},
        {"refresh": 10, "max_stale": 5},
        {"max_stale": "3600"},
        {"wait": float("inf")},
        {"wait": True},
        {"cache_size": -1},
        {"cache_size": 1.5},
        {"refesh": 60},
    ]
    for settings in wrong:
        with pytest.raises(ConfigurationError, match=next(reversed(settings))):
            GroupResolver(entra.graph_credential, **settings)


# --- with a guard ------------------------------------------------------------------------------------


@pytest.fixture
def token(entra: GraphEntra) -> str:
    """A token of a user with more groups than it can carry."""
    api = entra.register_app("Orders", scopes=["Orders.Read"], client_id=API)
    return entra.issue_token(api, user="alice", scopes=["Orders.Read"], preset="group-overage")


def guard(entra: GraphEntra, groups: GroupResolver | None) -> Guard:
    return Guard(
        tenant=entra.tenant_id,
        audience=API,
        authority=entra.url,
        http_client=httpx.Client(transport=entra.transport),
        groups=groups,
    )


def verify(guard: Guard, token: str, mode: str) -> Principal:
    return guard.verify(token) if mode == "sync" else asyncio.run(guard.averify(token))


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_guard_with_groups_has_all_groups_of_a_caller(
    entra: GraphEntra, mode: str, clock: ManualClock, token: str, alice: Caller
) -> None:
    guarding = guard(entra, resolver(entra, clock))
    principal = verify(guarding, token, mode)
    assert set(principal.groups) == groups_of(entra, alice)
    assert principal.scopes == ("Orders.Read",)
    verify(guarding, token, mode)
    assert entra.graph_requests == 1


def test_a_guard_without_groups_sends_no_request(entra: GraphEntra, mode: str, token: str) -> None:
    assert verify(guard(entra, None), token, mode).groups == ()
    assert entra.graph_requests == 0


def test_callers_with_groups_in_the_token_cause_no_call_to_graph(
    entra: GraphEntra, mode: str, clock: ManualClock
) -> None:
    api = entra.register_app("Orders", scopes=["Orders.Read"], client_id=API, group_claims=True)
    token = entra.issue_token(api, user="alice", scopes=["Orders.Read"])
    principal = verify(guard(entra, resolver(entra, clock)), token, mode)
    assert len(principal.groups) == 1
    assert entra.graph_requests == 0


def test_while_graph_is_down_the_caller_gets_a_503(
    entra: GraphEntra, mode: str, clock: ManualClock, token: str
) -> None:
    entra.fail("graph", "503", retry_after=20)
    with pytest.raises(KeysUnavailableError) as caught:
        verify(guard(entra, resolver(entra, clock, longest_wait=0)), token, mode)
    error = caught.value
    assert (error.reason, error.status, error.headers["retry-after"]) == ("groups_unavailable", 503, "20")
    assert error.challenge == ""
    assert "503" in str(error.facts["detail"])


def test_a_refusal_of_graph_is_one_of_the_caller_with_facts_for_the_operator(
    entra: GraphEntra, mode: str, clock: ManualClock, token: str
) -> None:
    app = entra.register_app("Unprivileged")
    credential = ClientSecretCredential(
        entra.tenant_id,
        app.client_id,
        entra.add_secret(app).value,
        authority=entra.url,
        http_client=httpx.Client(transport=entra.transport),
    )
    poor = GroupResolver(
        credential,
        base_url=entra.url,
        scope="https://graph.microsoft.com/.default",
        http_client=httpx.Client(transport=entra.transport),
    )
    with pytest.raises(InsufficientPermissionError) as caught:
        verify(guard(entra, poor), token, mode)
    assert caught.value.reason == "groups_overage"
    assert "Authorization_RequestDenied" in str(caught.value.facts["detail"])
    assert "Authorization_RequestDenied" not in caught.value.body.decode()


def test_a_credential_of_an_event_loop_is_refused_when_it_is_built() -> None:
    class AsyncCredential:
        async def get_token(self, *_scopes: str, **_options: Any) -> Any: ...

    with pytest.raises(ConfigurationError, match=r"from azure\.identity"):
        GroupResolver(AsyncCredential())
