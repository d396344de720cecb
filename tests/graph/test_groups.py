"""Groups that a token cannot carry are asked of Graph: once per caller, page by page, and not without end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

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
    from conftest import Call, Office

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


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def resolver(office: Office, clock: Clock, **more: Any) -> GroupResolver:
    settings = {
        "base_url": office.entra.url,
        "scope": "https://graph.microsoft.com/.default",
        "tries": 1,
        "http_client": httpx.Client(transport=office.entra.transport),
    }
    return GroupResolver(office.credential, monotonic=clock, **{**settings, **more})


@pytest.fixture
def alice(office: Office) -> Caller:
    user = office.entra.find_user("alice")
    return Caller(user.tenant_id, user.id)


def groups_of(office: Office, caller: Caller) -> set[str]:
    return set(office.entra.directory.group_ids_of(caller.object_id))


def test_groups_come_from_the_token_where_it_has_them(
    office: Office, call: Call, clock: Clock, alice: Caller
) -> None:
    caller = Caller(alice.tenant_id, alice.object_id, groups=("g1", "g2"), claims={"groups": ["g1", "g2"]})
    assert call(resolver(office, clock), "groups_of", caller) == {"g1", "g2"}
    assert office.asked == 0


def test_where_it_has_too_many_graph_is_asked(
    office: Office, call: Call, clock: Clock, alice: Caller
) -> None:
    office.entra.add_group("Sales", "alice")
    found = call(resolver(office, clock), "groups_of", alice)
    assert len(found) == 2
    assert found == groups_of(office, alice)


def test_a_real_token_of_a_user_in_too_many_groups(office: Office, call: Call, clock: Clock) -> None:
    import jwt

    api = office.entra.register_app("Orders", scopes=["x"])
    token = office.entra.issue_token(api, user="alice", scopes=["x"], preset="group-overage")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert has_overage(claims)
    caller = Caller(claims["tid"], claims["oid"], claims=claims)
    assert call(resolver(office, clock), "groups_of", caller) == groups_of(office, caller)


def test_the_answer_is_kept_for_minutes(office: Office, call: Call, clock: Clock, alice: Caller) -> None:
    groups = resolver(office, clock)
    first = call(groups, "groups_of", alice)
    office.entra.add_group("Sales", "alice")
    clock.now += 299
    assert call(groups, "groups_of", alice) == first
    assert office.asked == 1
    clock.now += 2
    assert len(call(groups, "groups_of", alice)) == len(first) + 1


def test_fifty_requests_of_one_caller_ask_once(office: Office, clock: Clock, alice: Caller) -> None:
    office.entra.fail("graph", "slow", delay=0.1)
    groups = resolver(office, clock)

    async def herd() -> list[frozenset[str]]:
        return await asyncio.gather(*(groups.agroups_of(alice) for _ in range(50)))

    assert len(set(asyncio.run(herd()))) == 1
    assert office.asked == 1


def test_who_comes_as_another_is_done_is_told_the_same(office: Office, clock: Clock, alice: Caller) -> None:
    groups = resolver(office, clock)
    found = groups.groups_of(alice)
    key = f"{alice.tenant_id}/{alice.object_id}"
    assert groups._ask(key, f"/users/{alice.object_id}/getMemberObjects") == found
    assert office.asked == 1


def test_in_an_outage_what_was_known_stays_for_an_hour(
    office: Office, call: Call, clock: Clock, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    groups = resolver(office, clock)
    first = call(groups, "groups_of", alice)
    for fault in ("503", "429", "dropped"):
        clock.now += 600
        with office.entra.failing("graph", fault):
            assert call(groups, "groups_of", alice) == first
    assert "the ones known stay" in caplog.text
    clock.now += 3600
    with office.entra.failing("graph", "503"), pytest.raises(GraphError):
        call(groups, "groups_of", alice)
    with office.entra.failing("graph", "dropped"), pytest.raises(FetchError):
        call(groups, "groups_of", alice)


def test_a_refusal_is_an_answer_and_no_outage(
    office: Office, call: Call, clock: Clock, alice: Caller
) -> None:
    groups = resolver(office, clock)
    call(groups, "groups_of", alice)
    clock.now += 301
    directory = office.entra.directory
    others = {key: user for key, user in directory.users.items() if key != alice.object_id}
    office.entra.store.change(directory=replace(directory, users=others))
    with pytest.raises(GraphError, match="404"):
        call(groups, "groups_of", alice)


def test_pages_are_followed_and_their_number_is_bounded(
    office: Office, call: Call, clock: Clock, alice: Caller, monkeypatch: pytest.MonkeyPatch
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
    found = call(resolver(office, clock, http_client=client), "groups_of", alice)
    assert len(found) == 250
    assert pages == 3


def test_the_number_of_callers_kept_is_bounded(office: Office, clock: Clock) -> None:
    groups = resolver(office, clock, cache_size=4)
    for number in range(10):
        user = office.entra.add_user(f"user{number}")
        groups.groups_of(Caller(user.tenant_id, user.id))
    assert len(groups._known) <= 4


def test_callers_of_another_tenant_are_not_asked_for(
    office: Office, call: Call, clock: Clock, alice: Caller
) -> None:
    stranger = Caller("fab41ca0-1d00-4a11-8b0b-0c0a11ce0002", alice.object_id)
    with pytest.raises(ConfigurationError, match="cannot be asked for"):
        call(resolver(office, clock), "groups_of", stranger)
    with pytest.raises(ConfigurationError, match="no object id"):
        call(resolver(office, clock), "groups_of", Caller(alice.tenant_id, "../me"))
    assert office.asked == 0


@pytest.mark.parametrize(
    ("claims", "answer"),
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
def test_an_overage_is_recognised(claims: dict[str, Any], answer: bool) -> None:
    assert has_overage(claims) is answer


def test_senseless_times_are_a_mistake(office: Office) -> None:
    for settings in ({"keep": -1}, {"keep": 10, "keep_in_outage": 5}, {"cache_size": -1}):
        with pytest.raises(ConfigurationError):
            GroupResolver(office.credential, **settings)


# --- with a guard ------------------------------------------------------------------------------------


@pytest.fixture
def token(office: Office) -> str:
    """A token of a user with more groups than it can carry."""
    api = office.entra.register_app("Orders", scopes=["Orders.Read"], client_id=API)
    return office.entra.issue_token(api, user="alice", scopes=["Orders.Read"], preset="group-overage")


def guard(office: Office, groups: GroupResolver | None) -> Guard:
    return Guard(
        tenant=office.entra.tenant_id,
        audience=API,
        authority=office.entra.url,
        http_client=httpx.Client(transport=office.entra.transport),
        groups=groups,
    )


def verify(guard: Guard, token: str, world: str) -> Principal:
    return guard.verify(token) if world == "sync" else asyncio.run(guard.averify(token))


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_guard_that_is_asked_to_knows_all_groups_of_a_caller(
    office: Office, world: str, clock: Clock, token: str, alice: Caller
) -> None:
    guarding = guard(office, resolver(office, clock))
    principal = verify(guarding, token, world)
    assert set(principal.groups) == groups_of(office, alice)
    assert principal.scopes == ("Orders.Read",)
    verify(guarding, token, world)
    assert office.asked == 1


def test_a_guard_that_is_not_asked_to_asks_nobody(office: Office, world: str, token: str) -> None:
    assert verify(guard(office, None), token, world).groups == ()
    assert office.asked == 0


def test_callers_whose_groups_are_in_the_token_cost_no_call_to_graph(
    office: Office, world: str, clock: Clock
) -> None:
    api = office.entra.register_app("Orders", scopes=["Orders.Read"], client_id=API, group_claims=True)
    token = office.entra.issue_token(api, user="alice", scopes=["Orders.Read"])
    principal = verify(guard(office, resolver(office, clock)), token, world)
    assert len(principal.groups) == 1
    assert office.asked == 0


def test_where_graph_cannot_tell_the_caller_is_asked_to_come_again(
    office: Office, world: str, clock: Clock, token: str
) -> None:
    office.entra.fail("graph", "503", retry_after=20)
    with pytest.raises(KeysUnavailableError) as caught:
        verify(guard(office, resolver(office, clock, longest_wait=0)), token, world)
    error = caught.value
    assert (error.reason, error.status, error.headers["retry-after"]) == ("groups_unavailable", 503, "20")
    assert error.challenge == ""
    assert "503" in str(error.facts["detail"])


def test_where_graph_refuses_the_caller_is_refused_and_the_operator_told_why(
    office: Office, world: str, clock: Clock, token: str
) -> None:
    app = office.entra.register_app("Unprivileged")
    credential = ClientSecretCredential(
        office.entra.tenant_id,
        app.client_id,
        office.entra.add_secret(app).value,
        authority=office.entra.url,
        http_client=httpx.Client(transport=office.entra.transport),
    )
    poor = GroupResolver(
        credential,
        base_url=office.entra.url,
        scope="https://graph.microsoft.com/.default",
        http_client=httpx.Client(transport=office.entra.transport),
    )
    with pytest.raises(InsufficientPermissionError) as caught:
        verify(guard(office, poor), token, world)
    assert caught.value.reason == "groups_overage"
    assert "Authorization_RequestDenied" in str(caught.value.facts["detail"])
    assert "Authorization_RequestDenied" not in caught.value.body.decode()


def test_a_credential_of_an_event_loop_is_refused_when_it_is_built() -> None:
    class AsyncCredential:
        async def get_token(self, *_scopes: str, **_options: Any) -> Any: ...

    with pytest.raises(ConfigurationError, match=r"from azure\.identity"):
        GroupResolver(AsyncCredential())
