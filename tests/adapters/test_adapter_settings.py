"""Settings that would leave an application open, or fail in a request: refused when the adapter is built."""

from __future__ import annotations

import re

import pytest
from django.test import override_settings

from entra_guard import ConfigurationError, Guard, Requirement, requires

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
API = "11112222-bbbb-3333-cccc-4444dddd5555"


@pytest.fixture(scope="module")
def guard():
    return Guard(tenant=TENANT, audience=API)


async def asgi_app(_scope, _receive, _send):
    """Do nothing: no request reaches it."""


def wsgi_app(_environ, _start_response):
    return []


def _asgi(guard, **settings):
    from entra_guard.asgi import GuardMiddleware

    return GuardMiddleware(asgi_app, guard=guard, **settings)


def _wsgi(guard, **settings):
    from entra_guard.wsgi import GuardMiddleware

    return GuardMiddleware(wsgi_app, guard=guard, **settings)


def _init_app(guard, **settings):
    from flask import Flask

    from entra_guard.flask import init_app

    return init_app(Flask("x"), guard, **settings)


def _extension(guard, **settings):
    from flask import Flask

    from entra_guard.flask import EntraGuard

    return EntraGuard(Flask("x"), guard, **settings)


def _django(guard, **settings):
    from entra_guard.django import GuardMiddleware

    with override_settings(ENTRA_GUARD={"guard": guard, **settings}, MIDDLEWARE=[]):
        return GuardMiddleware(lambda _request: None)


def _requirement(_guard, **settings):
    return Requirement(**settings)


def _requires(_guard, **settings):
    return requires(**settings)


def _alternatives(_guard, **settings):
    return requires(Requirement(roles=["A"]), **settings)


def _needs(_guard, **settings):
    from entra_guard.drf import needs

    return needs(**settings)


def _bearer_requires(guard, **settings):
    from entra_guard.fastapi import EntraBearer

    return EntraBearer(guard).requires(**settings)


ADAPTERS = [_asgi, _wsgi, _init_app, _extension, _django]
REQUIREMENTS = [_requirement, _requires, _alternatives, _needs, _bearer_requires]


NAMES_OF_ANOTHER_FORM = [
    (5, "got 5"),
    (b"A", "got b'A'"),
    ({"A": 1}, "got {'A': 1}"),
    (True, "got True"),
    ([b"A"], "got b'A'"),
    ([["A"]], r"got \['A'\]"),
    (["A", 5], "got 5"),
    ("A,B", r"use the list \w+=\['A', 'B'\]"),
    ("A, B", r"use the list \w+=\['A', 'B'\]"),
    ("A B", r"use the list \w+=\['A', 'B'\]"),
    ("A;B", r"use the list \w+=\['A', 'B'\]"),
    ("A,", r"use the list \w+=\['A'\]"),
    (" A", r"use the list \w+=\['A'\]"),
    ('["A", "B"]', r"use the list \w+=\['A', 'B'\]"),
    (["A B"], "got 'A B'"),
]


def assert_refused(build, guard, error, **settings):
    with pytest.raises(ConfigurationError) as caught:
        build(guard, **settings)
    assert re.search(error, str(caught.value)), settings


@pytest.mark.parametrize("build", [*ADAPTERS, *REQUIREMENTS])
def test_a_flag_that_is_not_true_or_false_is_refused(guard, build):
    for name in ("guests", "app_only", "users_only"):
        for value in ("no", "false", "", 0, 1, None, []):
            assert_refused(build, guard, f"{name} must be True or False", **{name: value})


@pytest.mark.parametrize("build", [*ADAPTERS, *REQUIREMENTS])
def test_a_setting_of_agents_of_another_type_is_refused(guard, build):
    for value in ("no", 0, 1, [], {}):
        assert_refused(build, guard, "agents must be True, False or 'only'", agents=value)


@pytest.mark.parametrize("build", [*ADAPTERS, *REQUIREMENTS])
@pytest.mark.parametrize("name", ["roles", "scopes"])
def test_names_from_an_unset_variable_are_refused(guard, build, name):
    for value in (None, "", "  ", [None], [""], (" ",)):
        assert_refused(build, guard, f"{name} .*Is the environment variable set", **{name: value})


@pytest.mark.parametrize("build", [*ADAPTERS, *REQUIREMENTS])
@pytest.mark.parametrize("name", ["roles", "scopes"])
def test_names_of_another_form_are_refused_with_the_value(guard, build, name):
    for value, words in NAMES_OF_ANOTHER_FORM:
        assert_refused(build, guard, rf"^{name}.*{words}", **{name: value})


@pytest.mark.parametrize("build", ADAPTERS)
@pytest.mark.parametrize("value", [[], (), frozenset()])
def test_an_empty_list_requires_nothing_of_all_paths(guard, build, value):
    build(guard, roles=value, scopes=value)


@pytest.mark.parametrize("build", [*ADAPTERS, *(each for each in REQUIREMENTS if each is not _alternatives)])
@pytest.mark.parametrize(
    "value", ["Orders.Read", ["Orders.Read"], {"Orders.Read"}, {"Orders.Read": 1}.keys()]
)
def test_a_name_and_a_list_of_names_are_accepted(guard, build, value):
    build(guard, roles=list(value) if not isinstance(value, str) else value)


@pytest.mark.parametrize("build", [*ADAPTERS, *REQUIREMENTS])
@pytest.mark.parametrize(
    ("typo", "nearest"),
    [("role", "roles"), ("scope", "scopes"), ("guest", "guests"), ("useronly", "users_only")],
)
def test_a_misspelt_setting_is_refused_with_the_nearest(guard, build, typo, nearest):
    with pytest.raises(ConfigurationError, match=f"{typo!r}. Did you mean {nearest!r}"):
        build(guard, **{typo: ["A"]})


def test_other_flags_are_true_or_false(guard):
    from entra_guard.mcp import protect

    with pytest.raises(ConfigurationError, match="subprotocol must be True or False"):
        _asgi(guard, subprotocol="no")
    with pytest.raises(ConfigurationError, match="hide must be True or False"):
        protect(asgi_app, guard, url="https://tasks.example/mcp", hide="no")


# What an API cannot require: scopes of a sign-in, and what is not one name.
NO_SCOPES = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "OpenID",
    "a b",
    " a",
    "a\n",
    "a\u00a0b",
    "\u2003a",
]


@pytest.mark.parametrize("name", NO_SCOPES)
@pytest.mark.parametrize("build", [*ADAPTERS, _bearer_requires])
def test_scopes_that_no_api_has_are_refused(guard, build, name):
    with pytest.raises(ConfigurationError, match=r"^scopes"):
        build(guard, scopes=[name])


@pytest.mark.parametrize("name", ["openid", "profile", "email", "offline_access"])
def test_a_role_may_have_the_name_of_a_scope_of_the_sign_in(guard, name):
    assert requires(roles=[name]) is not None


@pytest.mark.parametrize(
    "value",
    [None, "", [None], 5, "a,b", "api://orders/openid", "api://orders/.default", "api://orders/"]
    + [[name] for name in NO_SCOPES],
)
def test_the_scopes_of_an_mcp_server_and_of_a_document_are_checked(guard, value):
    from fastapi import FastAPI

    from entra_guard.fastapi import document
    from entra_guard.mcp import protect

    with pytest.raises(ConfigurationError, match="scopes"):
        protect(asgi_app, guard, url="https://tasks.example/mcp", scopes=value)
    with pytest.raises(ConfigurationError, match="scopes"):
        document(FastAPI(), guard, scopes=value)


@pytest.mark.parametrize("build", [*ADAPTERS, _bearer_requires])
@pytest.mark.parametrize("wrong", [None, Guard, {}, "guard", 5])
def test_what_is_not_a_guard_is_refused(build, wrong):
    with pytest.raises(ConfigurationError, match="guard"):
        build(wrong)


def _swapped(guard, flask_app):
    from entra_guard.flask import EntraGuard, init_app

    return [
        lambda: init_app(guard, flask_app),
        lambda: EntraGuard(guard, flask_app),
        lambda: EntraGuard(guard),
        lambda: EntraGuard().init_app(guard, flask_app),
    ]


@pytest.mark.parametrize("number", range(4))
def test_an_application_and_a_guard_in_the_wrong_order_are_refused(guard, number):
    from flask import Flask

    with pytest.raises(ConfigurationError, match="guard"):
        _swapped(guard, Flask("x"))[number]()


@pytest.mark.parametrize("wrong", [None, 5, "app", "wsgi_app"])
def test_what_is_not_an_application_is_refused(guard, wrong):
    from flask import Flask

    from entra_guard import asgi, flask, wsgi

    given = Flask("x").wsgi_app if wrong == "wsgi_app" else wrong
    with pytest.raises(ConfigurationError, match="app must be a Flask application"):
        flask.init_app(given, guard)
    if wrong == "wsgi_app":
        return
    for middleware in (asgi.GuardMiddleware, wsgi.GuardMiddleware):
        for app in (wrong, guard):
            with pytest.raises(ConfigurationError, match=r"^app "):
                middleware(app, guard=guard)


@pytest.mark.parametrize("value", ["false", None, 0, 1])
def test_auto_error_is_true_or_false(guard, value):
    from entra_guard.fastapi import EntraBearer

    with pytest.raises(ConfigurationError, match="auto_error must be True or False"):
        EntraBearer(guard, auto_error=value)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_route_with_requires_needs_a_token_where_others_do_not(guard, is_async):
    from fastapi import Depends, FastAPI
    from starlette.testclient import TestClient

    from entra_guard.fastapi import EntraBearer

    app = FastAPI(dependencies=[Depends(EntraBearer(guard, auto_error=False))])

    async def orders_async():
        return "orders"

    def orders():
        return "orders"

    app.get("/orders")(requires(roles=["Orders.Read"])(orders_async if is_async else orders))
    app.get("/open")(lambda: "open")
    client = TestClient(app)
    refused = client.get("/orders")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/open").json() == "open"
