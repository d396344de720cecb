"""Settings that people misspell, quote or leave empty: refused when the guard is built, with the right value."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import entra_guard
from entra_guard import Authority, ConfigurationError, Guard, KeySettings, Policy, Requirement, Tenants

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
API = "11112222-bbbb-3333-cccc-4444dddd5555"
GOOD = {"ENTRA_GUARD_TENANT": TENANT, "ENTRA_GUARD_AUDIENCE": API}


async def _app(*_arguments):
    """Do nothing: no request reaches it."""


# --- audiences -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "fix"),
    [
        (f'"{API}"', f"use '{API}'"),
        (f"'{API}'", f"use '{API}'"),
        (f"\u201c{API}\u201d", f"use '{API}'"),
        (f'{API}"', f"use '{API}'"),
        (f'["{API}"]', f"use '{API}'"),
        (f'["{API}", "api://orders"]', f"use '{API} api://orders'"),
        (f"[{API}]", "App ID URI"),
        (f"api://{API}/.default", f"use the App ID URI 'api://{API}'"),
        ("https://orders.contoso.com/.default", "use the App ID URI 'https://orders.contoso.com'"),
        (f"api://{API}/.Default/", f"'api://{API}'"),
        (TENANT, "client"),
        (f"api://{TENANT}", "tenant id"),
        (TENANT.upper(), "tenant id"),
        (None, "environment variable"),
        ([None], "environment variable"),
        ("", "environment variable"),
        ([API, " "], "environment variable"),
        ("None", "environment variable"),
        ("api://None", "environment variable"),
        ("api://", "environment variable"),
        ("api://undefined/", "environment variable"),
        (f"{API},api://orders", f"'{API}', 'api://orders'"),
        (f"{API} api://orders", "several"),
        (f" {API}", f"use '{API}'"),
        (f"{API}\n", f"use '{API}'"),
        ("api://<client id>", "placeholder"),
        ("api://{client_id}", "placeholder"),
        ("${CLIENT_ID}", "placeholder"),
        ("%CLIENT_ID%", "placeholder"),
        ("your-client-id", "placeholder"),
        (f"{{{API}}}", f"use '{API}'"),
        (API.replace("-", ""), f"use '{API}'"),
        (API[:-1], "GUID"),
        ("orders", "GUID"),
        (f"api:/{API}", f"use 'api://{API}'"),
        (f"api:{API}", f"use 'api://{API}'"),
        (f"api://api://{API}", "twice"),
        ("api://or ders", "space"),
        ("https://login.microsoftonline.com/x/v2.0", "issuer"),
        (f"https://sts.windows.net/{TENANT}/", "issuer"),
        ("https://graph.microsoft.com", "Microsoft Graph"),
        ("api://*", "wildcard"),
        (API.encode(), "b'"),
        ({API: 1}, "string"),
        (5, "5"),
        ([API, 5], "5"),
    ],
)
def test_an_audience_that_no_token_can_have_is_refused_with_the_fix(audience, fix):
    with pytest.raises(ConfigurationError) as caught:
        Guard(tenant=TENANT, audience=audience)
    assert fix in str(caught.value)


def test_the_tenant_ids_of_several_tenants_are_not_audiences():
    with pytest.raises(ConfigurationError, match="tenant id"):
        Guard(tenant=Tenants.only(TENANT, API), audience=API)


@pytest.mark.parametrize(
    "audience",
    [
        API,
        API.upper(),
        f"api://{API}",
        f"api://{API}/access_as_user",
        "https://orders.contoso.com/api",
        "https://orders.contoso.com/api/",
        "http://orders",
        "urn:contoso:orders",
        "spn:orders",
        f"api://{TENANT}/orders",
        "api://orders.contoso.com/%7Ename",
        [API, "api://orders"],
        (name for name in [API]),
        {API},
    ],
)
def test_an_audience_that_a_token_can_have_is_accepted(audience):
    assert Guard(tenant=TENANT, audience=audience).policy.audiences


@pytest.mark.parametrize(
    "audience", ["orders", "My API", "https://api.example/orders", "orders{1}", "<orders>"]
)
def test_other_issuers_choose_audiences_of_any_form(audience):
    guard = Guard(audience=audience, authority=Authority.openid("https://issuer.example"))
    assert guard.policy.accepted >= {audience}


def test_the_advice_for_a_scope_is_real(entra):
    for audience in (entra.api.client_id, f"api://{entra.api.client_id}", f"api://{entra.api.client_id}/"):
        guard = Guard(
            tenant=entra.tenant_id,
            audience=audience,
            authority=entra.url,
            http_client=httpx.Client(transport=entra.transport),
        )
        facts = guard.explain(entra.token(claims={"aud": API})).facts
        expected = f"{audience if audience.startswith('api') else f'api://{audience}'}/.default"
        assert facts["request_scope"] == expected
        assert str(facts["request_scope"]).count(".default") == 1


def test_no_fix_of_a_reason_has_a_placeholder():
    from entra_guard.reasons import REASONS

    for reason in REASONS.values():
        text = f"{reason.client} {reason.explanation} {reason.fix}"
        assert not {"<", ">", "{", "}"} & set(text.replace("<access token>", ""))


def test_a_scope_by_its_full_name_is_refused_with_its_short_name():
    with pytest.raises(ConfigurationError, match=r"'Orders\.Read'"):
        Requirement(scopes=["api://orders/Orders.Read"])


# --- the environment -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ENTRA_GUARD_ALLOWED_CLIENT", "ENTRA_GUARD_ALLOWED_CLIENTS"),
        ("ENTRA_GUARD_ALLOW_CLIENTS", "ENTRA_GUARD_ALLOWED_CLIENTS"),
        ("ENTRA_GUARD_TENANT_ID", "ENTRA_GUARD_TENANT"),
        ("ENTRA_GUARD_AUDIENCES", "ENTRA_GUARD_AUDIENCE"),
        ("entra_guard_leeway", "ENTRA_GUARD_LEEWAY"),
        ("Entra_Guard_Keys_File", "ENTRA_GUARD_KEYS_FILE"),
        ("ENTRA_GUARD_", "ENTRA_GUARD_"),
        ("ENTRA_GUARD_XYZZY", "ENTRA_GUARD_"),
        ("ENTRA_GUARD_ALLOWED_CLIENTS ", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        (" ENTRA_GUARD_ALLOWED_CLIENTS", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("entra_guard_allowed_clients", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("ENTRA_GUARD_ALLOWED-CLIENTS", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("ENTRA-GUARD-ALLOWED-CLIENTS", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("ENTRA_GUARDALLOWED_CLIENTS", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("ENTRAGUARD_ALLOWED_CLIENTS", "Did you mean 'ENTRA_GUARD_ALLOWED_CLIENTS'"),
        ("EntraGuard_Guest", "Did you mean 'ENTRA_GUARD_GUESTS'"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(name, hint):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_env(GOOD | {name: API})
    assert name in str(caught.value)
    assert hint in str(caught.value).replace(repr(name), "")


def test_other_variables_are_left_alone():
    assert Guard.from_env(GOOD | {"ENTRA_EMULATOR_PID": "1", "ENTRA_GUAR_X": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    "name", ["TENANT", "AUDIENCE", "ALLOWED_CLIENTS", "AUTHORITY", "LEEWAY", "KEYS_FILE"]
)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_quoted_value_is_refused_by_its_variables_name(name, quote):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_env(GOOD | {f"ENTRA_GUARD_{name}": f"{quote}{API}{quote}"})
    assert f"ENTRA_GUARD_{name}" in str(caught.value)
    assert str(caught.value).endswith(f"use {API}")


@pytest.mark.parametrize("name", ["AUDIENCE", "ALLOWED_CLIENTS", "TOKEN_VERSIONS"])
@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_an_empty_list_is_refused(name, value):
    """An empty allow-list, as `${VAR:-}` leaves it, must not mean that all clients may call."""
    with pytest.raises(ConfigurationError, match=f"ENTRA_GUARD_{name} is set, but empty"):
        Guard.from_env(GOOD | {f"ENTRA_GUARD_{name}": value})


@pytest.mark.parametrize("value", ["", " ", "no", "0", "off"])
def test_a_variable_of_guests_that_is_not_true_or_false_is_refused(value):
    with pytest.raises(ConfigurationError, match="ENTRA_GUARD_GUESTS must be true or false, got"):
        Guard.from_env(GOOD | {"ENTRA_GUARD_GUESTS": value})


def test_a_json_list_is_refused_with_the_right_value():
    with pytest.raises(
        ConfigurationError, match=f"ENTRA_GUARD_ALLOWED_CLIENTS is a JSON list: use {API} {TENANT}"
    ):
        Guard.from_env(GOOD | {"ENTRA_GUARD_ALLOWED_CLIENTS": f'["{API}", "{TENANT}"]'})


def test_a_leeway_that_is_not_a_number_is_refused_with_its_value():
    for value in ("one", "1 s", "nan", "inf", "-1"):
        with pytest.raises(ConfigurationError, match=r"leeway|LEEWAY"):
            Guard.from_env(GOOD | {"ENTRA_GUARD_LEEWAY": value})


def test_a_keys_file_is_read_from_the_environment(tmp_path):
    assert Guard.from_env(GOOD | {"ENTRA_GUARD_KEYS_FILE": str(tmp_path / "keys.json")})


# --- types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KeySettings.__slots__)
@pytest.mark.parametrize("value", ["3", None, True, float("nan"), float("inf"), [], -1, "a"])
def test_a_key_setting_of_another_type_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=name):
        KeySettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_size", "5"),
        ("cache_size", True),
        ("cache_size", 1.5),
        ("leeway", "60"),
        ("leeway", True),
        ("leeway", float("nan")),
        ("strict_startup", "false"),
        ("clock", 5),
        ("monotonic", None),
        ("keys", {"wait": 3}),
        ("keys_file", 5),
        ("keys_file", b"keys.json"),
        ("groups", "credential"),
        ("ssl_context", "ca.pem"),
        ("proxy", 5),
        ("tenant", 5),
        ("tenant", [TENANT]),
        ("authority", 5),
        ("authority", {"url": "x"}),
        ("allowed_clients", 5),
        ("allowed_clients", [None]),
        ("token_versions", 2.0),
        ("token_versions", [2]),
        ("algorithms", 5),
    ],
)
def test_a_guards_setting_of_another_type_is_refused(name, value):
    with pytest.raises(ConfigurationError):
        Guard(**({"tenant": TENANT, "audience": API} | {name: value}))


@pytest.mark.parametrize("token", [5, None, bytearray(b"a.b.c"), memoryview(b"a.b.c"), ["a.b.c"]])
@pytest.mark.parametrize("call", ["verify", "averify", "explain"])
@pytest.mark.parametrize("is_combined", [False, True])
def test_a_token_of_another_type_is_refused_by_its_type(token, call, is_combined):
    guard = _guard() | _guard() if is_combined else _guard()
    method = getattr(guard, call)
    with pytest.raises(TypeError, match=f"^token must be a str or bytes, got {type(token).__name__}$"):
        asyncio.run(method(token)) if call == "averify" else method(token)


def test_a_policy_has_tenants():
    with pytest.raises(ConfigurationError, match="Tenants"):
        Policy(TENANT, frozenset({API}))


@pytest.mark.parametrize("name", ["app_only", "users_only", "guests", "close_at_expiry"])
@pytest.mark.parametrize("value", ["false", 0, 1, "yes"])
def test_a_flag_is_true_or_false(name, value):
    from entra_guard.asgi import GuardMiddleware

    with pytest.raises(ConfigurationError, match=name):
        GuardMiddleware(_app, guard=Guard(tenant=TENANT, audience=API), **{name: value})


@pytest.mark.parametrize("name", ["app_only", "users_only", "guests"])
def test_a_requirements_flag_is_true_or_false(name):
    with pytest.raises(ConfigurationError, match=name):
        Requirement(**{name: "false"})


# --- keywords --------------------------------------------------------------------------------------------


def _guard() -> Guard:
    return Guard(tenant=TENANT, audience=API)


def _asgi(**more):
    from entra_guard.asgi import GuardMiddleware

    return GuardMiddleware(_app, guard=_guard(), **more)


def _wsgi(**more):
    from entra_guard.wsgi import GuardMiddleware

    return GuardMiddleware(_app, guard=_guard(), **more)


def _init_app(**more):
    from flask import Flask

    from entra_guard.flask import init_app

    return init_app(Flask("x"), _guard(), **more)


def _extension(**more):
    from entra_guard.flask import EntraGuard

    return EntraGuard(**more)


def _extension_init_app(**more):
    from flask import Flask

    from entra_guard.flask import EntraGuard

    return EntraGuard().init_app(Flask("x"), _guard(), **more)


def _bearer(**more):
    from entra_guard.fastapi import EntraBearer

    return EntraBearer(_guard(), **more)


@pytest.mark.parametrize(
    ("call", "typo", "function", "nearest"),
    [
        (lambda **more: Guard(tenant=TENANT, **more), "audiance", "Guard()", "audience"),
        (lambda **more: Guard(audience=API, **more), "tenat", "Guard()", "tenant"),
        (lambda **more: Guard(audience=API, **more), "tenant_id", "Guard()", "tenant"),
        (lambda **more: Guard(audience=API, **more), "allowed_client", "Guard()", "allowed_clients"),
        (lambda **more: Guard.from_env(GOOD, **more), "tenat", "Guard.from_env()", "tenant"),
        (
            lambda **more: Guard.from_policy(_guard().policy, **more),
            "autority",
            "Guard.from_policy()",
            "authority",
        ),
        (_asgi, "publik", "GuardMiddleware()", "public"),
        (_asgi, "role", "GuardMiddleware()", "roles"),
        (_wsgi, "user_only", "GuardMiddleware()", "users_only"),
        (_init_app, "publik", "init_app()", "public"),
        (_init_app, "mount", "init_app()", "mounts"),
        (_extension, "publc", "EntraGuard()", "public"),
        (_extension_init_app, "close_at_expire", "EntraGuard.init_app()", "close_at_expiry"),
        (_bearer, "autoerror", "EntraBearer()", "auto_error"),
    ],
)
def test_a_misspelt_keyword_is_named_with_the_function_that_was_called(call, typo, function, nearest):
    for error in (ConfigurationError, TypeError):
        with pytest.raises(error) as caught:
            call(**{typo: "x"})
        text = str(caught.value)
        assert text.startswith(f"{function} has no argument {typo!r}")
        assert f"Did you mean {nearest!r}?" in text


def test_a_keyword_like_no_other_gets_the_list():
    with pytest.raises(ConfigurationError, match="It has: agents, algorithms, allowed_clients"):
        Guard(xyzzy=1)


# --- how requests name themselves ------------------------------------------------------------------------


def test_requests_name_the_package_and_its_version(entra):
    agents = []

    def note(request: httpx.Request) -> None:
        agents.append(request.headers["user-agent"])

    for headers in ({}, {"user-agent": "contoso/1.0"}):
        client = httpx.Client(transport=entra.transport, headers=headers, event_hooks={"request": [note]})
        entra.guard(http_client=client).verify(entra.token())
    ours = f"entra-guard/{entra_guard.__version__}"
    assert set(agents) == {ours, f"contoso/1.0 {ours}"}


def test_clients_of_our_own_name_the_package():
    from entra_guard._common.http import new_client

    with new_client() as client:
        assert client.headers["user-agent"] == f"entra-guard/{entra_guard.__version__}"
