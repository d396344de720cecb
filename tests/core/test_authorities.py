"""Issuers that are not the public cloud's: External ID, B2C, national clouds, any OpenID provider.

A transport replaces their hosts, which tests cannot reach: it returns documents of their form and the
embedded Entra's keys.
"""

from __future__ import annotations

import time

import httpx
import jwt
import pytest

from entra_guard import AccessError, Authority, Guard, Tenants

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "00001111-aaaa-2222-bbbb-3333cccc4444"
API = "11112222-bbbb-3333-cccc-4444dddd5555"


class Elsewhere:
    """An authority on another host, with one key."""

    def __init__(self, entra, documents, cloud="", key_issuer=""):
        self.entra = entra
        self.documents = documents
        self.asked = []
        self.kid = jwt.get_unverified_header(entra.token())["kid"]
        keys = (
            httpx.Client(transport=entra.transport)
            .get(f"{entra.url}/common/discovery/v2.0/keys")
            .json()["keys"]
        )
        key = {
            name: value
            for name, value in next(key for key in keys if key["kid"] == self.kid).items()
            if name in ("kty", "use", "kid", "n", "e")
        }
        self.keys = {
            "keys": [
                key
                | ({"issuer": key_issuer} if key_issuer else {})
                | ({"cloud_instance_name": cloud} if cloud else {})
            ]
        }

    def answer(self, request):
        url = str(request.url)
        self.asked.append(url)
        if url in self.documents:
            return httpx.Response(200, json=self.documents[url])
        return httpx.Response(200, json=self.keys) if "keys" in url else httpx.Response(404, json={})

    def guard(self, **settings):
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        return Guard(audience=API, http_client=client, **settings)

    def token(self, issuer, **claims):
        now = int(time.time())
        good = {
            "aud": API, "iss": issuer, "iat": now, "nbf": now, "exp": now + 3600, "oid": CLIENT, "sub": CLIENT,
            "azp": CLIENT, "tid": TENANT, "ver": "2.0", "roles": ["Orders.Read"],
        }  # fmt: skip
        claims = {name: value for name, value in (good | claims).items() if value is not None}
        return self.entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": self.kid}, claims)


def configuration(base, issuer, host, **more):
    return {base: {"issuer": issuer, "jwks_uri": f"{host}/discovery/keys"} | more}


def test_external_id_has_its_issuer_on_another_host(entra):
    issuer = f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0"
    host = "https://contoso.ciamlogin.com"
    asked = f"{host}/{TENANT}/v2.0/.well-known/openid-configuration"
    there = Elsewhere(entra, configuration(asked, issuer, f"https://{TENANT}.ciamlogin.com"))
    guard = there.guard(tenant=TENANT, authority=host)
    assert guard.verify(there.token(issuer)).tenant_id == TENANT
    for strange in ({"tid": API}, {"ver": "1.0", "iss": None}, {"ver": "1.0"}, {"tid": None}):
        with pytest.raises(AccessError):
            guard.verify(there.token(issuer, **strange))
    assert there.asked == [asked, f"https://{TENANT}.ciamlogin.com/discovery/keys"]  # no v1.0 there
    with pytest.raises(AccessError, match="wrong_issuer"):
        guard.verify(there.token(f"{host}/{TENANT}/v2.0"))


@pytest.mark.parametrize("suffix", ["", "/v2.0", "/v2.0/"])
def test_a_b2c_policy_has_tokens_of_version_1_without_a_tenant(entra, suffix):
    policy = "https://contoso.b2clogin.com/contoso.onmicrosoft.com/b2c_1_signin"
    issuer = f"https://contoso.b2clogin.com/{TENANT}/v2.0/"
    there = Elsewhere(
        entra, configuration(f"{policy}/v2.0/.well-known/openid-configuration", issuer, f"{policy}/v2.0")
    )
    guard = there.guard(authority=policy + suffix)
    principal = guard.verify(
        there.token(issuer, ver="1.0", tid=None, roles=None, scp="read write", oid=None, sub="ada", tfp="x")
    )
    assert (principal.scopes, principal.is_app, principal.identity) == (("read", "write"), False, "ada")


def test_an_openid_issuer_may_keep_its_keys_on_another_host(entra):
    issuer = "https://issuer.example/"
    there = Elsewhere(
        entra, configuration(f"{issuer}.well-known/openid-configuration", issuer, "https://keys.example")
    )
    guard = there.guard(authority=Authority.openid(issuer))
    token = there.token(issuer, aud=["other", API], ver=None, tid=None, oid=None, roles=None, scope="a b")
    assert guard.verify(token).scopes == ("a", "b")
    with pytest.raises(AccessError, match="wrong_issuer"):
        guard.verify(there.token("https://other.example/", ver=None, scope="a"))


def test_an_issuer_that_means_any_tenant_is_not_an_openid_issuer(entra):
    url = "https://login.example/common/v2.0"
    documents = configuration(
        f"{url}/.well-known/openid-configuration",
        "https://login.example/{tenantid}/v2.0",
        "https://login.example",
    )
    there = Elsewhere(entra, documents)
    guard = there.guard(authority=Authority.openid(url))
    with pytest.raises(AccessError) as caught:
        guard.verify(there.token(f"https://login.example/{TENANT}/v2.0"))
    assert "any tenant" in str(caught.value.facts["detail"])


def test_external_id_works_with_a_custom_domain(entra):
    issuer, host = f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0", "https://login.contoso.com"
    asked = f"{host}/{TENANT}/v2.0/.well-known/openid-configuration"
    there = Elsewhere(entra, configuration(asked, issuer, host))
    assert there.guard(tenant=TENANT, authority=Authority.external(host)).verify(there.token(issuer))


@pytest.mark.parametrize(
    ("cloud", "host"),
    [
        ("us-government", "https://login.microsoftonline.us"),
        ("china", "https://login.partner.microsoftonline.cn"),
    ],
)
def test_a_national_cloud_is_used_by_its_name(entra, cloud, host):
    issuer = f"{host}/{TENANT}/v2.0"
    documents = configuration(
        f"{host}/{TENANT}/v2.0/.well-known/openid-configuration", issuer, host, cloud_instance_name=cloud
    )
    documents |= configuration(
        f"{host}/{TENANT}/.well-known/openid-configuration", f"https://sts.example/{TENANT}/", host
    )
    there = Elsewhere(entra, documents, cloud=cloud, key_issuer=issuer)
    guard = there.guard(tenant=TENANT, authority=cloud)
    assert guard.verify(there.token(issuer)).app_id == CLIENT
    v1 = there.token(f"https://sts.example/{TENANT}/", ver="1.0", azp=None, appid=CLIENT)
    assert guard.verify(v1).token_version == "1.0"
    with pytest.raises(AccessError, match="wrong_cloud"):
        guard.verify(there.token(f"https://login.microsoftonline.com/{TENANT}/v2.0"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {
                "issuer": f"https://evil.example/{TENANT}/v2.0",
                "jwks_uri": "https://login.microsoftonline.com/keys",
            },
            "another host",
        ),
        (
            {
                "issuer": f"https://login.microsoftonline.com/{CLIENT}/v2.0",
                "jwks_uri": "https://login.microsoftonline.com/keys",
            },
            "not of the tenant",
        ),
        (
            {
                "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
                "jwks_uri": "https://evil.example/keys",
            },
            "jwks_uri",
        ),
        (
            {
                "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
                "jwks_uri": "http://login.microsoftonline.com/keys",
            },
            "https",
        ),
        (
            {
                "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
                "jwks_uri": "https://login.microsoftonline.com/keys",
            },
            "not of the tenant",
        ),
        ({"jwks_uri": "https://login.microsoftonline.com/keys"}, "issuer"),
    ],
)
def test_a_configuration_of_another_authority_is_never_used(entra, document, words):
    base = f"https://login.microsoftonline.com/{TENANT}/v2.0/.well-known/openid-configuration"
    there = Elsewhere(entra, {base: document})
    guard = there.guard(tenant=TENANT, token_versions="2.0")
    with pytest.raises(AccessError) as caught:
        guard.verify(there.token(f"https://login.microsoftonline.com/{TENANT}/v2.0"))
    assert caught.value.reason == "keys_unavailable"
    assert words in str(caught.value.facts["detail"])
    assert not [url for url in there.asked if "evil" in url or url.startswith("http:")]


def test_an_issuer_template_in_a_token_is_refused(entra):
    base = "https://login.microsoftonline.com"
    template = f"{base}/{{tenantid}}/v2.0"
    documents = configuration(f"{base}/organizations/v2.0/.well-known/openid-configuration", template, base)
    there = Elsewhere(entra, documents, key_issuer=template)
    guard = there.guard(tenant=Tenants.organizations("a test"), token_versions="2.0")
    assert guard.verify(there.token(f"{base}/{TENANT}/v2.0")).tenant_id == TENANT
    for claims in (
        {"iss": template},
        {"iss": template, "tid": "{tenantid}"},
        {"iss": f"{base}//v2.0", "tid": ""},
        {"iss": f"{base}/{TENANT.upper()}/v2.0", "tid": TENANT.upper()},
    ):
        with pytest.raises(AccessError):
            guard.verify(there.token(template, **claims))
