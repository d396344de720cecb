"""Guest users: what a token says about them, and where they are refused."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from entra_guard import AccessError, ConfigurationError, Guard, Requirement, Tenants, requires
from entra_guard._validation.openid_claims import OpenIdClaims
from entra_guard.asgi import GuardMiddleware
from entra_guard.policy import PERSONAL_TENANT
from entra_guard.reasons import REASONS

ELSEWHERE = "f4b81ca4-77d5-4c5a-8d4f-0123456789ab"


def user_token(entra, **claims):
    return entra.token(user="alice", scopes=["Orders.Read"], claims=claims)


@pytest.mark.parametrize(
    ("claims", "is_guest"),
    [
        ({}, None),
        ({"acct": 0}, False),
        ({"acct": 1}, True),
        ({"acct": "1"}, True),
        ({"acct": 2}, None),
        ({"acct": True}, None),
        ({"acct": [1]}, None),
        ({"idp": "https://sts.windows.net/{tenant}/"}, False),
        ({"idp": "https://login.microsoftonline.com/{TENANT}/v2.0"}, False),
        ({"idp": f"https://sts.windows.net/{ELSEWHERE}/"}, True),
        ({"idp": "live.com"}, True),
        ({"idp": "mail"}, True),
        ({"idp": ""}, None),
        ({"idp": 7}, None),
        ({"acct": 0, "idp": f"https://sts.windows.net/{ELSEWHERE}/"}, False),
        ({"acct": 1, "idp": "https://sts.windows.net/{tenant}/"}, True),
    ],
)
def test_a_token_says_whether_its_user_is_a_guest(entra, claims, is_guest):
    tenant = entra.tenant_id
    named = {
        name: value.replace("{tenant}", tenant).replace("{TENANT}", tenant.upper())
        if isinstance(value, str)
        else value
        for name, value in claims.items()
    }
    assert entra.guard().verify(user_token(entra, **named)).is_guest is is_guest


def test_the_emulators_guests_are_guests(entra):
    preset = entra.token(preset="guest", user="alice", scopes=["Orders.Read"])
    assert entra.guard().verify(preset).is_guest is True


@pytest.mark.parametrize("claims", [{}, {"idp": "live.com"}, {"acct": 1}])
def test_applications_and_personal_accounts_are_not_guests(entra, claims):
    assert entra.guard().verify(entra.token(claims=claims)).is_guest is False
    personal = entra.token(preset="msa-user", claims=claims)
    principal = entra.guard(tenant=Tenants.everyone("a test")).verify(personal)
    assert (principal.tenant_id, principal.is_guest) == (PERSONAL_TENANT, False)


def test_other_issuers_have_no_guests():
    assert OpenIdClaims(sub="user", raw={"acct": 0, "gty": "password"}).is_guest is None


@pytest.mark.parametrize("claims", [{}, {"acct": 1}, {"idp": f"https://sts.windows.net/{ELSEWHERE}/"}])
def test_a_guard_refuses_guests_and_users_who_may_be_guests(entra, claims):
    with pytest.raises(AccessError) as caught:
        entra.guard(guests=False).verify(user_token(entra, **claims))
    assert (caught.value.reason, caught.value.status) == ("guest_not_allowed", 403)
    assert "'acct'" in caught.value.report()


def test_a_guard_without_guests_accepts_members_and_applications(entra):
    guard = entra.guard(guests=False)
    assert guard.verify(user_token(entra, acct=0)).is_guest is False
    assert guard.verify(entra.token()).is_app


def test_guests_pass_by_default(entra):
    assert entra.guard().verify(user_token(entra, acct=1)).is_guest


def test_explain_says_what_it_found(entra):
    explanation = entra.guard(guests=False).explain(user_token(entra))
    [step] = [step for step in explanation.steps if step.name == "guest"]
    assert (step.verdict, step.expected, step.found) == (
        "fail",
        "a member of the tenant",
        "unknown: no acct, no idp",
    )


def test_a_policy_keeps_the_setting(entra):
    assert Guard.from_policy(entra.guard(guests=False).policy, authority=entra.url).policy.guests is False


def test_a_requirement_refuses_guests(entra):
    members = Requirement(guests=False)
    verify = entra.guard().verify
    members.check(verify(user_token(entra, acct=0)))
    members.check(verify(entra.token()))
    for claims in ({}, {"acct": 1}):
        with pytest.raises(AccessError, match="guest_not_allowed"):
            members.check(verify(user_token(entra, **claims)))


def test_no_other_requirement_is_needed_beside_guests():
    assert Requirement(guests=False) == Requirement(guests=False)
    with pytest.raises(ConfigurationError, match="not both"):
        requires(Requirement(roles=["a"]), guests=False)


@pytest.mark.parametrize("where", ["middleware", "route"])
def test_an_application_or_a_route_refuses_guests(entra, where):
    async def orders(_request):
        return PlainTextResponse("orders")

    endpoint = requires(guests=False)(orders) if where == "route" else orders
    app = Starlette(routes=[Route("/", endpoint)])
    settings = {"guests": False} if where == "middleware" else {}
    app.add_middleware(GuardMiddleware, guard=entra.guard(), **settings)
    client = TestClient(app)
    statuses = [
        client.get("/", headers={"Authorization": f"Bearer {user_token(entra, **claims)}"}).status_code
        for claims in ({"acct": 0}, {"acct": 1}, {})
    ]
    assert statuses == [200, 403, 403]


def test_the_client_is_told_a_constant_sentence():
    assert REASONS["guest_not_allowed"].client == "Guest users may not call this operation."


@pytest.mark.parametrize("value", ["false", 0, None])
def test_the_setting_is_a_boolean(entra, value):
    with pytest.raises(ConfigurationError, match="guests must be True or False"):
        entra.guard(guests=value)
    with pytest.raises(ConfigurationError, match="guests must be True or False"):
        Requirement(roles=["a"], guests=value)


@pytest.mark.parametrize(("text", "guests"), [("true", True), ("False", False)])
def test_the_environment_can_refuse_guests(entra, text, guests):
    environ = {
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUDIENCE": entra.api.client_id,
        "ENTRA_GUARD_GUESTS": text,
    }
    assert Guard.from_env(environ).policy.guests is guests
    for wrong in ("no", ""):
        with pytest.raises(ConfigurationError, match="ENTRA_GUARD_GUESTS must be true or false"):
            Guard.from_env(environ | {"ENTRA_GUARD_GUESTS": wrong})
