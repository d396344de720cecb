"""Mistakes in the configuration fail when the guard is built, with a sentence that says what to do."""

from __future__ import annotations

import httpx
import pytest

from entra_guard import (
    Authority,
    ConfigurationError,
    Guard,
    KeySettings,
    Policy,
    Requirement,
    Tenants,
    asgi,
    requires,
    wsgi,
)

GUID = "11112222-bbbb-3333-cccc-4444dddd5555"
TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"audience": GUID}, "tenant is missing"),
        ({"tenant": "contoso", "audience": GUID}, "got 'contoso'"),
        ({"tenant": [TENANT, GUID], "audience": GUID}, r"Use Tenants.only\(...\) for several"),
        ({"tenant": TENANT, "audience": GUID, "client_id": GUID}, "Did you mean 'audience'"),
        ({"tenant": "common", "audience": GUID}, "any tenant"),
        ({"tenant": "https://login.microsoftonline.com/x", "audience": GUID}, "tenant id"),
        ({"tenant": TENANT, "audience": []}, "audience is empty"),
        ({"tenant": TENANT, "audience": ""}, "audience"),
        ({"tenant": TENANT, "audience": "*"}, "wildcards"),
        ({"tenant": TENANT, "audience": "https://graph.microsoft.com"}, "Microsoft Graph"),
        ({"tenant": TENANT, "audience": "00000003-0000-0000-c000-000000000000"}, "Microsoft Graph"),
        ({"tenant": TENANT, "audience": GUID, "token_versions": []}, "token_versions is empty"),
        ({"tenant": TENANT, "audience": GUID, "token_versions": "3.0"}, "token_versions must be"),
        ({"tenant": TENANT, "audience": GUID, "algorithms": "HS256"}, "algorithms must be"),
        ({"tenant": TENANT, "audience": GUID, "allowed_clients": []}, "allowed_clients is empty"),
        ({"tenant": TENANT, "audience": GUID, "allowed_clients": ["daemon"]}, "client ids"),
        ({"tenant": TENANT, "audience": GUID, "leeway": 3600}, "leeway"),
        ({"tenant": TENANT, "audience": GUID, "leeway": -1}, "leeway"),
        ({"tenant": TENANT, "audience": GUID, "authority": "http://login.example"}, "https"),
        ({"tenant": TENANT, "audience": GUID, "authority": "mars"}, "authority must be .*, got 'mars'"),
        (
            {"tenant": TENANT, "audience": GUID, "proxy": "proxy:8080"},
            "Write it as .http://proxy.example:8080",
        ),
        ({"tenant": TENANT, "audience": GUID, "cache_size": -1}, "cache_size"),
        ({"tenant": TENANT, "audience": GUID, "cache_size": "x"}, "cache_size"),
        ({"tenant": TENANT, "audience": GUID, "leeway": "60"}, "leeway"),
        ({"tenant": TENANT, "audience": None}, "audience"),
        ({"tenant": TENANT, "audience": 5}, "audience"),
        ({"tenant": TENANT, "audience": [GUID, 5]}, "audience"),
        ({"tenant": TENANT, "audience": GUID, "algorithms": None}, "algorithms"),
        ({"tenant": TENANT, "audience": GUID, "authority": None}, "authority"),
        (
            {"tenant": TENANT, "audience": GUID, "authority": "https://user:pw@login.example"},
            "without user name",
        ),
        ({"tenant": TENANT, "audience": GUID, "authority": "https://login.example?x=1"}, "query"),
        ({"tenant": TENANT, "audience": GUID, "authority": "http://127.evil.example"}, "https"),
        (
            {"tenant": TENANT, "audience": GUID, "authority": Authority.openid("https://i.example")},
            "omit tenant",
        ),
        ({"tenant": TENANT, "audience": GUID, "keys": {}}, "KeySettings"),
        ({"tenant": TENANT, "audience": GUID, "http_client": "x"}, "httpx.Client"),
        ({"tenant": TENANT, "audience": GUID, "http_client": httpx.AsyncClient()}, "AsyncClient"),
        ({"tenant": TENANT, "audience": GUID, "proxy": 5}, "proxy"),
        ({"tenant": "..", "audience": GUID}, "tenant id"),
        ({"tenant": "a.b\nc", "audience": GUID}, "tenant id"),
        ({"tenant": "a.b%2f..", "audience": GUID}, "tenant id"),
        ({"tenant": TENANT, "audience": "api://00000003-0000-0000-c000-000000000000"}, "Microsoft Graph"),
        ({"tenant": TENANT, "audience": "https://graph.microsoft.us/"}, "Microsoft Graph"),
        (
            {"tenant": TENANT, "audience": GUID, "http_client": httpx.Client(), "proxy": "http://p"},
            "one or the other",
        ),
    ],
)
def test_a_guard_that_cannot_work_is_not_built(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        Guard(**settings)


@pytest.mark.parametrize(
    "build",
    [
        Tenants.only,
        lambda: Tenants.only("contoso.com", TENANT),
        lambda: Tenants.organizations(""),
        lambda: Tenants.everyone("  "),
        lambda: KeySettings(refresh=1),
        lambda: KeySettings(max_stale=10),
        Requirement,
        lambda: Requirement(app_only=True, users_only=True),
        lambda: Requirement(app_only=True, scopes=["a"]),
        lambda: Requirement(roles=["two words"]),
        lambda: Requirement(scopes=["api://x/Orders.Read"]),
        requires,
        lambda: requires(Requirement(roles="a"), roles="b"),
        lambda: requires(roles=["a"])(type("View", (), {})),
        lambda: requires(roles=["a"])(type("View", (), {"__call__": lambda _self: 1})()),
        lambda: requires("Orders.Read"),
        lambda: requires(lambda request: request),
        lambda: Requirement(roles=["\u00dcbung"]),
        lambda: Requirement(scopes=["a\tb"]),
        lambda: Requirement(roles=[""]),
        lambda: Authority.openid("http://issuer.example"),
        lambda: Policy(Tenants.personal(), frozenset()),
    ],
)
def test_a_value_that_would_mean_none_or_all_is_refused(build):
    with pytest.raises(ConfigurationError):
        build()


def test_a_client_id_also_means_its_app_id_uri():
    assert Guard(tenant=TENANT, audience=GUID).policy.accepted == {GUID, f"api://{GUID}", f"api://{GUID}/"}
    for spelling in (f"api://{GUID}", f"api://{GUID}/", f"api://{GUID.upper()}", GUID.upper()):
        assert Guard(tenant=TENANT, audience=spelling).policy.accepted >= {GUID, f"api://{GUID}", spelling}


@pytest.mark.parametrize("cloud", ["public", "us-government", "china", "france", "germany", "singapore"])
def test_every_cloud_has_a_name(cloud):
    assert Authority.named(cloud).url.startswith("https://login.")
    assert Authority.named(Authority.named(cloud).url) == Authority.named(cloud)


def test_an_old_host_of_a_cloud_is_the_same_cloud():
    assert Authority.named("https://login.windows.net/") == Authority.named("public")


def test_a_guard_is_read_from_the_environment():
    environ = {
        "ENTRA_GUARD_TENANT": TENANT,
        "ENTRA_GUARD_AUDIENCE": f"{GUID}, https://contoso.com/orders",
        "ENTRA_GUARD_ALLOWED_CLIENTS": GUID,
        "ENTRA_GUARD_TOKEN_VERSIONS": "2.0",
        "ENTRA_GUARD_LEEWAY": "5",
        "ENTRA_GUARD_AUTHORITY": "us-government",
        "AZURE_CLIENT_ID": "99999999-bbbb-3333-cccc-4444dddd5555",
    }
    policy = Guard.from_env(environ).policy
    assert policy == Policy(
        Tenants.only(TENANT),
        frozenset({GUID, "https://contoso.com/orders"}),
        frozenset({GUID}),
        frozenset({"2.0"}),
        5.0,
    )


def test_a_keys_file_is_read_from_the_environment(entra, tmp_path):
    file = tmp_path / "keys.json"
    entra.guard(keys_file=file, strict_startup=True)
    environ = {
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUDIENCE": entra.api.client_id,
        "ENTRA_GUARD_AUTHORITY": entra.url,
        "ENTRA_GUARD_KEYS_FILE": str(file),
    }
    no_network = httpx.MockTransport(lambda request: httpx.Response(503, request=request))
    with httpx.Client(transport=no_network) as client:
        guard = Guard.from_env(environ, http_client=client)
        assert guard.health().kids == tuple(sorted(key.kid for key in entra.keys))
        assert guard.verify(entra.token()).app_id == entra.caller.client_id


@pytest.mark.parametrize("leeway", ["a minute", "60s", "-1", "601", "nan", "inf", "1,5"])
def test_a_leeway_in_the_environment_that_cannot_work_is_refused(leeway):
    environ = {"ENTRA_GUARD_TENANT": TENANT, "ENTRA_GUARD_AUDIENCE": GUID, "ENTRA_GUARD_LEEWAY": leeway}
    with pytest.raises(ConfigurationError, match=r"(?i)leeway"):
        Guard.from_env(environ)


@pytest.mark.parametrize("name", ["AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"])
def test_quotes_around_a_variable_of_azure_are_named(name):
    environ = {"AZURE_TENANT_ID": TENANT, "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com"}
    environ["ENTRA_GUARD_AUDIENCE"] = GUID
    assert Guard.from_env({**environ, name: f" {environ[name]}\r"}).policy.tenants.alias == TENANT
    with pytest.raises(ConfigurationError, match=f"{name} has quotes around its value"):
        Guard.from_env({**environ, name: f'"{environ[name]}"'})


def test_azure_client_id_is_never_used_as_the_audience():
    with pytest.raises(ConfigurationError, match="ENTRA_GUARD_AUDIENCE"):
        Guard.from_env({"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": GUID})


def test_a_guard_is_built_from_a_policy():
    policy = Policy(Tenants.organizations("a test"), frozenset({GUID}), leeway=1.0)
    assert Guard.from_policy(policy, authority="china").policy == policy


def test_a_tenant_may_be_given_by_its_domain(entra, verify):
    guard = entra.guard(tenant="contoso.onmicrosoft.com")
    assert verify(guard, entra.token()).tenant_id == entra.tenant_id


def test_strict_startup_fails_when_the_guard_is_built(entra):
    from entra_guard import FetchError

    client = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(500)))
    with pytest.raises(FetchError, match="status 500"):
        entra.guard(http_client=client, strict_startup=True)
    assert entra.guard(strict_startup=True).health().status == "ok"


@pytest.mark.parametrize("alias", ["organizations", "common"])
def test_tenants_built_without_a_reason_do_not_accept_every_tenant(alias):
    with pytest.raises(ConfigurationError, match="accepts tokens from any tenant"):
        Tenants(alias)


@pytest.mark.parametrize("alias", ["contoso", TENANT.upper(), "https://login.microsoftonline.com"])
def test_tenants_of_an_impossible_name_are_refused(alias):
    with pytest.raises(ConfigurationError, match=r"use Tenants\.only"):
        Tenants(alias)


def test_a_password_in_a_refused_authority_is_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        Guard(tenant=TENANT, audience=GUID, authority="https://user:pa55word@login.example")
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("environ", ["production", 5, ["ENTRA_GUARD_TENANT"]])
def test_an_environment_that_is_not_a_mapping_is_refused(environ):
    with pytest.raises(ConfigurationError, match="environ must be a mapping"):
        Guard.from_env(environ)


@pytest.mark.parametrize("health_app", [asgi.health_app, wsgi.health_app])
def test_health_needs_a_guard(health_app):
    with pytest.raises(ConfigurationError, match="guard must be a Guard, got None"):
        health_app(None)


def test_arguments_take_the_place_of_variables_that_are_not_set():
    environ = {"ENTRA_GUARD_AUDIENCE": GUID}
    assert Guard.from_env(environ, tenant=Tenants.personal()).policy.tenants == Tenants.personal()
    assert Guard.from_env({"ENTRA_GUARD_TENANT": TENANT}, audience=GUID).policy.audiences == {GUID}
    issuer = Authority.openid("https://issuer.example")
    assert Guard.from_env(environ, authority=issuer, tenant="").authority == issuer


def test_a_b2c_policy_in_the_environment_needs_no_tenant_and_takes_none_from_azure():
    policy = f"https://contoso.b2clogin.com/{TENANT}/B2C_1_susi"
    environ = {"ENTRA_GUARD_AUDIENCE": GUID, "ENTRA_GUARD_AUTHORITY": policy, "AZURE_TENANT_ID": GUID}
    assert Guard.from_env(environ).authority == Authority.b2c(policy)
    with pytest.raises(ConfigurationError, match="omit tenant"):
        Guard.from_env(environ | {"ENTRA_GUARD_TENANT": TENANT})
    with pytest.raises(ConfigurationError, match="set ENTRA_GUARD_TENANT"):
        Guard.from_env({"ENTRA_GUARD_AUDIENCE": GUID, "ENTRA_GUARD_AUTHORITY": "no authority"})
