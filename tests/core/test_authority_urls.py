"""Authorities as people paste them: accepted where they mean one thing, else refused with the right value."""

from __future__ import annotations

import pytest
from openid_issuer import CLIENT, TENANT, OpenIdIssuer, reason_of

from entra_guard import Authority, ConfigurationError, Guard, Tenants
from entra_guard._keys.discovery import ConfigurationRefusedError, read_configuration

PUBLIC = "https://login.microsoftonline.com"
CIAM = "https://contoso.ciamlogin.com"
B2C = "https://contoso.b2clogin.com"
POLICY = f"{B2C}/contoso.onmicrosoft.com/B2C_1_susi/v2.0"
METADATA = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("written", "url", "kind", "tenant"),
    [
        ("public", PUBLIC, "entra", ""),
        (f" {PUBLIC}/ ", PUBLIC, "entra", ""),
        ("login.microsoftonline.com", PUBLIC, "entra", ""),
        (f"login.microsoftonline.com/{TENANT}", PUBLIC, "entra", TENANT),
        (f"{PUBLIC}/{TENANT}", PUBLIC, "entra", TENANT),
        (f"{PUBLIC}/{TENANT.upper()}/v2.0/", PUBLIC, "entra", TENANT),
        (f"{PUBLIC}/{TENANT}/v2.0{METADATA}", PUBLIC, "entra", TENANT),
        (f"{PUBLIC}/{TENANT}{METADATA}", PUBLIC, "entra", TENANT),
        (f"{PUBLIC}/contoso.com", PUBLIC, "entra", "contoso.com"),
        (f"{PUBLIC}/organizations/v2.0", PUBLIC, "entra", "organizations"),
        (f"https://sts.windows.net/{TENANT}/", PUBLIC, "entra", TENANT),
        (
            "https://login.microsoftonline.us/contoso.us",
            "https://login.microsoftonline.us",
            "entra",
            "contoso.us",
        ),
        (CIAM, CIAM, "external", ""),
        (f"{CIAM}/{TENANT}", CIAM, "external", TENANT),
        (f"{CIAM}/{TENANT}/v2.0", CIAM, "external", TENANT),
        (f"{CIAM}/{TENANT}/v2.0{METADATA}", CIAM, "external", TENANT),
        (f"{CIAM}/contoso.onmicrosoft.com/", CIAM, "external", "contoso.onmicrosoft.com"),
        (f"{B2C}/contoso.onmicrosoft.com/B2C_1_susi", POLICY, "b2c", ""),
        (f"{POLICY}{METADATA}", POLICY, "b2c", ""),
        (f"{B2C}/contoso.onmicrosoft.com/v2.0{METADATA}?p=B2C_1_susi", POLICY, "b2c", ""),
        (f"{B2C}/tfp/{TENANT}/b2c_1a_x", f"{B2C}/tfp/{TENANT}/b2c_1a_x/v2.0", "b2c", ""),
        (
            "https://login.contoso.com/contoso.onmicrosoft.com/B2C_1A_x",
            "https://login.contoso.com/contoso.onmicrosoft.com/B2C_1A_x/v2.0",
            "b2c",
            "",
        ),
        ("https://login.example", "https://login.example", "entra", ""),
        ("https://login.example/entra", "https://login.example/entra", "entra", ""),
        (f"https://login.example/entra/{TENANT}/v2.0", "https://login.example/entra", "entra", TENANT),
        (f"http://127.0.0.1:8000/{TENANT}/v2.0{METADATA}", "http://127.0.0.1:8000", "entra", TENANT),
        (f"http://localhost:8000/{TENANT}", "http://localhost:8000", "entra", TENANT),
    ],
)
def test_an_authority_may_be_written_in_many_ways(written, url, kind, tenant):
    found = Authority.named(written)
    assert (found.url, found.kind, found.tenant) == (url, kind, tenant)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (f"{PUBLIC}/{TENANT}/oauth2/v2.0/token", f"'{PUBLIC}/{TENANT}'"),
        (f"{PUBLIC}/{TENANT}/discovery/v2.0/keys", f"'{PUBLIC}/{TENANT}'"),
        (f"{PUBLIC}/some/where", f"'{PUBLIC}'"),
        (f"{CIAM}/{TENANT}/oauth2/v2.0/authorize", f"'{CIAM}/{TENANT}'"),
        (B2C, f"{B2C}/<tenant>/<policy>"),
        (f"{B2C}/contoso.onmicrosoft.com", f"{B2C}/contoso.onmicrosoft.com/<policy>"),
        (f"{B2C}/{TENANT}/v2.0/", f"{B2C}/{TENANT}/<policy>"),
        (f"{POLICY.removesuffix('/v2.0')}/oauth2/v2.0/token", POLICY.removesuffix("/v2.0")),
        ("https://idp.example/realms/demo", "Authority.openid('https://idp.example/realms/demo')"),
        (f"https://idp.example/realms/demo{METADATA}", "Authority.openid('https://idp.example/realms/demo')"),
        ("https://t.eu.auth0.com/", "Authority.openid('https://t.eu.auth0.com')"),
        (
            "https://dev-1.okta.com/oauth2/default",
            "Authority.openid('https://dev-1.okta.com/oauth2/default')",
        ),
        (f"https://ids.example{METADATA}", "Authority.openid('https://ids.example')"),
        ("https://fs.contoso.com/adfs", "Authority.openid('https://fs.contoso.com/adfs')"),
        ("https://accounts.google.com", "Authority.openid('https://accounts.google.com')"),
    ],
)
def test_another_url_is_refused_with_the_right_value(written, right):
    with pytest.raises(ConfigurationError) as caught:
        Authority.named(written)
    assert right in str(caught.value)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (f"{PUBLIC}/{TENANT}/v2.0", f"authority='{PUBLIC}' and tenant='{TENANT}'"),
        (f"{PUBLIC}/common/v2.0", "Tenants.organizations"),
        (f"{CIAM}/{TENANT}/v2.0", f"authority='{CIAM}' and tenant='{TENANT}'"),
        (POLICY, f"authority='{POLICY}'"),
        (
            "https://idp.example/realms/demo/protocol/openid-connect/token",
            "openid('https://idp.example/realms/demo')",
        ),
        ("https://t.auth0.example/.well-known/jwks.json", "openid('https://t.auth0.example')"),
        ("https://o.okta.example/oauth2/default/v1/keys", "openid('https://o.okta.example/oauth2/default')"),
        ("https://ids.example/connect/token", "openid('https://ids.example')"),
        ("http://idp.example", "https"),
        ("https://a:b@idp.example", "user name"),
        ("https://idp.example?x=1", "query"),
    ],
)
def test_an_openid_issuer_is_the_issuer(written, right):
    with pytest.raises(ConfigurationError) as caught:
        Authority.openid(written)
    assert right in str(caught.value)


def test_an_openid_issuer_may_be_given_by_its_metadata_url():
    assert (
        Authority.openid(f"https://idp.example/realms/demo{METADATA}").url
        == "https://idp.example/realms/demo"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"is_app": "app"},
        {"roles_claim": ("realm_access", "")},
        {"scopes_claim": ("a", 5)},
        {"client_claim": ""},
    ],
)
def test_a_rule_that_cannot_work_is_refused(settings):
    with pytest.raises(ConfigurationError):
        Authority.openid("https://idp.example", **settings)


def test_an_async_rule_is_refused():
    async def is_app(_claims):
        return True

    with pytest.raises(ConfigurationError, match="not async"):
        Authority.openid("https://idp.example", is_app=is_app)


# --- the tenant in the path ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "tenant", "alias"),
    [
        (f"{PUBLIC}/{TENANT}", TENANT, TENANT),
        (f"{PUBLIC}/{TENANT}/v2.0", TENANT.upper(), TENANT),
        (f"{PUBLIC}/{TENANT}", "", TENANT),
        (f"{PUBLIC}/contoso.com", "contoso.com", "contoso.com"),
        (f"{PUBLIC}/organizations", Tenants.organizations("a test"), "organizations"),
        (f"{CIAM}/{TENANT}", "", TENANT),
        (f"{CIAM}/contoso.onmicrosoft.com", TENANT, TENANT),
    ],
)
def test_the_tenant_in_the_path_may_be_the_guards(authority, tenant, alias):
    guard = Guard(tenant=tenant, audience=CLIENT, authority=authority)
    assert guard.policy.tenants.alias == alias
    assert guard.authority.url in (PUBLIC, CIAM)


@pytest.mark.parametrize(
    ("authority", "tenant", "words"),
    [
        (f"{PUBLIC}/{CLIENT}", TENANT, f"authority='{PUBLIC}'"),
        (f"{PUBLIC}/contoso.com", TENANT, f"authority='{PUBLIC}'"),
        (f"{PUBLIC}/common", TENANT, f"authority='{PUBLIC}'"),
        (f"{PUBLIC}/common", "", "Tenants.everyone"),
        (f"{PUBLIC}/common", Tenants.organizations("a test"), "organizations"),
        (f"{CIAM}/fabrikam.onmicrosoft.com", TENANT, f"authority='{CIAM}'"),
    ],
)
def test_two_tenants_are_refused(authority, tenant, words):
    with pytest.raises(ConfigurationError) as caught:
        Guard(tenant=tenant, audience=CLIENT, authority=authority)
    assert words in str(caught.value)


def test_a_credential_takes_the_same_authorities():
    from entra_guard.credentials import ClientSecretCredential

    for authority in (PUBLIC, f"{PUBLIC}/{TENANT}", f"{PUBLIC}/{TENANT}/v2.0"):
        credential = ClientSecretCredential(TENANT, CLIENT, "secret", authority=authority)
        assert credential._endpoint.url == f"{PUBLIC}/{TENANT}/oauth2/v2.0/token"
    with pytest.raises(ConfigurationError, match=CLIENT):
        ClientSecretCredential(TENANT, CLIENT, "secret", authority=f"{PUBLIC}/{CLIENT}")


# --- issuers in documents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "found", "is_same"),
    [
        ("https://idp.example/a", "https://idp.example/a", True),
        ("https://idp.example/a/", "https://idp.example/a", True),
        ("https://idp.example", "https://idp.example/", True),
        ("https://IDP.example:443", "https://idp.example", True),
        ("https://idp.example/a", "https://idp.example/b", False),
        ("https://idp.example/a", "https://idp.example/A", False),
        ("https://idp.example", "https://idp.example/a", False),
        ("https://idp.example/a", "https://idp.example", False),
        ("https://idp.example", "https://idp.example:8443", False),
        ("https://idp.example", "https://evil.example", False),
        ("https://idp.example", "https://a@idp.example", False),
        ("https://idp.example", "https://idp.example?x", False),
        ("https://idp.example", "https://idp.example?x=1", False),
        ("https://idp.example", "https://idp.example#x", False),
    ],
)
def test_the_issuer_must_equal_the_configured_url(written, found, is_same):
    document = {"issuer": found, "jwks_uri": "https://keys.example/keys"}
    if is_same:
        assert read_configuration(Authority.openid(written), "", document, None)[0].v2 == found
    else:
        with pytest.raises(ConfigurationRefusedError, match="issuer"):
            read_configuration(Authority.openid(written), "", document, None)


@pytest.mark.parametrize(
    "found",
    [
        f"{B2C}/{TENANT}/v2.0",
        f"{B2C}/{TENANT}/v2.0/",
        f"{B2C}/tfp/{TENANT}/b2c_1_susi/v2.0/",
    ],
)
def test_b2c_has_its_issuer_on_its_host(found):
    document = {"issuer": found, "jwks_uri": f"{B2C}/keys"}
    assert read_configuration(Authority.named(POLICY), "", document, None)[0].v2 == found


@pytest.mark.parametrize(
    "found",
    [B2C, f"{B2C}/contoso.onmicrosoft.com/v2.0/", f"https://evil.example/{TENANT}/v2.0/", f"{B2C}/{TENANT}"],
)
def test_another_issuer_is_not_b2cs(found):
    document = {"issuer": found, "jwks_uri": f"{B2C}/keys"}
    with pytest.raises(ConfigurationRefusedError, match="issuer"):
        read_configuration(Authority.named(POLICY), "", document, None)


def test_a_custom_domain_of_external_id_is_refused_with_the_right_value():
    document = {
        "issuer": f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0",
        "jwks_uri": "https://login.contoso.com/keys",
    }
    with pytest.raises(
        ConfigurationRefusedError, match=r"Authority\.external\('https://login\.contoso\.com'\)"
    ):
        read_configuration(Authority.named("https://login.contoso.com"), TENANT, document, None)


def test_the_tenant_id_of_a_b2c_policy_must_be_the_issuers():
    policy = Authority.named(f"{B2C}/{CLIENT}/b2c_1_susi")
    document = {"issuer": f"{B2C}/{TENANT}/v2.0/", "jwks_uri": f"{B2C}/keys"}
    with pytest.raises(ConfigurationRefusedError, match="issuer"):
        read_configuration(policy, "", document, None)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "localhost.", "LOCALHOST",
        "a.localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "[fe80::1]",
        "[fe80::1%25eth0]", "[::ffff:169.254.169.254]", "0.0.0.0", "0", "[::]", "\uff11\uff12\uff17.0.0.1",
        "a:b@keys.example", "@keys.example", "localhost:443",
    ],
)  # fmt: skip
def test_a_remote_issuers_keys_are_never_on_this_machine(host):
    for authority, tenant, issuer in (
        (Authority.openid("https://idp.example"), "", "https://idp.example"),
        (Authority.named("https://idp.example"), TENANT, f"https://idp.example/{TENANT}/v2.0"),
    ):
        document = {"issuer": issuer, "jwks_uri": f"https://{host}/keys"}
        with pytest.raises(ConfigurationRefusedError, match="jwks_uri"):
            read_configuration(authority, tenant, document, None)


def test_keys_of_a_remote_issuer_come_over_https():
    for url in (
        "http://idp.example/keys",
        "http://localhost/keys",
        "http://127.0.0.1/keys",
        "file:///keys",
        None,
    ):
        document = {"issuer": "https://idp.example", "jwks_uri": url}
        with pytest.raises(ConfigurationRefusedError, match="jwks_uri"):
            read_configuration(Authority.openid("https://idp.example"), "", document, None)


def test_an_issuer_on_this_machine_may_have_its_keys_here():
    document = {"issuer": "http://localhost:8000", "jwks_uri": "http://127.0.0.1:8000/keys"}
    found = read_configuration(Authority.openid("http://localhost:8000"), "", document, None)
    assert found[1] == document["jwks_uri"]


def test_a_refused_key_url_gets_no_request():
    issuer = OpenIdIssuer("https://idp.example", keys_url="https://169.254.169.254/keys")
    assert reason_of(issuer.guard(), issuer.token({"sub": "a", "scope": "a"})) == "keys_unavailable"
    assert set(issuer.requested) == {issuer.configuration}
