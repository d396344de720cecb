"""Tokens are Entra's, claim by claim; and wrong in exactly the way that was asked for."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from entra_guard.emulator import CONSUMERS, CONTOSO, FABRIKAM, GRAPH, PRESETS, Emulator

if TYPE_CHECKING:
    from emulator_office import Office


def payload(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_a_v2_app_token_has_entras_claims_in_entras_order(office: Office) -> None:
    claims = office.verified(office.entra.issue_token(office.daemon, audience=office.api))
    assert list(claims) == [
        *(
            "aud",
            "iss",
            "iat",
            "nbf",
            "exp",
            "aio",
            "azp",
            "azpacr",
            "oid",
            "rh",
            "roles",
            "sub",
            "tid",
            "uti",
        ),
        *("ver", "xms_ftd"),
    ]
    assert claims["aud"] == office.api.client_id
    assert claims["iss"] == f"{office.entra.url}/{CONTOSO}/v2.0"
    assert (claims["azp"], claims["azpacr"], claims["ver"]) == (office.daemon.client_id, "1", "2.0")
    assert claims["oid"] == claims["sub"] == office.daemon.service_principal_id
    assert claims["roles"] == ["Orders.Read"]
    assert len(claims["uti"]) == 22


def test_a_v1_app_token_has_entras_claims_in_entras_order(office: Office) -> None:
    office.entra.update_app(office.api, token_version=None)
    token = office.entra.issue_token(office.daemon, audience=office.api)
    claims = office.verified(token, office.api.app_id_uri)
    assert list(claims) == [
        *("aud", "iss", "iat", "nbf", "exp", "aio", "appid", "appidacr", "idp", "oid", "rh", "roles", "sub"),
        *("tid", "uti", "ver", "xms_ftd"),
    ]
    assert claims["iss"] == claims["idp"] == f"{office.entra.url}/{CONTOSO}/"
    assert (claims["appid"], claims["appidacr"], claims["ver"]) == (office.daemon.client_id, "1", "1.0")


def test_only_v1_tokens_have_a_thumbprint_in_the_header(office: Office) -> None:
    kid = office.entra.signing_key.kid
    headers = [
        list(jwt.get_unverified_header(office.entra.issue_token(office.api, version=version)).items())
        for version in (2, 1)
    ]
    usual = [("typ", "JWT"), ("alg", "RS256"), ("kid", kid)]
    assert headers == [usual, [*usual, ("x5t", kid)]]


def test_a_token_is_backdated_by_five_minutes_and_lives_an_hour(office: Office) -> None:
    office.entra.freeze(1_800_000_000)
    claims = payload(office.entra.issue_token(office.daemon, audience=office.api))
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (1_799_999_700, 1_799_999_700, 1_800_003_600)
    assert payload(office.entra.issue_token(office.daemon, lifetime=30))["exp"] == 1_800_000_030


def test_a_v2_user_token_has_scopes_and_a_pairwise_subject(office: Office) -> None:
    entra, alice = office.entra, office.entra.find_user("alice")
    claims = office.verified(entra.issue_token(office.daemon, audience=office.api, user="alice"))
    assert list(claims) == [
        *(
            "aud",
            "iss",
            "iat",
            "nbf",
            "exp",
            "aio",
            "azp",
            "azpacr",
            "name",
            "oid",
            "preferred_username",
            "rh",
        ),
        *("scp", "sub", "tid", "uti", "ver", "xms_ftd"),
    ]
    assert (claims["scp"], claims["oid"], claims["azpacr"]) == ("access_as_user", alice.id, "0")
    assert (claims["name"], claims["preferred_username"]) == ("Alice Adams", alice.upn)
    assert len(claims["sub"]) == 43
    assert claims["sub"] != payload(entra.issue_token(office.daemon, user="alice"))["sub"]
    assert 3600 <= claims["exp"] - entra.now() + 1 <= 5401


def test_a_v1_user_token_has_the_names_v1_tokens_have(office: Office) -> None:
    token = office.entra.issue_token(office.daemon, audience=office.api, user="alice", version=1)
    assert list(payload(token)) == [
        *("aud", "iss", "iat", "nbf", "exp", "acr", "aio", "amr", "appid", "appidacr", "family_name"),
        *("given_name", "ipaddr", "name", "oid", "rh", "scp", "sub", "tid", "unique_name", "upn", "uti"),
        *("ver", "xms_ftd"),
    ]


def test_scopes_asked_for_without_a_user_are_alices(office: Office) -> None:
    claims = payload(office.entra.issue_token(office.daemon, audience=office.api, scopes=["a", "b"]))
    assert (claims["scp"], claims["name"]) == ("a b", "Alice Adams")


def test_a_users_roles_come_from_the_user_and_their_groups(office: Office) -> None:
    entra = office.entra
    entra.assign("alice", office.api, "Orders.Read")
    entra.assign(entra.add_group("Clerks", "alice"), office.api, "Orders.Write")
    claims = payload(entra.issue_token(office.daemon, audience=office.api, user="alice"))
    assert claims["roles"] == ["Orders.Read", "Orders.Write"]
    assert "roles" not in payload(entra.issue_token(office.daemon, audience=office.api, user="bob"))


def test_an_api_gets_groups_and_optional_claims_only_when_it_asks(office: Office) -> None:
    entra = office.entra
    asking = entra.register_app(
        "Asking", optional_claims=["idtyp", "idtyp:include_user_token", "email", "acct"], group_claims=True
    )
    app, user = (
        payload(entra.issue_token(office.daemon, audience=asking, user=who)) for who in (None, "alice")
    )
    assert (app["idtyp"], user["idtyp"], user["acct"]) == ("app", "user", 0)
    assert user["groups"] == [group.id for group in entra.directory.groups.values()]
    assert user["email"] == "alice@contoso.onmicrosoft.com"
    assert "idtyp" not in payload(entra.issue_token(office.daemon, audience=office.api))


def test_a_token_for_an_api_nobody_registered_can_be_had(office: Office) -> None:
    claims = payload(office.entra.issue_token(office.daemon, audience="api://elsewhere", roles=["Any.Role"]))
    assert (claims["aud"], claims["roles"], claims["ver"]) == ("api://elsewhere", ["Any.Role"], "2.0")


def test_claims_and_headers_are_laid_over_and_none_takes_one_away(office: Office) -> None:
    token = office.entra.issue_token(
        office.api, claims={"oid": None, "scp": "x"}, headers={"kid": None, "typ": "at+jwt"}
    )
    assert "oid" not in payload(token)
    assert payload(token)["scp"] == "x"
    assert jwt.get_unverified_header(token) == {"typ": "at+jwt", "alg": "RS256"}


def test_raw_tokens_say_exactly_what_they_were_told(office: Office) -> None:
    token = office.entra.issue_raw(b'{"alg":"RS256","alg":"none"}', b"\xff not json")
    header, body, signature = token.split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"RS256","alg":"none"}'
    assert base64.urlsafe_b64decode(body + "==") == b"\xff not json"
    assert len(signature) == 342
    assert office.entra.issue_raw({"alg": "x"}, {}, key=lambda _: b"abc").endswith(".YWJj")


def test_the_same_seed_and_clock_give_the_same_token() -> None:
    def token() -> str:
        entra = Emulator(seed=3, clock=lambda: 1_800_000_000)
        return entra.issue_token(entra.register_app("Orders"))

    assert token() == token()


VALID = [
    "v1",
    "v2",
    "no-roles",
    "empty-scp",
    "group-overage",
    "guest",
    "cae",
    "huge",
    "mtls-bound",
    "dpop-bound",
]
VALID += [
    "agent-autonomous",
    "agent-for-user",
    "agent-user",
    "duplicate-tid-case",
    "id-token-as-access-token",
]
VALID += ["iss-tid-mismatch", "wrong-iss", "other-tenant", "msa-user", "kid-of-consumer-key", "gov-cloud-key"]
REFUSED = {
    "expired": jwt.ExpiredSignatureError,
    "not-yet-valid": jwt.ImmatureSignatureError,
    "wrong-aud": jwt.InvalidAudienceError,
    "alg-none": KeyError,
    "hs256-with-public-key": jwt.InvalidAlgorithmError,
    "unknown-kid": KeyError,
    "forged": jwt.InvalidSignatureError,
    "tampered": jwt.InvalidSignatureError,
    "graph-token": jwt.InvalidSignatureError,
}


def test_every_preset_is_in_one_of_the_two_lists() -> None:
    assert sorted([*VALID, *REFUSED]) == sorted(PRESETS)
    assert all(preset.summary.endswith(".") for preset in PRESETS.values())


@pytest.mark.parametrize("preset", VALID)
def test_these_presets_have_a_good_signature_and_need_a_closer_look(office: Office, preset: str) -> None:
    token = office.entra.issue_token(office.daemon, audience=office.api, preset=preset)
    audience = office.api.app_id_uri if preset == "v1" else office.api.client_id
    assert office.verified(token, audience)


@pytest.mark.parametrize("preset", REFUSED)
def test_these_presets_fail_for_the_reason_they_name(office: Office, preset: str) -> None:
    token = office.entra.issue_token(office.daemon, audience=office.api, preset=preset)
    with pytest.raises(REFUSED[preset]):
        office.verified(token)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("expired", lambda c, o: c["exp"] < o.entra.now()),
        ("other-tenant", lambda c, _: c["tid"] == FABRIKAM and FABRIKAM in c["iss"]),
        ("iss-tid-mismatch", lambda c, _: c["tid"] == CONTOSO and FABRIKAM in c["iss"]),
        ("wrong-iss", lambda c, _: c["iss"].startswith("https://login.attacker.example/")),
        ("no-roles", lambda c, _: "roles" not in c and "scp" not in c),
        ("empty-scp", lambda c, _: c["scp"] == ""),
        ("id-token-as-access-token", lambda c, _: "azp" not in c and "scp" not in c and "name" in c),
        ("group-overage", lambda c, _: "groups" not in c and c["_claim_names"] == {"groups": "src1"}),
        ("guest", lambda c, o: c["idp"] == f"{o.entra.url}/{FABRIKAM}/" and c["acct"] == 1),
        ("msa-user", lambda c, _: c["tid"] == CONSUMERS and CONSUMERS in c["iss"]),
        ("cae", lambda c, o: c["xms_cc"] == ["cp1"] and c["exp"] - o.entra.now() > 80_000),
        ("duplicate-tid-case", lambda c, _: c["TID"] != c["tid"]),
        ("mtls-bound", lambda c, _: list(c["cnf"]) == ["x5t#S256"]),
        ("dpop-bound", lambda c, _: list(c["cnf"]) == ["jkt"]),
        (
            "agent-autonomous",
            lambda c, _: c["xms_act_fct"] == c["xms_sub_fct"] == "11" and c["idtyp"] == "app",
        ),
        ("agent-for-user", lambda c, _: c["idtyp"] == "user" and "xms_par_app_azp" in c),
        ("agent-user", lambda c, _: c["xms_sub_fct"] == "13"),
        ("tampered", lambda c, _: c["roles"] == ["Everything.ReadWrite.All"]),
        ("graph-token", lambda c, _: c["aud"] == "https://graph.microsoft.com" and c["ver"] == "1.0"),
    ],
)
def test_a_preset_differs_in_what_it_names(office: Office, preset: str, expected: Any) -> None:
    assert expected(
        payload(office.entra.issue_token(office.daemon, audience=office.api, preset=preset)), office
    )


def test_a_huge_token_is_over_16_kibibytes(office: Office) -> None:
    assert len(office.entra.issue_token(office.api, preset="huge")) > 16 * 1024


@pytest.mark.parametrize(
    ("preset", "realm"), [("kid-of-consumer-key", "consumers"), ("gov-cloud-key", "us-government")]
)
def test_a_token_of_a_foreign_realm_names_that_realms_published_key(
    office: Office, preset: str, realm: str
) -> None:
    kid = jwt.get_unverified_header(office.entra.issue_token(office.api, preset=preset))["kid"]
    assert {key.realm for key in office.entra.keys if key.kid == kid} == {realm}


def test_graph_verifies_its_tokens_by_the_hash_of_the_nonce(office: Office) -> None:
    token = office.entra.issue_token(office.daemon, audience=GRAPH)
    header, body, signature = token.split(".")
    written = json.loads(base64.urlsafe_b64decode(header + "=="))
    nonce = base64.urlsafe_b64encode(hashlib.sha256(written["nonce"].encode()).digest()).rstrip(b"=").decode()
    hashed = json.dumps({**written, "nonce": nonce}, separators=(",", ":")).encode()
    true = ".".join([base64.urlsafe_b64encode(hashed).rstrip(b"=").decode(), body, signature])
    assert office.verified(true, "https://graph.microsoft.com")["appid"] == office.daemon.client_id
    with pytest.raises(jwt.InvalidSignatureError):
        office.verified(token, "https://graph.microsoft.com")


def test_an_unknown_preset_lists_the_known_ones(office: Office) -> None:
    with pytest.raises(LookupError, match="Use one of: expired, not-yet-valid"):
        office.entra.issue_token(office.api, preset="perfect")


def test_after_a_rotation_new_tokens_have_a_new_key_and_old_ones_still_verify(office: Office) -> None:
    old = office.entra.issue_token(office.api)
    new_key = office.entra.rotate_keys()
    new = office.entra.issue_token(office.api)
    assert jwt.get_unverified_header(new)["kid"] == new_key.kid
    assert office.verified(old)
    assert office.verified(new)


def test_a_sudden_rotation_leaves_no_old_key(office: Office) -> None:
    old = office.entra.signing_key.kid
    new = office.entra.rotate_keys(overlap=False)
    assert old not in office.published()
    assert new.kid in office.published()


def test_new_material_under_the_same_kid_breaks_old_tokens(office: Office) -> None:
    old, kid = office.entra.issue_token(office.api), office.entra.signing_key.kid
    office.entra.rotate_keys(same_kid=True)
    assert list(office.published()).count(kid) == 1
    assert office.verified(office.entra.issue_token(office.api))
    with pytest.raises(jwt.InvalidSignatureError):
        office.verified(old)


def test_a_withdrawn_key_is_gone_and_another_signs(office: Office) -> None:
    kid = office.entra.signing_key.kid
    office.entra.withdraw_key(kid)
    assert kid not in office.published()
    assert office.verified(office.entra.issue_token(office.api))
    with pytest.raises(LookupError, match="No published key"):
        office.entra.withdraw_key(kid)
    with pytest.raises(ValueError, match="last signing key"):
        office.entra.withdraw_key(office.entra.signing_key.kid)


def test_a_misspelt_keyword_is_answered_with_those_there_are(office: Office) -> None:
    with pytest.raises(TypeError, match=r"^issue_token\(\) has no argument 'role'\. Did you mean 'roles'\?"):
        office.entra.issue_token(office.daemon, role="Orders.Read")  # type: ignore[call-arg]
    order = {"client": office.daemon.client_id, "audiense": office.api.client_id}
    answer = office.web.post("/_emu/token", json=order)
    assert answer.status_code == 400
    assert "Did you mean 'audience'? It has: client, audience, roles, " in answer.json()["error"]
