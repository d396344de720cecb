"""Arguments of credentials that cannot be meant: refused with what to write instead, and never quoted."""

from __future__ import annotations

import asyncio

import pytest

from entra_guard import Authority, ConfigurationError
from entra_guard.credentials import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecret,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"
SCOPE = "api://orders/.default"


def _secret(tenant, client):
    return ClientSecretCredential(tenant, client, "a-secret")


def _assertion(tenant, client):
    return ClientAssertionCredential(tenant, client, lambda: "assertion")


def _certificate(tenant, client):
    return CertificateCredential(tenant, client, "missing.pem")


@pytest.mark.parametrize("build", [_secret, _assertion, _certificate])
@pytest.mark.parametrize("name", ["tenant_id", "client_id"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "environment variable"),
        ("", "environment variable"),
        (5, "got int"),
        (b"x", "got bytes"),
        ([], ""),
        (f"'{CLIENT}'", "quotes .*: remove them"),
        (f"{CLIENT}\r", "white space around it: remove it"),
    ],
)
def test_an_id_that_is_missing_or_of_another_type_is_refused(build, name, value, words):
    ids = {"tenant_id": TENANT, "client_id": CLIENT} | {name: value}
    with pytest.raises(ConfigurationError, match=rf"^{name} must be .*{words}"):
        build(ids["tenant_id"], ids["client_id"])


@pytest.mark.parametrize("name", ["tenant_id", "client_id"])
def test_an_id_of_a_workload_of_another_type_is_refused(name):
    ids = {"tenant_id": TENANT, "client_id": CLIENT, "token_file_path": "token", "environ": {}} | {name: 5}
    with pytest.raises(ConfigurationError, match=f"{name} must be .*got int"):
        WorkloadIdentityCredential(**ids)


@pytest.mark.parametrize("name", ["client_id", "object_id"])
@pytest.mark.parametrize(("value", "words"), [(5, "GUID"), ("x", "GUID"), ("", "environment variable")])
def test_an_identity_that_is_not_a_guid_is_refused(name, value, words):
    with pytest.raises(ConfigurationError, match=f"{name} .*{words}"):
        ManagedIdentityCredential(environ={}, **{name: value})


@pytest.mark.parametrize(
    "secret",
    [
        "${SECRET}", "$SECRET", "$(SECRET)", "%SECRET%", "<secret>", "{secret}", "{{ secret }}", "__SECRET__",
        "#{SECRET}#", "your-client-secret", '"a-secret"', "'a-secret'", "null", "None", "undefined",
        "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/orders)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [str, ClientSecret, lambda secret: ["a-secret", secret]])
def test_a_placeholder_is_not_a_secret(secret, wrap):
    with pytest.raises(ConfigurationError) as caught:
        ClientSecretCredential(TENANT, CLIENT, wrap(secret))
    assert str(caught.value).startswith("client_secret")
    assert secret not in str(caught.value)


@pytest.mark.parametrize("secret", ["Abc8Q~xYz.-_1234567890", "a$b<c>d", "{a", "x'", "null-and-void"])
def test_a_secret_with_special_characters_is_accepted(secret):
    ClientSecretCredential(TENANT, CLIENT, secret)


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("clientid", "client_id"),
        ("clientId", "client_id"),
        ("tenant", "tenant_id"),
        ("tenantid", "tenant_id"),
        ("secret", "client_secret"),
        ("clientsecret", "client_secret"),
        ("autority", "authority"),
    ],
)
def test_a_misspelt_argument_is_refused_with_the_nearest(typo, nearest):
    with pytest.raises(ConfigurationError, match=rf"{typo!r}\. Did you mean {nearest!r}\?"):
        ClientSecretCredential(**{typo: "x"})


def test_a_misspelt_argument_of_a_managed_identity_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"'cachesize'\. Did you mean 'cache_size'\?"):
        ManagedIdentityCredential(cachesize=5)


def test_an_empty_path_of_a_certificate_is_refused():
    with pytest.raises(ConfigurationError, match="certificate_path is empty"):
        CertificateCredential(TENANT, CLIENT, "")


def _get(credential, **options):
    return credential.get_token(SCOPE, **options)


def _aget(credential, **options):
    return asyncio.run(credential.aget_token(SCOPE, **options))


@pytest.mark.parametrize("get", [_get, _aget])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"claims": 5}, "claims must be .*got int"),
        ({"claims": "\udce9"}, "claims must be .*not JSON"),
        ({"claims": b"{}"}, "claims must be .*got bytes"),
        ({"tenant_id": 5}, "tenant_id must be .*got int"),
        ({"tenantid": TENANT}, "'tenantid'. Did you mean 'tenant_id'"),
        ({"claim": "{}"}, "'claim'. Did you mean 'claims'"),
    ],
)
def test_arguments_of_get_token_are_checked(get, options, words):
    with pytest.raises(ConfigurationError, match=words):
        get(_secret(TENANT, CLIENT), **options)


@pytest.mark.parametrize(
    "scope",
    [
        "openid",
        "profile",
        "email",
        "offline_access",
        f"{SCOPE} {SCOPE}",
        f"{SCOPE}\n",
        f" {SCOPE}",
        "a\u00a0b",
    ],
)
def test_what_is_not_one_scope_of_an_api_is_refused(scope):
    credential = _secret(TENANT, CLIENT)
    for use in (credential.get_token, credential.auth, lambda one: asyncio.run(credential.aget_token(one))):
        with pytest.raises(ConfigurationError, match=r"^scopes"):
            use(scope)


@pytest.mark.parametrize("name", ["scopes_claim", "roles_claim", "client_claim"])
@pytest.mark.parametrize("value", [5, None, b"roles", [5], {"roles": 1}, [""]])
def test_the_name_of_a_claim_of_another_type_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} must be a claim's name"):
        Authority.openid("https://issuer.example", **{name: value})
