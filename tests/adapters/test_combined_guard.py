"""Combined guards: the token's own issuer chooses who decides, before any signature is looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from entra_guard import AccessError, Authority, CombinedGuard, ConfigurationError, Guard, Tenants
from entra_guard.asgi import GuardMiddleware
from entra_guard.emulator import FABRIKAM
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Principal

    Verify = Callable[[CombinedGuard, str], Principal]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def verify(request: pytest.FixtureRequest) -> Verify:
    ways: dict[str, Any] = {
        "sync": lambda guard, token: guard.verify(token),
        "asyncio": lambda guard, token: asyncio.run(guard.averify(token)),
        "trio": lambda guard, token: trio.run(guard.averify, token),
    }
    return ways[request.param]


@pytest.fixture
def ours() -> Entra:
    return Entra()


@pytest.fixture
def theirs() -> Entra:
    return Entra(base_url="http://partner.localhost")


def reason(verify: Verify, guard: CombinedGuard, token: str) -> str:
    with pytest.raises(AccessError) as caught:
        verify(guard, token)
    return caught.value.reason


def test_tokens_of_both_issuers_are_accepted(verify: Verify, ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    for issuer in (theirs, ours, theirs):
        assert verify(both, issuer.token()).app_id == issuer.caller.client_id


def test_only_the_guard_of_the_issuer_decides(verify: Verify, ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    verify(both, ours.token())
    verify(both, theirs.token())
    assert reason(verify, both, theirs.token(preset="expired")) == "expired"
    assert reason(verify, both, theirs.token(preset="forged")) == "bad_signature"
    before = ours.count("keys"), theirs.count("keys")
    assert reason(verify, both, theirs.token(preset="unknown-kid")) == "unknown_key"
    assert (ours.count("keys"), theirs.count("keys")) == (before[0], before[1] + 1)


def test_a_key_of_one_issuer_verifies_no_token_of_another(verify: Verify, ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    theirs.rotate_keys(overlap=False)
    claims = {"iss": f"{ours.authority}/v2.0", "tid": ours.tenant_id, "aud": ours.api.client_id}
    forged = theirs.token(claims=claims)
    assert reason(verify, both, forged) == "unknown_key"


def test_tokens_of_an_unknown_issuer_are_refused_by_the_first_guard(
    verify: Verify, ours: Entra, theirs: Entra
) -> None:
    both = ours.guard() | theirs.guard()
    assert reason(verify, both, ours.token(preset="wrong-iss")) == "wrong_issuer"
    assert reason(verify, both, ours.token(preset="other-tenant")) == "wrong_tenant"
    assert reason(verify, both, ours.token(preset="wrong-aud")) == "wrong_audience"
    assert reason(verify, both, "opaque") == "not_a_jwt"
    assert reason(verify, both, "YQ.YQ.YQ") == "not_a_jwt"


def test_junk_causes_no_fetch(verify: Verify, ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    for token in ("opaque", "a.b.c", "a" * 100_000, ours.token(preset="wrong-aud")):
        reason(verify, both, token)
    assert theirs.count("configuration") == 0


def test_an_outage_of_one_issuer_does_not_affect_the_other(
    verify: Verify, ours: Entra, theirs: Entra
) -> None:
    both = ours.guard() | theirs.guard()
    with theirs.failing("configuration", "500"):
        assert verify(both, ours.token()).app_id == ours.caller.client_id
        assert reason(verify, both, theirs.token()) == "keys_unavailable"
        assert both.health().status == "degraded"
        assert both.health().ready
    with ours.failing("keys", "500"):
        other = ours.guard() | ours.guard()
        assert reason(verify, other, ours.token()) == "keys_unavailable"


@pytest.mark.parametrize("first", [0, 1])
def test_guards_of_one_issuer_are_selected_by_audience(verify: Verify, ours: Entra, first: int) -> None:
    billing = ours.register_app("Billing", app_roles=["Bills.Read"])
    guards = [ours.guard(), ours.guard(audience=billing.client_id)]
    both = guards[first] | guards[1 - first]
    assert verify(both, ours.token()).app_id
    assert verify(both, ours.token(audience=billing, roles=["Bills.Read"])).roles == ("Bills.Read",)
    assert reason(verify, both, ours.token(preset="wrong-aud")) == "wrong_audience"


def test_guards_of_one_issuer_are_selected_by_tenant(verify: Verify, ours: Entra) -> None:
    other = ours.add_tenant("Litware")
    many = Tenants.only(FABRIKAM, other.id)
    both = ours.guard(tenant=Tenants.only(ours.tenant_id, other.id)) | ours.guard(tenant=many)
    assert verify(both, ours.token(tenant=FABRIKAM, roles=["Orders.Read"])).tenant_id == FABRIKAM
    assert verify(both, ours.token()).tenant_id == ours.tenant_id


def test_any_number_of_guards_can_be_combined(ours: Entra, theirs: Entra) -> None:
    one, two, three = ours.guard(), theirs.guard(), ours.guard(audience="api://third")
    assert (one | two | three).guards == (one | (two | three)).guards == (one, two, three)


def test_a_combination_of_no_guards_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one guard"):
        CombinedGuard()


def test_only_guards_can_be_combined(ours: Entra) -> None:
    for stranger in (None, "https://issuer.example"):
        with pytest.raises(ConfigurationError, match="combined with guards only, got"):
            ours.guard() | stranger  # type: ignore[operator]


def test_explain_uses_the_guard_that_decides(ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    assert both.explain(theirs.token()).accepted
    expired = both.explain(theirs.token(preset="expired"))
    assert expired.reason == "expired"
    assert [step.verdict for step in expired.steps if step.name == "issuer"] == ["pass"]
    assert both.explain("opaque").reason == "not_a_jwt"


def test_health_combines_all_guards(ours: Entra, theirs: Entra) -> None:
    both = ours.guard() | theirs.guard()
    both.verify(ours.token())
    both.verify(theirs.token())
    health = both.health()
    assert (health.status, health.ready) == ("ok", True)
    assert health.issuer == f"{ours.authority}/v2.0 {theirs.authority}/v2.0"
    assert health.as_dict()["kids"]


def test_an_openid_issuer_can_be_combined_with_entra(ours: Entra) -> None:
    other = Guard(authority=Authority.openid("https://issuer.example"), audience="orders")
    assert (ours.guard() | other).verify(ours.token()).is_app


# --- expiry ---


def test_a_combined_guard_knows_how_long_a_token_of_each_issuer_is_accepted(
    verify: Verify, ours: Entra, theirs: Entra
) -> None:
    now = ours.now()
    both = ours.guard(clock=lambda: now, leeway=10) | theirs.guard(clock=lambda: now, leeway=20)
    for entra, leeway in ((ours, 10), (theirs, 20)):
        principal = verify(both, entra.token())
        assert both.seconds_left(principal) == principal.expires_at + leeway - now


def test_a_token_that_ends_is_refused_by_a_combined_guard_although_it_is_cached(
    verify: Verify, ours: Entra, theirs: Entra
) -> None:
    now = [ours.now()]
    both = ours.guard(clock=lambda: now[0], leeway=0) | theirs.guard(clock=lambda: now[0], leeway=0)
    for entra in (ours, theirs):
        token = entra.token()
        ends = verify(both, token).expires_at
        verify(both, token)
        before, now[0] = now[0], ends
        assert reason(verify, both, token) == "expired"
        now[0] = before


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("first", [True, False], ids=["of the first guard", "of the second guard"])
def test_a_websocket_behind_a_combined_guard_is_closed_when_its_token_expires(
    ours: Entra, theirs: Entra, backend: str, first: bool
) -> None:
    entra = ours if first else theirs
    token = entra.token()
    nearly = entra.guard().verify(token).expires_at - 0.02
    both = ours.guard(clock=lambda: nearly, leeway=0) | theirs.guard(clock=lambda: nearly, leeway=0)
    sent: list[dict[str, Any]] = []

    async def endless(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()

    async def main() -> None:
        async def send(message: dict[str, Any]) -> None:
            sent.append(dict(message))

        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "websocket", "path": "/", "headers": headers}
        with anyio.fail_after(30):
            await GuardMiddleware(endless, guard=both)(scope, anyio.sleep_forever, send)

    anyio.run(main, backend=backend)
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1008, "reason": "expired"},
    ]
