"""Sign-in: the page, the code, the tokens, refresh, on-behalf-of, device code, admin consent."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from emulator_requests import published_keys, request_token, verified_claims

from entra_guard.emulator import CONSUMERS, CONTOSO, FABRIKAM, GRAPH, Emulator, Scope

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import AppRegistration
    from entra_guard.testing import Entra

CALLBACK = "https://app.example/callback"
PAGE = "https://page.example/"
VERIFIER = "a-verifier-that-is-long-enough-to-be-one-1234567890"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def web_app(entra: Entra) -> AppRegistration:
    return entra.register_app("Shop", identifier_uris=(), redirect_uris=[CALLBACK])


@pytest.fixture
def spa(entra: Entra) -> AppRegistration:
    return entra.register_app("Page", identifier_uris=(), spa_redirect_uris=[PAGE])


def scope(entra: Entra, *more: str) -> str:
    return " ".join([f"{entra.api.app_id_uri}/access_as_user", *more])


def authorize(entra: Entra, app: AppRegistration, *, tenant: str = CONTOSO, **changes: Any) -> httpx.Response:
    usual = {
        "client_id": app.client_id,
        "response_type": "code",
        "scope": scope(entra, "openid"),
        "state": "s&1",
    }
    fields = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    return entra.http_client.get(f"/{tenant}/oauth2/v2.0/authorize", params=fields)


def pick(entra: Entra, shown: httpx.Response, **choice: str) -> httpx.Response:
    """Submit the page's form as a browser does when a button is pressed; accept the permissions then."""
    assert shown.status_code == 200
    following = press(entra, shown, **choice)
    if "user" in choice and following.status_code == 200 and "Permissions requested" in following.text:
        return press(entra, following, decision="accept")
    return following


def press(entra: Entra, shown: httpx.Response, **choice: str) -> httpx.Response:
    action = re.findall(r'<form method="post" action="([^"]+)"', shown.text)[0]
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text)
    fields = {html.unescape(name): html.unescape(value) for name, value in hidden}
    return entra.http_client.post(action, data={**fields, **choice})


def answer(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 302, response.text
    parts = urlsplit(response.headers["location"])
    return {name: values[0] for name, values in parse_qs(parts.query or parts.fragment).items()}


def redeem(
    entra: Entra, app: AppRegistration, code: str, *, origin: str | None = None, **changes: Any
) -> httpx.Response:
    usual = {"grant_type": "authorization_code", "client_id": app.client_id, "code": code}
    uris = (*app.redirect_uris, *app.spa_redirect_uris, *app.public_redirect_uris)
    fields = {name: v for name, v in {**usual, "redirect_uri": uris[0], **changes}.items() if v is not None}
    headers = {"origin": origin} if origin else {}
    return entra.http_client.post(
        f"/{changes.get('tenant', CONTOSO)}/oauth2/v2.0/token", data=fields, headers=headers
    )


def payload(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_picking_an_account_redirects_with_a_code_that_gets_tokens(
    entra: Entra, web_app: AppRegistration
) -> None:
    secret = entra.add_secret(web_app)
    shown = authorize(entra, web_app, scope=scope(entra, "openid", "profile", "offline_access"), nonce="n1")
    alice = entra.find_user("alice")
    assert "Pick an account" in shown.text
    assert all(name in shown.text for name in ("Shop", "Alice Adams", "Bob Brown", "access_as_user"))
    asked = press(entra, shown, user=alice.id)
    for text in ("Permissions requested", "access_as_user", "Read your name", "Accept"):
        assert text in asked.text
    back = answer(press(entra, asked, decision="accept"))
    assert back["state"] == "s&1"
    tokens = redeem(entra, web_app, back["code"], client_secret=secret.value, client_info="1").json()
    assert list(tokens) == [
        *("token_type", "scope", "expires_in", "ext_expires_in", "access_token", "refresh_token", "id_token"),
        "client_info",
    ]
    assert tokens["scope"] == f"openid profile {scope(entra)}"
    claims = verified_claims(entra, tokens["access_token"])
    assert (claims["scp"], claims["oid"], claims["azpacr"]) == ("access_as_user", alice.id, "1")
    identity = verified_claims(entra, tokens["id_token"], web_app.client_id)
    assert (identity["nonce"], identity["oid"], identity["ver"]) == ("n1", alice.id, "2.0")
    assert json.loads(base64.urlsafe_b64decode(tokens["client_info"] + "==")) == {
        "uid": alice.id,
        "utid": CONTOSO,
    }


@pytest.mark.parametrize(("mode", "where"), [("query", "query"), ("fragment", "fragment")])
def test_the_response_mode_decides_how_fields_are_sent(
    entra: Entra, web_app: AppRegistration, mode: str, where: str
) -> None:
    back = authorize(entra, web_app, response_mode=mode, prompt="none", login_hint="nobody")
    parts = urlsplit(back.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
    assert "error=login_required" in getattr(parts, where)


def test_form_post_sends_the_fields_from_a_page(entra: Entra, web_app: AppRegistration) -> None:
    shown = authorize(entra, web_app, response_mode="form_post")
    back = pick(entra, shown, user=entra.find_user("bob").id)
    assert f'action="{CALLBACK}"' in back.text
    assert 'name="code"' in back.text
    assert 'value="s&amp;1"' in back.text


def test_cancelling_redirects_with_an_error(entra: Entra, web_app: AppRegistration) -> None:
    back = answer(pick(entra, authorize(entra, web_app), decision="cancel"))
    assert (back["error"], back["state"]) == ("access_denied", "s&1")
    assert back["error_description"].startswith("AADSTS65004")


def test_prompt_none_signs_in_the_hinted_user_if_consent_exists(
    entra: Entra, web_app: AppRegistration
) -> None:
    silent = {"prompt": "none", "login_hint": "alice"}
    assert answer(authorize(entra, web_app, **silent))["error"] == "consent_required"
    entra.grant_delegated(web_app, entra.api, "access_as_user")
    assert "code" in answer(authorize(entra, web_app, **silent))
    assert answer(authorize(entra, web_app, prompt="none"))["error"] == "login_required"


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"client_id": "5f3d0c2e-1111-4222-8333-444455556666"}, 700016),
        ({"client_id": None}, 900144),
        ({"redirect_uri": "https://attacker.example/"}, 50011),
        ({"redirect_uri": f"{CALLBACK}/more"}, 50011),
        ({"tenant": "nowhere"}, 90002),
        ({"tenant": "common"}, 50194),
    ],
)
def test_an_error_without_a_valid_redirect_uri_is_shown_on_a_page(
    entra: Entra, web_app: AppRegistration, change: dict[str, Any], number: int
) -> None:
    response = authorize(entra, web_app, **change)
    assert response.status_code == 400
    assert f"AADSTS{number}" in response.text
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "api://a/x api://b/y"}, "invalid_scope"),
        ({"code_challenge": "x", "code_challenge_method": "S512"}, "invalid_grant"),
        ({"resource": "https://tasks.example/mcp"}, "invalid_target"),
        ({"resource": "https://graph.microsoft.com/"}, "invalid_target"),
    ],
)
def test_other_errors_are_redirected_to_the_client(
    entra: Entra, web_app: AppRegistration, change: dict[str, Any], error: str
) -> None:
    assert answer(authorize(entra, web_app, **change))["error"] == error


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("{0}/nothing", "invalid_client"),
        ("api://nothing/x", "invalid_resource"),
        ("{0}/admin", "consent_required"),
    ],
)
def test_missing_admin_consent_is_redirected_to_the_client(
    entra: Entra, web_app: AppRegistration, asked: str, error: str
) -> None:
    entra.update_app(entra.api, scopes=(Scope(str(uuid.uuid4()), "admin", "Admin"),))
    shown = authorize(entra, web_app, scope=asked.format(entra.api.app_id_uri))
    assert answer(pick(entra, shown, user=entra.find_user("alice").id))["error"] == error


def test_an_account_that_was_not_offered_is_refused(entra: Entra, web_app: AppRegistration) -> None:
    abroad = entra.find_user("carol", FABRIKAM)
    back = answer(pick(entra, authorize(entra, web_app), user=abroad.id))
    assert back["error"] == "login_required"


def test_an_app_that_requires_assignment_refuses_unassigned_users(entra: Entra) -> None:
    closed = entra.register_app(
        "Closed", app_roles=["Enter"], redirect_uris=[CALLBACK], assignment_required=True
    )
    entra.assign("alice", closed, "Enter")
    for name, expected in (("alice", "code"), ("bob", "error")):
        shown = authorize(entra, closed, scope="openid")
        assert expected in answer(pick(entra, shown, user=entra.find_user(name).id))


def test_the_page_has_a_strict_policy_and_valid_markup(entra: Entra) -> None:
    app = entra.register_app("<script>alert(1)</script>", redirect_uris=[CALLBACK])
    shown = authorize(entra, app, state='"><script>alert(2)</script>')
    assert "<script>" not in shown.text
    assert 'lang="en"' in shown.text
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy


def test_the_offered_accounts_depend_on_the_sign_in_audience(entra: Entra) -> None:
    def offered(accounts: Any, tenant: str) -> set[str]:
        app = entra.register_app("App", accounts=accounts, redirect_uris=[CALLBACK])
        shown = authorize(entra, app, tenant=tenant, scope="openid").text
        return {name for name in ("Alice", "Dave") if name in shown}

    everyone = "AzureADandPersonalMicrosoftAccount"
    assert offered(everyone, "common") == {"Alice", "Dave"}
    assert offered(everyone, "organizations") == {"Alice"}
    assert offered(everyone, "consumers") == {"Dave"}
    assert offered("PersonalMicrosoftAccount", "common") == {"Dave"}
    assert offered("AzureADMultipleOrgs", "common") == {"Alice"}
    assert offered("AzureADMyOrg", CONTOSO) == {"Alice"}


def test_a_personal_account_gets_its_tokens_from_its_own_tenant(entra: Entra) -> None:
    app = entra.register_app(
        "Shop", accounts="AzureADandPersonalMicrosoftAccount", scopes=["use"], public_redirect_uris=[CALLBACK]
    )
    shown = authorize(entra, app, tenant="common", scope=f"openid {app.app_id_uri}/use")
    dave = entra.find_user("dave", CONSUMERS)
    code = answer(pick(entra, shown, user=dave.id))["code"]
    tokens = redeem(entra, app, code, tenant="common").json()
    key = published_keys(entra)[jwt.get_unverified_header(tokens["access_token"])["kid"]]
    claims = jwt.decode(tokens["access_token"], key, audience=app.client_id, algorithms=["RS256"])
    assert claims["iss"] == f"{entra.url}/{CONSUMERS}/v2.0"
    assert (
        jwt.decode(tokens["id_token"], key, audience=app.client_id, algorithms=["RS256"])["tid"] == CONSUMERS
    )


def test_a_page_redeems_its_code_with_pkce_from_its_own_origin(entra: Entra, spa: AppRegistration) -> None:
    def code(challenge: str = CHALLENGE, method: str = "S256") -> str:
        return entra.sign_in(spa, scope=scope(entra), code_challenge=challenge, code_challenge_method=method)

    origin, proof = "https://page.example", {"code_verifier": VERIFIER}
    good = redeem(entra, spa, code(), origin=origin, **proof)
    assert good.status_code == 200
    assert good.headers["access-control-allow-origin"] == origin
    assert payload(good.json()["access_token"])["azpacr"] == "0"
    assert redeem(entra, spa, code("plain", "plain"), origin=origin, code_verifier="plain").status_code == 200
    assert redeem(entra, spa, code(), **proof).json()["error_codes"] == [9002327]
    assert redeem(entra, spa, code(), origin=origin).json()["error_codes"] == [501481]
    assert redeem(entra, spa, code(), origin=origin, code_verifier="no").json()["error_codes"] == [501481]
    assert redeem(entra, spa, code(""), origin=origin).json()["error_codes"] == [9002325]
    secret = redeem(entra, spa, code(), origin=origin, client_secret="x", **proof)
    assert secret.json()["error_codes"] == [700025]
    assert secret.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("basic", [False, True])
def test_a_page_cannot_read_the_tokens_of_another_client(
    entra: Entra, spa: AppRegistration, basic: bool
) -> None:
    client, secret = entra.caller.client_id, entra.secret.value
    fields = {"grant_type": "client_credentials", "scope": entra.api.default_scope}
    own = {} if basic else {"client_id": client, "client_secret": secret}
    issued = entra.http_client.post(
        f"/{CONTOSO}/oauth2/v2.0/token",
        data=fields | own,
        auth=(client, secret) if basic else None,
        headers={"origin": "https://page.example"},
    )
    assert issued.status_code == 200
    assert spa.spa_redirect_uris[0].startswith("https://page.example")
    assert "access-control-allow-origin" not in issued.headers


def test_only_registered_pages_may_read_the_token_endpoint(entra: Entra, spa: AppRegistration) -> None:
    def preflight(origin: str) -> httpx.Response:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        asked = {**headers, "access-control-request-headers": "x-requested-with"}
        return entra.http_client.request("OPTIONS", f"/{CONTOSO}/oauth2/v2.0/token", headers=asked)

    allowed = preflight("https://page.example")
    assert (allowed.status_code, allowed.headers["access-control-allow-headers"]) == (204, "x-requested-with")
    assert preflight("https://attacker.example").status_code == 403
    foreign = entra.http_client.post(
        f"/{CONTOSO}/oauth2/v2.0/token", headers={"origin": "https://attacker.example"}
    )
    assert "access-control-allow-origin" not in foreign.headers
    document = entra.http_client.get("/common/discovery/v2.0/keys", headers={"origin": "https://any.example"})
    assert document.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("where", ["authorize", "token"])
def test_a_claims_parameter_requests_an_authentication_context(
    entra: Entra, web_app: AppRegistration, where: str
) -> None:
    wanted = {"claims": '{"access_token":{"acrs":{"essential":true,"values":["c1","c2"]}}}'}
    shown = authorize(entra, web_app, login_hint="alice", **(wanted if where == "authorize" else {}))
    code = answer(pick(entra, shown, user=entra.find_user("alice").id))["code"]
    secret = entra.add_secret(web_app).value
    tokens = redeem(entra, web_app, code, client_secret=secret, **(wanted if where == "token" else {})).json()
    assert verified_claims(entra, tokens["access_token"])["acrs"] == ["c1", "c2"], tokens


def test_a_server_redeems_its_code_with_its_secret_but_not_from_a_browser(
    entra: Entra, web_app: AppRegistration
) -> None:
    secret = entra.add_secret(web_app)

    def refused(**changes: Any) -> Any:
        return redeem(entra, web_app, entra.sign_in(web_app, scope=scope(entra)), **changes).json()[
            "error_codes"
        ]

    assert refused() == [7000218]
    assert refused(client_secret="wrong") == [7000215]
    assert refused(client_secret=secret.value, origin="https://app.example") == [9002326]
    assert refused(client_secret=secret.value, redirect_uri="https://app.example/other") == [500112]
    assert redeem(entra, web_app, "x", client_secret=secret.value).json()["error_codes"] == [70000]
    other = {"client_id": entra.caller.client_id, "client_secret": entra.secret.value}
    assert refused(**other) == [70000]


def test_a_code_is_valid_once_and_for_ten_minutes(entra: Entra, web_app: AppRegistration) -> None:
    secret = entra.add_secret(web_app).value
    code = entra.sign_in(web_app, scope=scope(entra))
    assert redeem(entra, web_app, code, client_secret=secret).status_code == 200
    assert redeem(entra, web_app, code, client_secret=secret).json()["error_codes"] == [54005]
    late = entra.sign_in(web_app, scope=scope(entra))
    entra.advance(601)
    assert redeem(entra, web_app, late, client_secret=secret).json()["error_codes"] == [70008]


def test_a_public_client_may_use_any_port_of_localhost(entra: Entra) -> None:
    app = entra.register_app("Desktop", identifier_uris=(), public_redirect_uris=["http://localhost"])
    for uri in ("http://localhost:53124", "http://localhost:80/"):
        code = entra.sign_in(app, scope=scope(entra), redirect_uri=uri)
        assert redeem(entra, app, code, redirect_uri=uri).status_code == 200
    assert authorize(entra, app, redirect_uri="http://localhost:1/other").status_code == 400
    assert authorize(entra, app, redirect_uri="http://127.0.0.1:1/").status_code == 400


def refresh(
    entra: Entra, app: AppRegistration, token: str, *, origin: str | None = None, **more: Any
) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": token, **more}
    return entra.http_client.post(
        f"/{CONTOSO}/oauth2/v2.0/token", data=form, headers={"origin": origin} if origin else {}
    )


@pytest.fixture
def desktop(entra: Entra) -> tuple[AppRegistration, str]:
    """A public client and a refresh token of alice."""
    app = entra.register_app("Desktop", identifier_uris=(), public_redirect_uris=["http://localhost"])
    code = entra.sign_in(app, scope=scope(entra, "offline_access"))
    return app, redeem(entra, app, code).json()["refresh_token"]


def test_a_refresh_token_gets_new_tokens_and_a_new_refresh_token(entra: Entra, desktop: Any) -> None:
    app, token = desktop
    first = refresh(entra, app, token).json()
    assert first["refresh_token"] != token
    assert payload(first["access_token"])["scp"] == "access_as_user"
    assert refresh(entra, app, token).status_code == 200
    entra.grant_delegated(app, GRAPH, "User.Read")
    other = refresh(entra, app, token, scope="https://graph.microsoft.com/User.Read").json()
    assert (payload(other["access_token"])["scp"], other["scope"]) == (
        "User.Read",
        "https://graph.microsoft.com/User.Read",
    )


def test_a_refresh_token_is_valid_for_ninety_days_for_one_client_until_revoked(
    entra: Entra, desktop: Any
) -> None:
    app, token = desktop
    assert refresh(entra, app, "nonsense").json()["error_codes"] == [9002313]
    assert refresh(entra, entra.caller, token).json()["error_codes"] == [70000]
    assert refresh(entra, app, token, scope=f"{entra.api.app_id_uri}/nothing").json()["error_codes"] == [
        650053
    ]
    entra.revoke(entra.find_user("alice"))
    assert refresh(entra, app, token).json()["error_codes"] == [50173]
    code = entra.sign_in(app, scope=scope(entra, "offline_access"))
    fresh = redeem(entra, app, code).json()["refresh_token"]
    assert refresh(entra, app, fresh).status_code == 200
    entra.advance(91 * 24 * 3600)
    assert refresh(entra, app, fresh).json()["error_codes"] == [700082]


def test_a_server_refreshes_with_its_secret_also_where_the_app_is_a_desktop_app_too(entra: Entra) -> None:
    app = entra.register_app("Shop", redirect_uris=[CALLBACK], public_redirect_uris=["http://localhost"])
    secret = entra.add_secret(app).value
    code = entra.sign_in(app, scope=f"openid offline_access {scope(entra)}", redirect_uri=CALLBACK)
    form = {
        "grant_type": "authorization_code",
        "client_id": app.client_id,
        "code": code,
        "redirect_uri": CALLBACK,
    }
    path = f"/{CONTOSO}/oauth2/v2.0/token"
    token = entra.http_client.post(path, data={**form, "client_secret": secret}).json()["refresh_token"]
    assert refresh(entra, app, token, client_secret=secret).status_code == 200
    assert refresh(entra, app, token).json()["error_codes"] == [7000218]


def test_a_pages_refresh_token_is_valid_for_one_day_in_total(entra: Entra, spa: AppRegistration) -> None:
    code = entra.sign_in(spa, scope=scope(entra, "offline_access"), code_challenge=CHALLENGE)
    origin = "https://page.example"
    token = redeem(entra, spa, code, origin=origin, code_verifier=VERIFIER).json()["refresh_token"]
    entra.advance(23 * 3600)
    assert refresh(entra, spa, token).json()["error_codes"] == [9002327]
    token = refresh(entra, spa, token, origin=origin).json()["refresh_token"]
    entra.advance(2 * 3600)
    assert refresh(entra, spa, token, origin=origin).json()["error_codes"] == [700082]


def test_no_code_or_refresh_token_is_in_the_state(entra: Entra, desktop: Any) -> None:
    code = entra.sign_in(desktop[0], scope=scope(entra))
    assert code not in repr(entra.store.state)
    assert desktop[1] not in repr(entra.store.state)


def test_a_disabled_user_gets_nothing(entra: Entra, desktop: Any) -> None:
    from dataclasses import replace

    entra.store.upsert(users=replace(entra.find_user("alice"), enabled=False))
    assert refresh(entra, *desktop).json()["error_codes"] == [50057]


def on_behalf_of(entra: Entra, token: str, **changes: Any) -> httpx.Response:
    usual = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": entra.caller.client_id,
        "client_secret": entra.secret.value,
        "assertion": token,
        "scope": scope(entra),
    }
    fields = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    return entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/token", data=fields)


def test_an_api_exchanges_its_callers_token_for_another_api(entra: Entra) -> None:
    entra.grant_delegated(entra.caller, entra.api, "access_as_user")
    called_with = entra.issue_token(entra.api, audience=entra.caller.client_id, scopes=["use"], user="bob")
    answer_ = on_behalf_of(entra, called_with, scope=scope(entra, "offline_access")).json()
    claims = verified_claims(entra, answer_["access_token"])
    assert (claims["name"], claims["scp"], claims["azp"]) == (
        "Bob Brown",
        "access_as_user",
        entra.caller.client_id,
    )
    assert "refresh_token" in answer_
    everything = on_behalf_of(entra, called_with, scope=entra.api.default_scope).json()
    assert payload(everything["access_token"])["scp"] == "access_as_user"


@pytest.mark.parametrize(
    ("token", "change", "number"),
    [
        ({}, {}, 65001),
        ({"audience": "api://other"}, {}, 500131),
        ({"lifetime": -10}, {}, 500133),
        ({"preset": "forged"}, {}, 50013),
        ({"scopes": None}, {}, 7000114),
        ({}, {"requested_token_use": None}, 900144),
        ({}, {"client_secret": "wrong"}, 7000215),
        ({}, {"scope": "api://other/x"}, 500011),
        ({}, {"assertion": "x"}, 50013),
    ],
)
def test_an_exchange_entra_would_refuse_is_refused(
    entra: Entra, token: dict[str, Any], change: dict[str, Any], number: int
) -> None:
    options = {"audience": entra.caller.client_id, "scopes": ["use"], **token}
    response = on_behalf_of(entra, entra.issue_token(entra.api, **options), **change)
    assert response.json()["error_codes"] == [number]


def begin(entra: Entra, app: AppRegistration) -> dict[str, Any]:
    form = {"client_id": app.client_id, "scope": scope(entra)}
    return entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/devicecode", data=form).json()


def poll(entra: Entra, app: AppRegistration, code: str) -> dict[str, Any]:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": app.client_id,
        "device_code": code,
    }
    return entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/token", data=form).json()


def test_a_device_waits_until_a_user_approves_it(entra: Entra) -> None:
    app = entra.register_app("Television", public_client=True, identifier_uris=())
    flow = begin(entra, app)
    assert list(flow) == ["user_code", "device_code", "verification_uri", "expires_in", "interval", "message"]
    assert poll(entra, app, flow["device_code"])["error"] == "authorization_pending"
    asked = entra.http_client.get("/devicelogin").text
    assert "Code on your device" in asked
    assert (
        "This code is unknown or has expired"
        in entra.http_client.post("/devicelogin", data={"user_code": "XXXX"}).text
    )
    shown = entra.http_client.post("/devicelogin", data={"user_code": flow["user_code"].lower()})
    assert "Television" in shown.text
    done = pick(entra, shown, user=entra.find_user("bob").id)
    assert "You have signed in on your device" in done.text
    assert payload(poll(entra, app, flow["device_code"])["access_token"])["name"] == "Bob Brown"


def test_a_device_can_be_approved_from_python_declined_or_expire(entra: Entra) -> None:
    app = entra.register_app("Television", public_client=True, identifier_uris=())
    approved, declined, late = (begin(entra, app) for _ in range(3))
    entra.approve_device(approved["user_code"], "bob")
    assert "access_token" in poll(entra, app, approved["device_code"])
    shown = entra.http_client.post("/devicelogin", data={"user_code": declined["user_code"]})
    assert "Nothing was granted" in press(entra, shown, decision="cancel").text
    assert poll(entra, app, declined["device_code"])["error"] == "authorization_declined"
    entra.advance(901)
    assert poll(entra, app, late["device_code"])["error"] == "expired_token"
    assert poll(entra, app, "nonsense")["error"] == "bad_verification_code"
    with pytest.raises(LookupError, match="No device"):
        entra.approve_device("XXXX")


@pytest.mark.parametrize(("path", "version"), [("adminconsent", 1), ("v2.0/adminconsent", 2)])
def test_admin_consent_grants_the_registered_permissions(entra: Entra, path: str, version: int) -> None:
    app = entra.register_app(
        "Robot", redirect_uris=[CALLBACK], permissions={entra.api: ["Orders.Write", "access_as_user"]}
    )
    secret = entra.add_secret(app)
    query = {
        "client_id": app.client_id,
        "redirect_uri": CALLBACK,
        "state": "9",
        "scope": entra.api.default_scope,
    }
    shown = entra.http_client.get(f"/{CONTOSO}/{path}", params=query)
    assert "Orders.Write" in shown.text
    refused = answer(pick(entra, shown, decision="cancel"))
    assert refused["error"] == {1: "permission_denied", 2: "consent_required"}[version]
    granted = answer(pick(entra, shown, decision="accept"))
    assert (granted["admin_consent"], granted["tenant"], granted["state"]) == ("True", CONTOSO, "9")
    assert ("scope" in granted) == (version == 2)
    token = request_token(entra, client_id=app.client_id, client_secret=secret.value).json()["access_token"]
    assert verified_claims(entra, token)["roles"] == ["Orders.Write"]
    silent = authorize(entra, app, prompt="none", login_hint="bob")
    assert "code" in answer(silent)


def test_admin_consent_can_be_automatic_name_scopes_and_add_the_app_to_a_tenant(entra: Entra) -> None:
    suite = entra.register_app("Suite", accounts="AzureADMultipleOrgs", redirect_uris=[CALLBACK])
    query = {"client_id": suite.client_id, "redirect_uri": CALLBACK, "auto": "1"}
    graph = {"scope": "https://graph.microsoft.com/User.Read"}
    assert (
        answer(entra.http_client.get(f"/{FABRIKAM}/v2.0/adminconsent", params={**query, **graph}))["tenant"]
        == FABRIKAM
    )
    assert entra.directory.principal_of(suite.client_id, FABRIKAM)
    assert [grant.scopes for grant in entra.directory.grants.values()] == [("User.Read",)]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"client_id": "nobody"}, 700016),
        ({"redirect_uri": "https://attacker.example"}, 50011),
        ({"scope": "api://nothing/x", "auto": "1"}, 500011),
        ({"tenant": FABRIKAM, "auto": "1"}, 700016),
    ],
)
def test_consent_that_is_impossible_is_explained_on_a_page(
    entra: Entra, web_app: AppRegistration, query: dict[str, str], number: int
) -> None:
    tenant = query.pop("tenant", CONTOSO)
    asked = {"client_id": web_app.client_id, "redirect_uri": CALLBACK, **query}
    response = entra.http_client.get(f"/{tenant}/v2.0/adminconsent", params=asked)
    assert response.status_code == 400
    assert f"AADSTS{number}" in response.text


def test_signing_out_redirects_only_to_registered_uris(entra: Entra, web_app: AppRegistration) -> None:
    def leave(**query: str) -> httpx.Response:
        return entra.http_client.get(f"/{CONTOSO}/oauth2/v2.0/logout", params=query)

    assert leave(post_logout_redirect_uri=CALLBACK).headers["location"] == CALLBACK
    assert leave(post_logout_redirect_uri=CALLBACK, state="7").headers["location"] == f"{CALLBACK}?state=7"
    assert "You signed out" in leave(post_logout_redirect_uri="https://attacker.example").text
    assert "You signed out" in leave().text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_swagger_page_may_use_either_name_of_this_machine(entra: Emulator, host: str) -> None:
    assert f"http://{host}:8000/docs/oauth2-redirect" in entra.add_samples().page.spa_redirect_uris


def test_an_error_uri_links_to_its_explanation(entra: Entra) -> None:
    uri = request_token(entra, client_secret="wrong").json()["error_uri"]
    assert "AADSTS7000215" in entra.http_client.get(uri, follow_redirects=True).text
    for code in ("", "x", "9" * 5000):
        shown = entra.http_client.get("/error", params={"code": code}, follow_redirects=True)
        assert "AADSTS700016" in shown.text
    unknown = entra.http_client.get("/error", params={"code": "1"}, follow_redirects=True)
    assert (unknown.status_code, "AADSTS700016" in unknown.text) == (404, False)


def test_a_missing_jinja_is_reported_with_the_install_command(
    entra: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entra_guard.emulator._http import html

    def missing() -> Any:
        raise ImportError

    monkeypatch.setattr(html, "_environment", missing)
    response = entra.http_client.get("/")
    assert response.status_code == 501
    assert 'pip install "entra-guard[emulator]"' in response.text


def test_the_v1_endpoints_sign_in_for_a_resource(entra: Entra) -> None:
    app = entra.register_app("Old", identifier_uris=(), redirect_uris=[CALLBACK])
    secret = entra.add_secret(app)
    query = {"client_id": app.client_id, "response_type": "code", "resource": entra.api.app_id_uri}
    shown = entra.http_client.get(f"/{CONTOSO}/oauth2/authorize", params=query)
    code = answer(pick(entra, shown, user=entra.find_user("alice").id))["code"]
    form = {"grant_type": "authorization_code", "client_id": app.client_id, "client_secret": secret.value}
    tokens = entra.http_client.post(
        f"/{CONTOSO}/oauth2/token", data={**form, "code": code, "redirect_uri": CALLBACK}
    ).json()
    assert (tokens["resource"], tokens["token_type"]) == (entra.api.app_id_uri, "Bearer")
    assert payload(tokens["access_token"])["scp"] == "access_as_user"
    identity = payload(tokens["id_token"])
    assert identity["ver"] == "1.0"
    assert {"unique_name", "upn", "given_name", "family_name", "amr"} <= identity.keys()
    assert "preferred_username" not in identity


def test_the_samples_work_and_have_fixed_ids(entra: Entra) -> None:
    samples = entra.add_samples()
    for api in (samples.api, samples.legacy_api):
        token = request_token(
            entra,
            client_id=samples.daemon.client_id,
            client_secret=samples.secret.value,
            scope=api.default_scope,
        ).json()["access_token"]
        claims = payload(token)
        assert claims["roles"] == ["Orders.Read"]
        assert claims["ver"] == {2: "2.0", None: "1.0"}[api.token_version]
    uri = "http://localhost:8000/docs/oauth2-redirect"
    wanted = f"{samples.api.app_id_uri}/access_as_user"
    code = entra.sign_in(samples.page, scope=wanted, redirect_uri=uri, code_challenge=CHALLENGE)
    tokens = redeem(
        entra, samples.page, code, origin="http://localhost:8000", redirect_uri=uri, code_verifier=VERIFIER
    )
    assert tokens.headers["access-control-allow-origin"] == "http://localhost:8000"
    assert payload(tokens.json()["access_token"])["roles"] == ["Orders.Read"]
    again = Emulator().add_samples()
    for app in ("api", "legacy_api", "daemon", "page"):
        assert getattr(again, app).client_id == getattr(samples, app).client_id
    assert again.secret.value == samples.secret.value
    assert samples.secret.value not in repr(samples)


def test_errors_that_need_a_user_have_a_suberror(entra: Entra, desktop: Any) -> None:
    app, token = desktop
    missing = refresh(entra, app, token, scope="https://graph.microsoft.com/User.Read").json()
    assert (missing["error_codes"], missing["suberror"]) == ([65001], "consent_required")
    entra.revoke(entra.find_user("alice"))
    revoked = refresh(entra, app, token).json()
    assert (revoked["error_codes"], revoked["suberror"]) == ([50173], "bad_token")
    assert "suberror" not in refresh(entra, app, "nonsense").json()


def test_a_redirected_error_has_entras_identifiers(entra: Entra, web_app: AppRegistration) -> None:
    correlation = "11111111-2222-4333-8444-555555555555"
    refused = authorize(
        entra, web_app, prompt="none", login_hint="unknown", **{"client-request-id": correlation}
    )
    description = answer(refused)["error_description"]
    assert f"Trace ID: {description.partition('Trace ID: ')[2][:36]} Correlation ID: " in description
    assert " Timestamp: " in description
    assert f"Correlation ID: {correlation} " in description
    cancelled = answer(pick(entra, authorize(entra, web_app), decision="cancel"))
    assert cancelled["error_subcode"] == "cancel"
    assert "error_subcode" not in answer(refused)


@pytest.mark.parametrize(
    ("scopes", "present"),
    [
        (("openid",), set()),
        (("openid", "profile"), {"name", "oid", "preferred_username"}),
        (("openid", "email"), {"email"}),
        (("openid", "profile", "email"), {"name", "oid", "preferred_username", "email"}),
    ],
)
def test_claims_of_an_id_token_depend_on_the_scopes(
    entra: Entra, web_app: AppRegistration, scopes: tuple[str, ...], present: set[str]
) -> None:
    secret = entra.add_secret(web_app).value
    code = entra.sign_in(web_app, scope=scope(entra, *scopes))
    claims = payload(redeem(entra, web_app, code, client_secret=secret).json()["id_token"])
    assert {"name", "oid", "preferred_username", "email"} & claims.keys() == present
    assert {"sub", "tid", "sid", "ver"} <= claims.keys()


def test_a_preflight_response_has_each_header_once(entra: Entra, spa: AppRegistration) -> None:
    """Browsers refuse a response that has Access-Control-Allow-Origin twice."""
    for path in ("oauth2/v2.0/token", "oauth2/token"):
        response = entra.http_client.options(
            f"/{CONTOSO}/{path}",
            headers={
                "origin": PAGE.rstrip("/"),
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
        assert response.status_code == 204
        assert response.headers.get_list("access-control-allow-origin") == [PAGE.rstrip("/")]
        names = [name for name, _ in response.headers.multi_items()]
        assert len(names) == len({*names})


@pytest.mark.parametrize(
    "uri",
    [
        "http://evil.example\\@localhost/cb",
        "http://localhost\\.evil.example/cb",
        "http://evil.example@localhost/cb",
        "http://user:password@localhost/cb",
        "http:localhost/cb",
        "http:/localhost/cb",
        "http:///localhost/cb",
        "http://localhost:80.evil.example/cb",
        "http://localhost:/evil.example/../cb",
        "http://local\thost/cb",
        "http://localhost/cb\n",
        " http://localhost/cb",
        "http://localhost/cb#x",
        "http://localhost#@evil.example/cb",
        "http://localhost?@evil.example/cb",
        "http://localhost%2eevil.example/cb",
        "http://localhost\u3002evil.example/cb",
        "http://\uff4c\uff4f\uff43alhost/cb",
        "https://localhost/cb",
        "http://localhost/cb?x=1",
        "http://localhost/CB",
        "http://localhost.evil.example/cb",
    ],
)
def test_a_uri_that_a_browser_may_read_as_another_host_never_matches(entra: Entra, uri: str) -> None:
    app = entra.register_app("Local", identifier_uris=(), redirect_uris=["http://localhost/cb"])
    response = authorize(entra, app, redirect_uri=uri)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "AADSTS50011" in response.text
