"""`guard.revoke`: a caller's older tokens are refused, cached ones too, and its open streams end."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from msgspec.structs import replace
from openid_issuer import PERSON, OpenIdIssuer, accepted

from entra_guard import AccessError, ConfigurationError, Guard
from entra_guard._guard.revocations import Revocations
from entra_guard._web.authenticator import RequestAuthenticator
from entra_guard.asgi import GuardMiddleware
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Principal

BACKDATED = 300
LATE = 30.0


@pytest.fixture
def entra() -> Entra:
    entra = Entra(app_roles=["Orders.Read"], scopes=["Orders.Read"])
    entra.update_app(entra.api, optional_claims=["xms_cc"])
    return entra


def alice(entra: Entra, **more: Any) -> str:
    return entra.token(user="alice", scopes=["Orders.Read"], **more)


def object_id(entra: Entra) -> str:
    return entra.principal(user="alice", scopes=["Orders.Read"]).object_id


def in_sync(guard: Any, token: str) -> Principal:
    principal: Principal = guard.verify(token)
    return principal


def reason(verify: Callable[[Guard, str], Principal], guard: Guard, token: str) -> str:
    try:
        verify(guard, token)
    except AccessError as error:
        return error.reason
    return ""


def test_a_cached_token_is_refused_at_once_and_others_pass(verify: Any, entra: Entra) -> None:
    guard, token, other = entra.guard(), alice(entra), entra.token(user="bob", scopes=["Orders.Read"])
    assert verify(guard, token) == verify(guard, token)
    guard.revoke(object_id(entra).upper())
    assert reason(verify, guard, token) == "token_revoked"
    assert reason(verify, guard, alice(entra)) == "token_revoked", "Entra dates it before the revocation"
    assert reason(verify, guard, other) == ""
    entra.advance(BACKDATED + 1)
    assert reason(verify, guard, alice(entra)) == ""
    assert reason(verify, guard, token) == "token_revoked"


def test_a_challenge_is_sent_only_to_clients_that_can_use_it(entra: Entra) -> None:
    guard, token = entra.guard(), alice(entra)
    guard.revoke(object_id(entra))
    with pytest.raises(AccessError) as caught:
        guard.verify(token)
    challenge = caught.value.headers["www-authenticate"]
    assert ('error="invalid_token"' in challenge, "claims=" in challenge) == (True, False)
    assert "authorization_uri" not in challenge


def test_a_token_that_was_issued_later_than_since_stays(entra: Entra) -> None:
    guard, token = entra.guard(), alice(entra)
    issued = guard.verify(token).claims["iat"]
    guard.revoke(object_id(entra), since=issued)
    assert guard.verify(token).object_id == object_id(entra)
    guard.revoke(object_id(entra), since=datetime.fromtimestamp(issued + 1, UTC))
    guard.revoke(object_id(entra), since=issued - 5)
    assert reason(in_sync, guard, token) == "token_revoked", "an older event takes nothing back"
    assert guard.explain(token).reason == "token_revoked"
    assert guard.explain(token).steps[-1].reason == "token_revoked"


def test_a_capable_client_is_sent_a_challenge_that_brings_a_token_which_passes(entra: Entra) -> None:
    guard, token = entra.guard(), alice(entra, claims={"xms_cc": ["cp1"]})
    guard.revoke(object_id(entra))
    with pytest.raises(AccessError) as caught:
        guard.verify(token)
    challenge = caught.value.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in challenge
    (encoded,) = re.findall(r'claims="([^"]+)"', challenge)
    entra.grant_delegated(entra.caller, entra.api, "Orders.Read")
    entra.advance(1)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": entra.caller.client_id,
        "client_secret": entra.secret.value,
        "assertion": entra.issue_token(
            entra.api, audience=entra.caller.client_id, scopes=["x"], user="alice"
        ),
        "scope": f"{entra.api.app_id_uri}/Orders.Read",
        "claims": base64.b64decode(encoded).decode(),
    }
    answer = entra.http_client.post(f"/{entra.tenant_id}/oauth2/v2.0/token", data=form).json()
    assert guard.verify(answer["access_token"]).object_id == object_id(entra)


def test_an_application_can_be_revoked_too(entra: Entra) -> None:
    guard, token = entra.guard(), entra.token(roles=["Orders.Read"])
    guard.revoke(guard.verify(token).object_id)
    assert reason(in_sync, guard, token) == "token_revoked"


def test_a_subject_of_another_issuer_is_revoked_in_each_guard_that_knows_it(entra: Entra) -> None:
    issuer = OpenIdIssuer("https://idp.example/realms/demo")
    theirs = issuer.token({"sub": "ada", "scope": "Orders.Read"}, typ="at+jwt")
    guard, ours = issuer.guard() | entra.guard(), alice(entra)
    guard.verify(theirs)
    guard.verify(ours)
    guard.revoke("ada")
    guard.revoke(object_id(entra))
    with pytest.raises(ConfigurationError):
        guard.revoke(None)
    assert [reason(in_sync, guard, token) for token in (theirs, ours)] == ["token_revoked"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"object_id": ""},
        {"object_id": None},
        {"object_id": "alice@contoso.com"},
        {"since": "2026-01-01"},
        {"since": True},
        {"since": float("nan")},
        {"since": -1},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001  # without a time zone, as is the fault
        {"since": datetime.now(UTC) + timedelta(days=1)},
        {"since": 1_767_268_800_000},
    ],
)
def test_what_cannot_be_revoked_is_refused(entra: Entra, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        entra.guard().revoke(**({"object_id": PERSON} | arguments))


def test_with_too_many_revocations_the_oldest_holds_for_everyone(
    entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    principal = entra.principal(user="alice", scopes=["Orders.Read"])
    issued = principal.claims["iat"]
    revocations = Revocations(is_entra=True, most=2)
    for number, since in enumerate((issued, issued + 30, issued + 20)):
        revocations.add(f"{PERSON[:-1]}{number}", since, issued + 60)
        assert not revocations.is_revoked(principal)
    revocations.add(f"{PERSON[:-1]}8", issued + 40, issued + 60)
    assert revocations.is_revoked(principal)
    assert "every token from before" in caplog.text
    fresh = Revocations(is_entra=True, most=2)
    for number in range(9):
        fresh.add(f"{PERSON[:-1]}{number}", issued + number, issued + 40 * 3600 * number)
    assert not fresh.is_revoked(principal), "what can have no effect any more makes room"


def test_the_oldest_revocations_leave_first_whatever_their_order_and_repetition(entra: Entra) -> None:
    alice, most, order = entra.principal(user="alice", scopes=["Orders.Read"]), 4, random.Random(1)
    names = [f"{PERSON[:-1]}{number}" for number in range(8)]
    callers = {name: replace(alice, verified=replace(alice.verified, object_id=name)) for name in names}
    issued = alice.claims["iat"]
    revocations, known, floor = Revocations(is_entra=True, most=most), dict[str, int](), 0
    for number in range(300):
        caller, since = order.choice(names), issued - 250 + number + order.randrange(-50, 50)
        revocations.add(caller, since, issued + 100)
        known[caller] = max(since, known.get(caller, 0))
        if len(known) > most:
            floor = max(floor, known.pop(min(known, key=known.__getitem__)))
        for name in names:
            assert revocations.is_revoked(callers[name]) == (issued < max(known.get(name, 0), floor))


# --- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("websocket", {}),
        ("websocket", {"close_at_expiry": False}),
        ("http", {}),
        ("http", {"close_at_expiry": True}),
        ("http", {"close_at_expiry": False}),
    ],
)
def test_an_open_stream_ends_when_its_caller_is_revoked(
    entra: Entra, backend: str, kind: str, settings: dict[str, Any]
) -> None:
    guard, sent = entra.guard(), list[dict[str, Any]]()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        threading.Thread(target=guard.revoke, args=[scope["user"].object_id]).start()
        await anyio.sleep(LATE)

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    async def main() -> None:
        token = await anyio.to_thread.run_sync(alice, entra)
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"accept", b"text/event-stream")]
        scope = {"type": kind, "path": "/", "headers": headers}
        scope |= {"method": "GET"} if kind == "http" else {}
        with anyio.fail_after(LATE / 2):
            await GuardMiddleware(app, guard=guard, **settings)(scope, _no_message, send)

    trio.run(main) if backend == "trio" else asyncio.run(main())
    last = {"type": "http.response.body", "body": b"", "more_body": False}
    closed = {"type": "websocket.close", "code": 1008, "reason": "revoked"}
    assert sent[-1] == (closed if kind == "websocket" else last)
    assert guard._caller_checks.revocations._streams == {}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("settings", [{}, {"close_at_expiry": False}])
def test_a_revoked_caller_gets_no_more_events_whatever_its_request_accepts(
    entra: Entra, method: str, settings: dict[str, Any]
) -> None:
    guard, sent = entra.guard(), list[dict[str, Any]]()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(4):
            if number == 2:
                guard.revoke(scope["user"].object_id)
            await send(
                {"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True}
            )

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    headers = [(b"authorization", f"Bearer {alice(entra)}".encode()), (b"accept", b"*/*")]
    scope = {"type": "http", "method": method, "path": "/", "headers": headers}
    asyncio.run(GuardMiddleware(app, guard=guard, **settings)(scope, _no_message, send))
    bodies = [(message["body"], message["more_body"]) for message in sent[1:]]
    assert bodies == [(b"data: 0\n\n", True), (b"data: 1\n\n", True), (b"", False)]


async def _no_message() -> None:
    await anyio.sleep(LATE)


def test_a_stream_that_opens_during_the_revocation_ends_too(entra: Entra) -> None:
    guard, ended = entra.guard(), list[bool]()
    principal = guard.verify(alice(entra))
    guard.revoke(principal.object_id)
    with guard.watch(principal, lambda: ended.append(True)):
        assert ended == [True]


def test_a_body_on_threads_ends_at_its_next_chunk(entra: Entra) -> None:
    guard = entra.guard()
    authenticator, principal = RequestAuthenticator(guard), guard.verify(alice(entra))
    assert not authenticator.is_over(principal)
    guard.revoke(principal.object_id)
    assert authenticator.is_over(principal)
    assert not authenticator.is_over(None)


def test_a_token_without_a_time_of_issue_is_refused_once_its_caller_is_revoked() -> None:
    issuer = OpenIdIssuer("https://idp.example/realms/demo")
    principal = accepted(issuer, {"sub": "ada", "scope": "a", "iat": ...}, typ="at+jwt")
    guard = issuer.guard()
    guard.revoke("ada", since=5)
    assert guard.is_revoked(principal)


class SlowTable(dict[str, float]):
    """A table in which every removal takes so long that another thread reads meanwhile."""

    def __init__(self, read: Callable[[], bool]) -> None:
        super().__init__()
        self.read = read
        self.answers: list[bool] = []

    def pop(self, *arguments: Any) -> Any:
        found = super().pop(*arguments)
        self.answers.append(self.read())
        return found

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.answers.append(self.read())


def test_a_revoked_token_is_refused_while_the_table_changes(entra: Entra) -> None:
    caller = entra.principal(user="alice", scopes=["Orders.Read"])
    revocations, now = Revocations(is_entra=True, most=1), caller.claims["iat"] + 1
    revocations._since = table = SlowTable(lambda: revocations.is_revoked(caller))
    revocations.add(caller.object_id, None, now)
    table.answers.clear()
    revocations.add(caller.object_id, None, now + 1)
    revocations.add("22223333-cccc-4444-dddd-5555eeee6666", None, now + 2)
    assert table.answers == [True], "one removal, and the caller was refused after it"
    assert revocations.is_revoked(caller)
