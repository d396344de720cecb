"""Tokens of issuers other than Entra: access tokens only, with client, scopes and kind of caller where they are."""

from __future__ import annotations

from typing import Any

import pytest
from openid_issuer import API, CLIENT, PERSON, TENANT, OpenIdIssuer, accepted, b2c, jwk, reason_of

from entra_guard import AccessError, Authority, ConfigurationError, Guard, KeySettings, Requirement

ISSUER = "https://issuer.example"
GOOD = {"sub": "ada", "client_id": "web", "scope": "orders.read"}


@pytest.fixture
def issuer() -> OpenIdIssuer:
    return OpenIdIssuer(ISSUER)


# --- access tokens only ----------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [None, ["web"]], ids=["any client", "allowed client"])
@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({}, {"typ": "logout+jwt"}),
        ({}, {"typ": "dpop+jwt"}),
        ({}, {"typ": "id_token+jwt"}),
        ({"typ": "ID"}, {}),
        ({"typ": "Refresh"}, {}),
        ({"typ": "Offline"}, {}),
        ({"typ": "Logout"}, {}),
        ({"typ": "refresh"}, {}),
        ({"typ": 5}, {}),
        ({"token_use": "id"}, {}),
        ({"token_use": "refresh"}, {}),
        ({"token_type": "refresh_token"}, {}),
        ({"at_hash": "x"}, {}),
        ({"c_hash": "x"}, {}),
        ({"s_hash": "x"}, {}),
        ({"at_hash": None}, {}),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, {}),
    ],
)
def test_other_kinds_of_tokens_are_refused(issuer, claims, header, allowed):
    guard = issuer.guard(allowed_clients=allowed)
    assert reason_of(guard, issuer.token(GOOD)) == ""
    assert reason_of(guard, issuer.token(GOOD | claims, **header)) == "id_token"


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"nonce": "n"}, {}),
        ({"typ": "Bearer"}, {}),
        ({"token_use": "access"}, {}),
        ({"token_type": "Bearer"}, {}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"typ": "application/AT+JWT"}),
        ({}, {"typ": "jwt"}),
        ({}, {"typ": None}),
    ],
)
def test_access_tokens_pass_with_a_nonce_or_a_type(issuer, claims, header):
    assert reason_of(issuer.guard(), issuer.token(GOOD | claims, **header)) == ""


@pytest.mark.parametrize(
    ("claims", "header", "passes"),
    [
        ({}, {}, False),
        ({"azp": "orders"}, {}, False),
        ({"azp": "web", "aud": ["orders", "web"]}, {}, False),
        ({"azp": "web"}, {}, True),
        ({"appid": "web"}, {}, True),
        ({"azp": "orders"}, {"typ": "at+jwt"}, True),
        ({"azp": "orders", "scope": "a"}, {}, True),
        ({"azp": "orders", "scp": ["a"]}, {}, True),
        ({"client_id": "orders"}, {}, False),
        ({"cid": "orders"}, {}, False),
        ({"client_id": "web"}, {}, True),
        ({"cid": "web"}, {}, True),
        ({"azp": "orders", "cid": "web"}, {}, False),
        ({"scope": "", "scp": []}, {}, False),
        ({"azp": 5}, {}, False),
    ],
)
@pytest.mark.parametrize("allowed", [None, ["orders", "web"]], ids=["any client", "allowed clients"])
def test_a_token_without_evidence_of_an_access_token_is_refused(issuer, claims, header, passes, allowed):
    token = issuer.token({"sub": "ada", "roles": ["reader"]} | claims, **header)
    assert (reason_of(issuer.guard(allowed_clients=allowed), token) == "") is (
        passes and (allowed is None or bool(claims.keys() & {"azp", "appid", "client_id", "cid"}))
    )


@pytest.mark.parametrize(
    ("aud", "reason"),
    [
        ("orders", ""),
        (["invoices", "orders"], ""),
        ("invoices", "wrong_audience"),
        (["invoices", "web"], "wrong_audience"),
        (["orders/"], "wrong_audience"),
        ([], "wrong_audience"),
    ],
)
def test_one_of_several_audiences_must_be_this_api(issuer, aud, reason):
    assert reason_of(issuer.guard(), issuer.token(GOOD | {"aud": aud})) == reason


BLANKS: tuple[object, ...] = ("", " ", "\t", "\u00a0 ", "\u200b", [""], [" ", ""], [], None)
OTHER_TYPES: tuple[object, ...] = (0, 1, 1.5, True, False, {"x": 1}, {}, [1], [None], ["a", 1], [["a"]])
NO_EVIDENCE: tuple[dict[str, object], ...] = (
    *({name: value} for name in ("scope", "scp") for value in (*BLANKS, *OTHER_TYPES)),
    *({name: value} for name in ("client_id", "cid", "appid") for value in (*BLANKS, *OTHER_TYPES, ["web"])),
    *({"azp": value} for value in (*BLANKS, *OTHER_TYPES, "ORDERS", " Orders ")),
    *({"client_id": value, "cid": value} for value in ("orders", "Orders", "ORDERS ")),
    *({name: value} for name in ("scope", "scp") for value in ("openid", "openid profile", ["openid", "email"], "OpenID")),
    {"scope": "openid profile email address phone offline_access"},
    {"scope": ["openid profile"], "scp": "email"},
)  # fmt: skip


@pytest.fixture(scope="module")
def guards() -> list[tuple[OpenIdIssuer, Guard]]:
    """Return an issuer and B2C, each with the one guard of these tests."""
    other, of_b2c = OpenIdIssuer(ISSUER), b2c()
    return [(other, other.guard()), (of_b2c, of_b2c.guard(authority=of_b2c.configuration))]


@pytest.mark.parametrize("claims", NO_EVIDENCE, ids=str)
def test_blank_or_mistyped_claims_are_not_evidence_of_an_access_token(guards, claims):
    id_token = {"sub": "ada", "azp": "orders", "roles": ["reader"], "nonce": "n"} | claims
    for issuer, guard in guards:
        assert reason_of(guard, issuer.token(GOOD)) == ""
        for azp in ({}, {"azp": ...}):
            assert reason_of(guard, issuer.token(id_token | azp)) in ("id_token", "invalid_claims")


@pytest.mark.parametrize(
    "scope", ["openid", "openid profile email", ["openid", "offline_access"], " ", ["\u200b"]]
)
def test_scopes_of_the_protocol_are_not_a_permission(issuer, scope):
    token = issuer.token({"sub": "ada", "client_id": "web", "scope": scope, "roles": [" "]}, typ="at+jwt")
    with pytest.raises(AccessError) as caught:
        issuer.guard().verify(token)
    assert caught.value.reason == "no_permissions"
    assert "no permission" in str(caught.value.facts["found"])
    assert reason_of(issuer.guard(allowed_clients=["web"]), token) == ""


def test_scopes_in_another_claim_leave_scope_as_evidence(issuer):
    authority = Authority.openid(ISSUER, scopes_claim="permissions")
    claims = {"sub": "ada", "azp": "orders", "permissions": ["read"], "scope": "openid"}
    assert accepted(issuer, claims, authority=authority).scopes == ("read",)
    claims |= {"permissions": [], "scope": "openid orders.read", "roles": ["a"]}
    assert accepted(issuer, claims, authority=authority).scopes == ()


def test_the_refusal_says_what_the_issuer_must_write(issuer):
    with pytest.raises(AccessError) as caught:
        issuer.guard().verify(issuer.token({"sub": "ada", "azp": "orders", "roles": ["a"]}))
    assert caught.value.reason == "id_token"
    assert "at+jwt" in str(caught.value.facts["found"])


def test_a_b2c_access_token_with_a_nonce_passes():
    issuer = b2c()
    guard = issuer.guard(API, authority=issuer.configuration)
    claims = {"aud": API, "ver": "1.0", "sub": "ada", "oid": PERSON, "tfp": "B2C_1_susi", "azp": CLIENT}
    assert guard.verify(issuer.token(claims | {"scp": "read", "nonce": "n"})).scopes == ("read",)
    assert reason_of(guard, issuer.token(claims | {"azp": ..., "nonce": "n"})) == "id_token"


# --- scopes, roles, client -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, ("a", "b")),
        ({"scp": "a  b "}, ("a", "b")),
        ({"scope": ["a", "b"]}, ("a", "b")),
        ({"scp": ["a", "b"]}, ("a", "b")),
        ({"scp": "a\tb\u00a0c"}, ("a\tb\u00a0c",)),
        ({"scope": ["a b"]}, ("a b",)),
        ({"scp": "", "scope": "a"}, ("a",)),
        ({"scp": ["", "a"]}, ("a",)),
    ],
)
def test_scopes_are_a_string_or_an_array(issuer, claims, scopes):
    assert accepted(issuer, {"sub": "ada", "client_id": "web"} | claims).scopes == scopes


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": 5},
        {"scp": {"a": 1}},
        {"scope": ["a", 5]},
        {"roles": 5},
        {"roles": {"a": 1}},
        {"azp": ["web"]},
        {"client_id": 5},
        {"sub": 5},
        {"aud": 5},
        {"aud": ["orders", 5]},
        {"iat": None},
        {"nbf": None},
        {"exp": None},
        {"nbf": "1"},
        {"iat": True},
        {"exp": ...},
    ],
)
def test_a_claim_of_another_type_is_refused(issuer, claims):
    assert reason_of(issuer.guard(), issuer.token(GOOD | claims)) == "invalid_claims"


@pytest.mark.parametrize("ver", [1, 2.0, "1.0", "2.0", "x", None, [1]])
def test_ver_means_nothing_outside_of_entra(issuer, ver):
    caller = accepted(issuer, GOOD | {"ver": ver, "tid": 7, "oid": [1], "uti": 3, "jti": "j"})
    assert (caller.app_id, caller.scopes, caller.tenant_id, caller.token_id) == (
        "web",
        ("orders.read",),
        "",
        "j",
    )


@pytest.mark.parametrize("name", ["azp", "client_id", "cid", "appid"])
def test_the_client_is_in_one_of_four_claims(issuer, name):
    assert accepted(issuer, {"sub": "ada", "scope": "a", name: "Web-1"}).app_id == "Web-1"


def test_roles_scopes_and_client_may_be_elsewhere():
    issuer = OpenIdIssuer("https://idp.example/realms/demo")
    rules = Authority.openid(
        issuer.issuer,
        roles_claim=("resource_access", "orders", "roles"),
        scopes_claim="permissions",
        client_claim="https://idp.example/client",
    )
    caller = accepted(
        issuer,
        {
            "sub": "ada",
            "permissions": ["read"],
            "resource_access": {"orders": {"roles": ["reader"]}, "other": {"roles": ["admin"]}},
            "https://idp.example/client": "web",
        },
        authority=rules,
    )
    assert (caller.roles, caller.scopes, caller.app_id) == (("reader",), ("read",), "web")


def test_one_role_may_be_a_string(issuer):
    assert accepted(issuer, GOOD | {"roles": "reader of books"}).roles == ("reader of books",)


@pytest.mark.parametrize(
    ("shape", "claims"),
    [
        ("https://dev-1.okta.example/oauth2/default", {"cid": "0oa1", "uid": "00u1", "scp": ["openid", "orders.read"], "sub": "a@b.example"}),
        ("https://ids.example", {"client_id": "web", "sub": "1", "scope": ["openid", "orders.read"]}),
        ("https://sas.example", {"sub": "user1", "scope": ["orders.read"]}),
        ("https://t.auth0.example/", {"azp": "web", "sub": "auth0|1", "scope": "openid orders.read"}),
        ("https://idp.example/realms/demo", {"azp": "web", "typ": "Bearer", "sub": "1", "scope": "profile orders.read"}),
    ],
)  # fmt: skip
def test_tokens_of_known_products_pass_with_their_scopes(shape, claims):
    issuer = OpenIdIssuer(shape)
    caller = accepted(issuer, claims)
    Requirement(scopes=["orders.read"]).check(caller)


def test_ad_fs_names_the_issuer_of_access_tokens_in_its_metadata():
    issuer = OpenIdIssuer("https://fs.contoso.example/adfs")
    name = "http://fs.contoso.example/adfs/services/trust"
    issuer.document["access_token_issuer"] = name
    claims = {
        "iss": name,
        "appid": CLIENT,
        "apptype": "Public",
        "ver": "1.0",
        "scp": "orders.read",
        "upn": "a@b",
    }
    guard = issuer.guard()
    caller = guard.verify(issuer.token(claims))
    assert (caller.app_id, caller.scopes, caller.is_app) == (CLIENT, ("orders.read",), None)
    assert reason_of(guard, issuer.token(claims | {"iss": issuer.issuer})) == "wrong_issuer"
    issuer.document["access_token_issuer"] = "http://elsewhere.example/adfs/services/trust"
    assert reason_of(issuer.guard(), issuer.token(claims)) == "keys_unavailable"


# --- user or application ---------------------------------------------------------------------------------

KINDS: list[tuple[str, dict[str, Any], str, bool | None]] = [
    ("RFC 9068, client credentials", {"sub": "svc", "client_id": "svc", "scope": "a"}, "at+jwt", True),
    ("RFC 9068, a machine with another sub", {"sub": "machine", "client_id": "svc", "scope": "a"}, "at+jwt", None),
    ("RFC 9068, a user", {"sub": "ada", "client_id": "web", "auth_time": 1, "amr": ["pwd"], "scope": "a"}, "at+jwt", False),
    ("RFC 9068, auth_time alone", {"sub": "robot", "client_id": "web", "auth_time": 1, "scope": "a"}, "at+jwt", None),
    ("RFC 9068, a method of machines", {"sub": "robot", "client_id": "web", "amr": ["swk"], "scope": "a"}, "at+jwt", None),
    ("RFC 9068, amr of another type", {"sub": "robot", "client_id": "web", "amr": {"pwd": 1}, "scope": "a"}, "at+jwt", None),
    ("amr outside of the profile", {"sub": "ada", "client_id": "web", "amr": ["pwd"], "scope": "a"}, "JWT", None),
    ("auth_time outside of the profile", {"sub": "ada", "client_id": "web", "auth_time": 1, "scope": "a"}, "JWT", None),
    ("Auth0, a machine", {"sub": "x1@clients", "azp": "x1", "gty": "client-credentials", "scope": "a"}, "JWT", True),
    ("Auth0, without gty", {"sub": "x1@clients", "azp": "x1", "scope": "a"}, "JWT", True),
    ("@clients of another client", {"sub": "x1@clients", "azp": "x2", "auth_time": 1, "scope": "a"}, "at+jwt", None),
    ("Auth0, a user", {"sub": "auth0|1", "azp": "x1", "scope": "a"}, "JWT", False),
    ("Auth0, a social user", {"sub": "google-oauth2|1", "azp": "x1", "scope": "a", "aud": ["orders", f"{ISSUER}/userinfo"]}, "JWT", False),
    ("a bar in sub elsewhere", {"sub": "svc|1", "azp": "x1", "scope": "a"}, "JWT", None),
    ("Keycloak, a service account", {"sub": "0d", "azp": "Svc", "client_id": "Svc", "preferred_username": "service-account-svc", "scope": "a"}, "JWT", True),
    ("Keycloak, an old service account", {"sub": "0d", "azp": "svc", "clientId": "svc", "preferred_username": "service-account-svc", "scope": "a"}, "JWT", True),
    ("Keycloak, a user with such a name", {"sub": "0d", "azp": "svc", "typ": "Bearer", "sid": "s", "preferred_username": "service-account-svc", "scope": "a"}, "JWT", None),
    ("Keycloak, a user", {"sub": "0d", "azp": "web", "typ": "Bearer", "sid": "s", "preferred_username": "ada", "scope": "a"}, "JWT", False),
    ("Keycloak, a renamed service account", {"sub": "0d", "azp": "svc", "typ": "Bearer", "sid": "s", "preferred_username": "robot", "clientHost": "10.0.0.1", "clientAddress": "10.0.0.1", "scope": "a"}, "JWT", None),
    ("Keycloak, clientAddress alone", {"sub": "0d", "azp": "svc", "typ": "Bearer", "sid": "s", "preferred_username": "robot", "clientAddress": "", "scope": "a"}, "JWT", None),
    ("Keycloak, clientHost at+jwt", {"sub": "0d", "azp": "svc", "amr": ["pwd"], "preferred_username": "robot", "clientHost": "h", "scope": "a"}, "at+jwt", None),
    ("Keycloak, a renamed account of its client", {"sub": "0d", "azp": "svc", "client_id": "svc", "typ": "Bearer", "sid": "s", "preferred_username": "robot", "scope": "a"}, "JWT", None),
    ("Keycloak, a blank session", {"sub": "0d", "azp": "web", "typ": "Bearer", "sid": " ", "session_state": 1, "preferred_username": "robot", "scope": "a"}, "JWT", None),
    ("Keycloak, a blank name", {"sub": "0d", "azp": "web", "typ": "Bearer", "sid": "s", "preferred_username": " ", "scope": "a"}, "JWT", None),
    ("Okta, uid of another type", {"sub": "robot", "cid": "0oa", "uid": True, "scp": ["a"]}, "JWT", None),
    ("Cognito, a blank username", {"sub": "1", "client_id": "web", "token_use": "access", "username": " ", "scope": "a"}, "JWT", None),
    ("UAA, user_id of another type", {"sub": "robot", "client_id": "web", "grant_type": "password", "user_id": {"a": 1}, "scope": "a"}, "JWT", None),
    ("authentik, a machine", {"sub": "0d", "azp": "web", "preferred_username": "ak-web-client_credentials", "auth_time": 1, "scope": "a"}, "JWT", None),
    ("Okta, a user", {"sub": "ada", "cid": "0oa", "uid": "00u", "scp": ["a"]}, "JWT", False),
    ("Okta, a machine", {"sub": "0oa", "cid": "0oa", "scp": ["a"]}, "JWT", True),
    ("Duende, a machine without sub", {"sub": ..., "client_id": "svc", "scope": ["a"]}, "at+jwt", True),
    ("AD FS, without sub", {"sub": ..., "appid": "svc", "scp": "a"}, "JWT", None),
    ("Cognito, a user", {"sub": "1", "client_id": "web", "token_use": "access", "username": "ada", "scope": "a"}, "JWT", False),
    ("UAA, a machine", {"sub": "svc", "cid": "svc", "client_id": "svc", "grant_type": "client_credentials", "scope": ["a"]}, "JWT", True),
    ("Spring, anybody", {"sub": "user1", "scope": ["a"]}, "JWT", None),
    ("idtyp, a machine", {"sub": "ada", "azp": "web", "idtyp": "app", "scope": "a"}, "JWT", True),
    ("idtyp, a user", {"sub": "web", "azp": "web", "idtyp": "user", "scope": "a"}, "JWT", False),
    ("idtyp of another type", {"sub": "ada", "azp": "web", "idtyp": ["app"], "scope": "a"}, "JWT", None),
]  # fmt: skip


@pytest.mark.parametrize(("_what", "claims", "typ", "is_app"), KINDS, ids=[row[0] for row in KINDS])
def test_a_caller_is_a_user_or_an_application_only_if_the_token_says_so(issuer, _what, claims, typ, is_app):
    caller = accepted(issuer, claims, typ=typ)
    assert caller.is_app is is_app
    users, apps = Requirement(users_only=True), Requirement(app_only=True)
    assert (
        refusal_of(users, caller)
        == {True: "user_token_required", False: "", None: "caller_kind_unknown"}[is_app]
    )
    assert (
        refusal_of(apps, caller)
        == {True: "", False: "app_token_required", None: "caller_kind_unknown"}[is_app]
    )
    assert refusal_of(Requirement(scopes=["a"]), caller) == ""  # also a machine's


def refusal_of(requirement: Requirement, caller) -> str:
    try:
        requirement.check(caller)
    except AccessError as error:
        return error.reason
    return ""


B2C_KINDS: list[tuple[str, dict[str, Any], bool | None]] = [
    ("client credentials", {"sub": PERSON, "oid": PERSON, "tid": TENANT}, True),
    ("a user", {"sub": "ada", "tfp": "B2C_1_susi"}, False),
    ("a user whose oid is emitted", {"sub": PERSON, "oid": PERSON, "tfp": "B2C_1_susi"}, False),
    ("a user of an old policy", {"sub": PERSON, "oid": PERSON, "acr": "b2c_1a_signin"}, False),
    ("both at once", {"sub": PERSON, "oid": PERSON, "tfp": "B2C_1A_x", "azpacr": "1"}, None),
    ("neither", {"sub": "ada"}, None),
    ("only a time of authentication", {"sub": "ada", "auth_time": 1}, None),
    ("only a time, for a service principal", {"sub": PERSON, "oid": PERSON, "auth_time": 1}, None),
    ("a blank policy", {"sub": PERSON, "oid": PERSON, "tfp": " "}, None),
    ("a policy of another type", {"sub": "ada", "acr": True}, None),
]


@pytest.mark.parametrize(("_what", "claims", "is_app"), B2C_KINDS, ids=[row[0] for row in B2C_KINDS])
def test_b2c_has_client_credentials_with_scopes(_what, claims, is_app):
    issuer = b2c()
    caller = issuer.guard(API, authority=issuer.configuration).verify(
        issuer.token({"aud": API, "ver": "1.0", "azp": CLIENT, "scp": "app.read"} | claims)
    )
    assert (caller.is_app, caller.scopes) == (is_app, ("app.read",))


@pytest.mark.parametrize(
    ("rule", "is_app"),
    [
        (lambda claims: claims["kind"] == "robot", True),
        (lambda claims: claims["kind"] == "human", False),
        (lambda claims: claims.get("nothing"), None),
        (lambda claims: claims["absent"], None),
        (lambda _claims: "yes", None),
    ],
)
def test_a_rule_decides_what_the_known_shapes_do_not(issuer, rule, is_app):
    authority = Authority.openid(ISSUER, is_app=rule)
    assert accepted(issuer, GOOD | {"kind": "robot"}, authority=authority).is_app is is_app


def test_a_client_id_read_from_sub_does_not_make_a_user_an_application(issuer):
    authority = Authority.openid(ISSUER, client_claim="sub")
    caller = accepted(issuer, {"sub": "ada", "scope": "a"}, authority=authority)
    assert (caller.app_id, caller.is_app) == ("ada", None)
    assert (
        reason_of(issuer.guard(authority=authority), issuer.token({"sub": "ada", "roles": ["a"]}))
        == "id_token"
    )


# --- allowed clients -------------------------------------------------------------------------------------


def test_allowed_clients_of_any_form_are_compared_exactly(issuer):
    guard = issuer.guard(allowed_clients=["Web-1", "0oa1"])
    token = {"sub": "x", "client_id": "Web-1"}
    assert guard.verify(issuer.token(token)).app_id == "Web-1"  # without scopes and roles
    for other in ("web-1", "WEB-1", "Web-1 ", "Web-2", ""):
        assert (
            reason_of(guard, issuer.token({"sub": "x", "client_id": other}, typ="at+jwt"))
            == "client_not_allowed"
        )


def test_allowed_clients_of_b2c_are_guids_in_any_letter_case():
    issuer = b2c()
    guard = issuer.guard(API, authority=issuer.configuration, allowed_clients=[CLIENT.upper()])
    assert guard.verify(issuer.token({"aud": API, "azp": CLIENT, "sub": "x", "tfp": "p"}))
    with pytest.raises(ConfigurationError, match="GUID"):
        issuer.guard(API, authority=issuer.configuration, allowed_clients=["web"])


# --- keys without kid ------------------------------------------------------------------------------------


def test_a_token_without_kid_uses_the_one_key_of_its_algorithm():
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, "k1", alg="RS256"), jwk(2, None, alg="PS256")))
    guard = issuer.guard()
    assert guard.verify(issuer.token(GOOD, kid=None))
    assert reason_of(guard, issuer.token(GOOD, kid=None, signed_by=2)) == "bad_signature"


def test_a_token_without_kid_is_refused_where_several_keys_could_be_meant():
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, "k1"), jwk(2, "k2")))
    guard = issuer.guard()
    assert guard.verify(issuer.token(GOOD))
    with pytest.raises(AccessError) as caught:
        guard.verify(issuer.token(GOOD, kid=None))
    assert caught.value.reason == "unknown_key"
    assert "no kid" in str(caught.value.facts["found"])


def test_a_token_with_kid_may_use_the_one_key_that_has_none():
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, None), jwk(2, "k2")))
    guard = issuer.guard()
    assert guard.verify(issuer.token(GOOD, kid="any"))
    assert reason_of(guard, issuer.token(GOOD, kid="any", signed_by=2)) == "bad_signature"


def test_two_different_kids_never_match():
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, "k1"),))
    assert reason_of(issuer.guard(), issuer.token(GOOD, kid="k2")) == "unknown_key"


def test_entra_and_b2c_have_kids(entra):
    assert reason_of(entra.guard(), entra.token(headers={"kid": None})) == "algorithm_not_allowed"
    issuer = b2c()
    guard = issuer.guard(API, authority=issuer.configuration)
    claims = {"aud": API, "azp": CLIENT, "sub": "x", "scp": "a"}
    assert guard.verify(issuer.token(claims))
    assert reason_of(guard, issuer.token(claims, kid=None)) == "algorithm_not_allowed"


@pytest.mark.parametrize("kid", [None, "whatever"])
def test_a_rollover_without_kids_is_followed(verify, kid):
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, None),))
    guard = issuer.guard()
    assert verify(guard, issuer.token(GOOD, kid=kid))
    issuer.keys = [jwk(2, None)]
    fetched = len(issuer.requested)
    assert verify(guard, issuer.token(GOOD, kid=kid, signed_by=2))
    assert len(issuer.requested) == fetched + 1
    assert reason_of(guard, issuer.token(GOOD, kid=kid, signed_by=1)) == "bad_signature"


def test_forged_signatures_without_kid_cause_few_fetches_and_no_harm():
    issuer = OpenIdIssuer(ISSUER, keys=(jwk(1, None),))
    guard = issuer.guard(keys=KeySettings(wait=20))
    forged = [issuer.token(GOOD | {"jti": str(n)}, kid=None, signed_by=2) for n in range(20)]
    assert reason_of(guard, forged[0]) == "bad_signature"  # also before any valid token was seen
    fetched = len(issuer.requested)
    assert {reason_of(guard, token) for token in forged} == {"bad_signature"}
    assert len(issuer.requested) <= fetched + 1
    assert guard.verify(issuer.token(GOOD, kid=None))


# --- with other guards, in explain, and without keys -----------------------------------------------------


@pytest.mark.parametrize("entra_first", [True, False])
def test_guards_of_entra_and_of_others_are_combined(entra, issuer, entra_first):
    guards = [entra.guard(), issuer.guard()]
    guard = guards[0] | guards[1] if entra_first else guards[1] | guards[0]
    odd = {"sub": "ada", "client_id": "web", "scope": ["a"], "ver": 2, "tid": 5, "roles": "r"}
    for _twice in range(2):
        assert guard.verify(entra.token()).tenant_id
        assert guard.verify(issuer.token(odd)).scopes == ("a",)
        assert reason_of(guard, issuer.token(odd | {"typ": "ID"})) == "id_token"


def test_explain_reads_the_claims_as_verify_does(issuer):
    guard = issuer.guard()
    assert guard.explain(issuer.token(GOOD | {"scope": ["a"]})).accepted
    for claims in (
        GOOD | {"typ": "Refresh"},
        {"sub": "ada", "roles": ["a"]},
        {"sub": "a", "scope": "a", "iss": "x"},
    ):
        token = issuer.token(claims)
        explanation = guard.explain(token)
        assert explanation.reason == reason_of(guard, token)
        assert explanation.reason in {step.reason for step in explanation.steps if step.verdict == "fail"}


def test_without_keys_an_explanation_checks_what_it_can(issuer):
    issuer.document = {}
    explanation = issuer.guard().explain(issuer.token(GOOD | {"aud": "x", "ver": 2, "scope": ["a"]}))
    verdicts = {step.name: step.verdict for step in explanation.steps}
    assert explanation.reason == "keys_unavailable"
    assert (verdicts["version"], verdicts["audience"], verdicts["issuer"]) == ("pass", "fail", "open")


def test_a_known_caller_of_another_issuer_is_known_by_its_subject(issuer):
    guard = issuer.guard()
    guard.verify(issuer.token(GOOD))
    assert guard._key_manager.active_keys.is_known_caller("ada")


def test_a_flood_of_unknown_kids_does_not_lock_out_a_caller_known_by_its_subject(issuer):
    guard = issuer.guard()
    guard.verify(issuer.token(GOOD))
    for number in range(3):
        forged = issuer.token(GOOD | {"sub": "eve"}, signed_by=2, kid=f"forged {number}")
        assert reason_of(guard, forged) == "unknown_key"
    issuer.keys = [jwk(3, "k3")]
    assert reason_of(guard, issuer.token(GOOD | {"sub": "eve"}, signed_by=3, kid="k3")) == "unknown_key"
    assert reason_of(guard, issuer.token(GOOD, signed_by=3, kid="k3")) == ""


def test_ambiguous_payloads_are_refused(issuer):
    import base64

    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from openid_issuer import private_key

    header, payload, _ = issuer.token(GOOD).split(".")
    twice = base64.urlsafe_b64decode(payload + "==")[:-1] + b',"scope":"admin"}'
    signing_input = f"{header}.{base64.urlsafe_b64encode(twice).rstrip(b'=').decode()}"
    signature = private_key(1).sign(signing_input.encode(), PKCS1v15(), SHA256())
    token = f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert reason_of(issuer.guard(), token) == "invalid_claims"
