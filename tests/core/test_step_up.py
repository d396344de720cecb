"""Step-up: a route requires an authentication context or a recent sign-in, and says how to get it."""

from __future__ import annotations

import base64
import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msal
import pytest
from openid_issuer import PERSON, OpenIdIssuer, accepted
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from entra_guard import AccessError, ConfigurationError, Principal, Requirement, requires
from entra_guard._common.step_up import authorization_uri, missing_sign_in, takes_claims_challenge
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from entra_guard import Guard

ISSUER = "https://idp.example/realms/demo"


def caller(entra: Entra, **claims: Any) -> Principal:
    return entra.principal(user="alice", scopes=["Orders.Read"], claims=claims)


def refusal_of(requirement: Requirement, principal: Principal) -> AccessError | None:
    try:
        requirement.check(principal)
    except AccessError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("claims", "context", "max_age", "is_entra", "reason"),
    [
        ({"acrs": ["c1"]}, "c1", None, True, ""),
        ({"acrs": ["c2", "c1"]}, "c1", None, True, ""),
        ({"acrs": "c1"}, "c1", None, True, ""),
        ({"acrs": ["c10"]}, "c1", None, True, "auth_context_required"),
        ({"acrs": "c10"}, "c1", None, True, "auth_context_required"),
        ({"acrs": {"c1": 1}}, "c1", None, True, "auth_context_required"),
        ({"acr": "c1"}, "c1", None, True, "auth_context_required"),
        ({}, "c1", None, True, "auth_context_required"),
        ({"acr": "gold"}, "gold", None, False, ""),
        ({"acrs": ["gold"]}, "gold", None, False, "auth_context_required"),
        ({"auth_time": 900}, "", 100, False, ""),
        ({"auth_time": 899}, "", 100, False, "sign_in_too_old"),
        ({"auth_time": 899.5}, "", 100, False, "sign_in_too_old"),
        ({"auth_time": True}, "", 1e9, False, "sign_in_too_old"),
        ({"auth_time": "999"}, "", 100, False, "sign_in_too_old"),
        ({}, "", 100, False, "sign_in_too_old"),
        ({"acr": "gold"}, "gold", 100, False, "sign_in_too_old"),
    ],
)
def test_a_sign_in_suffices_only_by_the_claim_that_says_so(claims, context, max_age, is_entra, reason):
    assert missing_sign_in(claims, context, max_age, 1000.0, is_entra=is_entra) == reason


@pytest.mark.parametrize(
    ("xms_cc", "takes"),
    [
        (["cp1"], True),
        (["CP1", "x"], True),
        ("cp1", True),
        (["cp2"], False),
        (None, False),
        ({"cp1": 1}, False),
    ],
)
def test_a_client_takes_challenges_if_its_token_has_cp1(xms_cc, takes):
    assert takes_claims_challenge({"xms_cc": xms_cc}) is takes


def test_a_capable_client_is_sent_the_claims_that_msal_takes(entra: Entra):
    error = refusal_of(Requirement(auth_context="c1"), caller(entra, xms_cc=["cp1"]))
    assert error is not None
    assert (error.status, error.reason) == (401, "auth_context_required")
    challenge = error.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in challenge
    assert f'authorization_uri="{entra.url}/{entra.tenant_id}/oauth2/v2.0/authorize"' in challenge
    (encoded,) = re.findall(r'claims="([^"]+)"', challenge)
    assert base64.b64decode(encoded) == b'{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    assert "advice" not in error.facts


def test_another_client_gets_no_claims_and_the_operator_the_reason(entra: Entra):
    error = refusal_of(Requirement(auth_context="c1"), caller(entra, acrs=["c2"]))
    assert error is not None
    assert error.status == 401
    assert error.headers["www-authenticate"] == (
        'Bearer error="insufficient_claims", error_description="The operation requires a stronger sign-in."'
    )
    assert (error.facts["needs"], error.facts["has"]) == ("c1", ["c2"])
    assert "optional claim 'xms_cc'" in error.report()


def test_an_application_cannot_step_up(entra: Entra):
    error = refusal_of(Requirement(auth_context="c1"), entra.principal(roles=["Orders.Read"]))
    assert error is not None
    assert (error.status, error.reason) == (403, "user_token_required")


def test_a_permission_is_checked_first_as_no_sign_in_helps_without(entra: Entra):
    error = refusal_of(Requirement(scopes=["Orders.Write"], auth_context="c1"), caller(entra))
    assert error is not None
    assert error.reason == "missing_scope"


@pytest.mark.parametrize("settings", [{"max_age": 300}, {"auth_context": "gold"}])
def test_what_entra_does_not_have_is_a_configuration_error(entra: Entra, settings: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="Entra"):
        Requirement(roles=["Orders.Write"], **settings).check(caller(entra))


@pytest.mark.parametrize(
    "settings",
    [
        {"auth_context": value}
        for value in ("C1", "c0", "c100", "1", " c1", "c01", "c1 c2", 'a"b', 1, None, ["c1"])
    ]
    + [{"max_age": value} for value in (-1, "300", True, float("nan"))]
    + [{"app_only": True, "auth_context": "c1"}, {"app_only": True, "max_age": 5}],
)
def test_a_setting_that_no_token_can_meet_is_refused(settings: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        requires(**settings)


def test_a_dependency_refuses_at_once_what_its_guard_cannot_have(entra: Entra):
    bearer = EntraBearer(entra.guard())
    assert bearer.requires(auth_context="c1")
    for build in (bearer.requires, partial(GuardMiddleware, protected(entra.guard()), guard=entra.guard())):
        for settings in ({"max_age": 300}, {"auth_context": "gold"}):
            with pytest.raises(ConfigurationError, match="Entra"):
                build(**settings)


def test_a_whole_application_can_require_a_context(entra: Entra):
    async def hello(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = GuardMiddleware(Starlette(routes=[Route("/", hello)]), guard=entra.guard(), auth_context="c1")
    with TestClient(app) as api:
        for contexts, status in ((["c1"], 200), (["c2"], 401)):
            token = entra.token(user="alice", scopes=["Orders.Read"], claims={"acrs": contexts})
            assert api.get("/", headers={"authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize(
    ("issuer", "endpoint"),
    [
        (
            "https://login.microsoftonline.us/t/v2.0",
            "https://login.microsoftonline.us/t/oauth2/v2.0/authorize",
        ),
        ("https://sts.windows.net/t/", ""),
    ],
)
def test_the_challenge_names_the_authorize_endpoint_where_it_is_known(issuer: str, endpoint: str):
    assert authorization_uri({"iss": issuer}) == endpoint


def test_another_issuer_gets_the_challenge_of_rfc_9470():
    claims = {"auth_time": int(time.time()) - 1000, "acr": "silver", "scope": "Orders.Read", "sub": PERSON}
    principal = accepted(OpenIdIssuer(ISSUER), claims, typ="at+jwt")
    error = refusal_of(Requirement(auth_context="gold", max_age=300), principal)
    assert error is not None
    assert error.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", '
        'error_description="The operation requires a stronger sign-in.", acr_values="gold", max_age="300"'
    )
    assert refusal_of(Requirement(auth_context="silver", max_age=1100), principal) is None


def test_msal_answers_the_challenge_with_a_token_that_passes(monkeypatch: pytest.MonkeyPatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests prefers them to msal's own setting
        monkeypatch.delenv(name, raising=False)
    entra = Entra(app_roles=["Orders.Read"], scopes=["Orders.Read"], https=True)
    entra.update_app(entra.api, optional_claims=["xms_cc"])
    shop = entra.register_app("Shop", identifier_uris=(), public_client=True)
    entra.start()
    try:
        application = msal.PublicClientApplication(
            shop.client_id,
            authority=f"{entra.https_url}/{entra.tenant_id}",
            verify=str(entra.ca_bundle),
            instance_discovery=False,
            client_capabilities=["cp1"],
        )
        wanted = [f"{entra.api.app_id_uri}/Orders.Read"]
        flow = application.initiate_device_flow(wanted)
        entra.approve_device(flow["user_code"], "alice")
        first = application.acquire_token_by_device_flow(flow)["access_token"]
        with TestClient(protected(https_guard(entra))) as api:
            refused = api.get("/payments", headers={"authorization": f"Bearer {first}"})
            assert refused.status_code == 401, refused.text
            (encoded,) = re.findall(r'claims="([^"]+)"', refused.headers["www-authenticate"])
            claims = base64.b64decode(encoded).decode()
            (account,) = application.get_accounts()
            second = application.acquire_token_silent(wanted, account, claims_challenge=claims)
            headers = {"authorization": f"Bearer {second['access_token']}"}
            assert api.get("/payments", headers=headers).text == '["c1"]'
    finally:
        entra.stop()


def https_guard(entra: Entra) -> Guard:
    return entra.guard(authority=entra.https_url, ssl_context=entra.ssl_context())


def protected(guard: Guard) -> Starlette:
    @requires(auth_context="c1")
    async def payments(request: Any) -> PlainTextResponse:
        return PlainTextResponse(json.dumps(request.user.claims["acrs"]))

    app = Starlette(routes=[Route("/payments", payments)])
    app.add_middleware(GuardMiddleware, guard=guard)
    return app
