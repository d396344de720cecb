"""Tokens have Entra's claims, and presets change exactly what they name."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from emulator_requests import published_keys, verified_claims

from entra_guard.emulator import CONSUMERS, CONTOSO, FABRIKAM, GRAPH, PRESETS, Emulator

if TYPE_CHECKING:
    from entra_guard.testing import Entra


def payload(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_a_v2_app_token_has_entras_claims_in_entras_order(entra: Entra) -> None:
    claims = verified_claims(entra, entra.issue_token(entra.caller, audience=entra.api))
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
    assert claims["aud"] == entra.api.client_id
    assert claims["iss"] == f"{entra.url}/{CONTOSO}/v2.0"
    assert (claims["azp"], claims["azpacr"], claims["ver"]) == (entra.caller.client_id, "1", "2.0")
    assert claims["oid"] == claims["sub"] == entra.caller.service_principal_id
    assert claims["roles"] == ["Orders.Read"]
    assert len(claims["uti"]) == 22


def test_a_v1_app_token_has_entras_claims_in_entras_order(entra: Entra) -> None:
    entra.update_app(entra.api, token_version=None)
    token = entra.issue_token(entra.caller, audience=entra.api)
    claims = verified_claims(entra, token, entra.api.app_id_uri)
    assert list(claims) == [
        *("aud", "iss", "iat", "nbf", "exp", "aio", "appid", "appidacr", "idp", "oid", "rh", "roles", "sub"),
        *("tid", "uti", "ver", "xms_ftd"),
    ]
    assert claims["iss"] == claims["idp"] == f"{entra.url}/{CONTOSO}/"
    assert (claims["appid"], claims["appidacr"], claims["ver"]) == (entra.caller.client_id, "1", "1.0")


def test_only_v1_tokens_have_a_thumbprint_in_the_header(entra: Entra) -> None:
    kid = entra.signing_key.kid
    headers = [
        list(jwt.get_unverified_header(entra.issue_token(entra.api, version=version)).items())
        for version in (2, 1)
    ]
    usual = [("typ", "JWT"), ("alg", "RS256"), ("kid", kid)]
    assert headers == [usual, [*usual, ("x5t", kid)]]


def test_a_token_is_backdated_by_five_minutes_and_valid_for_one_hour(entra: Entra) -> None:
    entra.freeze(1_800_000_000)
    claims = payload(entra.issue_token(entra.caller, audience=entra.api))
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (1_799_999_700, 1_799_999_700, 1_800_003_600)
    assert payload(entra.issue_token(entra.caller, lifetime=30))["exp"] == 1_800_000_030


def test_a_v2_user_token_has_scopes_and_a_pairwise_subject(entra: Entra) -> None:
    alice = entra.find_user("alice")
    claims = verified_claims(entra, entra.issue_token(entra.caller, audience=entra.api, user="alice"))
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
    assert claims["sub"] != payload(entra.issue_token(entra.caller, user="alice"))["sub"]
    assert 3900 <= claims["exp"] - claims["iat"] <= 5700  # `iat` is five minutes ago


def test_a_v1_user_token_has_v1_claim_names(entra: Entra) -> None:
    token = entra.issue_token(entra.caller, audience=entra.api, user="alice", version=1)
    assert list(payload(token)) == [
        *("aud", "iss", "iat", "nbf", "exp", "acr", "aio", "amr", "appid", "appidacr", "family_name"),
        *("given_name", "ipaddr", "name", "oid", "rh", "scp", "sub", "tid", "unique_name", "upn", "uti"),
        *("ver", "xms_ftd"),
    ]


def test_scopes_without_a_user_are_for_the_first_user(entra: Entra) -> None:
    claims = payload(entra.issue_token(entra.caller, audience=entra.api, scopes=["a", "b"]))
    assert (claims["scp"], claims["name"]) == ("a b", "Alice Adams")


def test_a_users_roles_come_from_the_user_and_their_groups(entra: Entra) -> None:
    entra.assign("alice", entra.api, "Orders.Read")
    entra.assign(entra.add_group("Clerks", "alice"), entra.api, "Orders.Write")
    claims = payload(entra.issue_token(entra.caller, audience=entra.api, user="alice"))
    assert claims["roles"] == ["Orders.Read", "Orders.Write"]
    assert "roles" not in payload(entra.issue_token(entra.caller, audience=entra.api, user="bob"))


def test_groups_and_optional_claims_are_present_only_if_registered(entra: Entra) -> None:
    asking = entra.register_app(
        "Asking", optional_claims=["idtyp", "idtyp:include_user_token", "email", "acct"], group_claims=True
    )
    app, user = (
        payload(entra.issue_token(entra.caller, audience=asking, user=who)) for who in (None, "alice")
    )
    assert (app["idtyp"], user["idtyp"], user["acct"]) == ("app", "user", 0)
    assert user["groups"] == [group.id for group in entra.directory.groups.values()]
    assert user["email"] == "alice@contoso.onmicrosoft.com"
    assert "idtyp" not in payload(entra.issue_token(entra.caller, audience=entra.api))


def test_a_token_for_an_unregistered_api_can_be_issued(entra: Entra) -> None:
    claims = payload(entra.issue_token(entra.caller, audience="api://elsewhere", roles=["Any.Role"]))
    assert (claims["aud"], claims["roles"], claims["ver"]) == ("api://elsewhere", ["Any.Role"], "2.0")


def test_claims_and_headers_are_replaced_and_none_removes_one(entra: Entra) -> None:
    token = entra.issue_token(
        entra.api, claims={"oid": None, "scp": "x"}, headers={"kid": None, "typ": "at+jwt"}
    )
    assert "oid" not in payload(token)
    assert payload(token)["scp"] == "x"
    assert jwt.get_unverified_header(token) == {"typ": "at+jwt", "alg": "RS256"}


def test_raw_tokens_have_exactly_the_given_content(entra: Entra) -> None:
    token = entra.issue_raw(b'{"alg":"RS256","alg":"none"}', b"\xff not json")
    header, body, signature = token.split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"RS256","alg":"none"}'
    assert base64.urlsafe_b64decode(body + "==") == b"\xff not json"
    assert len(signature) == 342
    assert entra.issue_raw({"alg": "x"}, {}, key=lambda _: b"abc").endswith(".YWJj")


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


def test_every_preset_is_tested() -> None:
    assert sorted([*VALID, *REFUSED]) == sorted(PRESETS)
    assert all(preset.summary.endswith(".") for preset in PRESETS.values())


@pytest.mark.parametrize("preset", VALID)
def test_these_presets_have_a_valid_signature(entra: Entra, preset: str) -> None:
    token = entra.issue_token(entra.caller, audience=entra.api, preset=preset)
    audience = entra.api.app_id_uri if preset == "v1" else entra.api.client_id
    assert verified_claims(entra, token, audience)


@pytest.mark.parametrize("preset", REFUSED)
def test_these_presets_are_refused_by_pyjwt(entra: Entra, preset: str) -> None:
    token = entra.issue_token(entra.caller, audience=entra.api, preset=preset)
    with pytest.raises(REFUSED[preset]):
        verified_claims(entra, token)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("expired", lambda c, o: c["exp"] < o.now()),
        ("other-tenant", lambda c, _: c["tid"] == FABRIKAM and FABRIKAM in c["iss"]),
        ("iss-tid-mismatch", lambda c, _: c["tid"] == CONTOSO and FABRIKAM in c["iss"]),
        ("wrong-iss", lambda c, _: c["iss"].startswith("https://login.attacker.example/")),
        ("no-roles", lambda c, _: "roles" not in c and "scp" not in c),
        ("empty-scp", lambda c, _: c["scp"] == ""),
        ("id-token-as-access-token", lambda c, _: "azp" not in c and "scp" not in c and "name" in c),
        ("group-overage", lambda c, _: "groups" not in c and c["_claim_names"] == {"groups": "src1"}),
        ("guest", lambda c, o: c["idp"] == f"{o.url}/{FABRIKAM}/" and c["acct"] == 1),
        ("msa-user", lambda c, _: c["tid"] == CONSUMERS and CONSUMERS in c["iss"]),
        ("cae", lambda c, o: c["xms_cc"] == ["cp1"] and c["exp"] - o.now() > 80_000),
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
def test_a_preset_changes_what_its_name_says(entra: Entra, preset: str, expected: Any) -> None:
    assert expected(payload(entra.issue_token(entra.caller, audience=entra.api, preset=preset)), entra)


def test_a_huge_token_is_over_16_kibibytes(entra: Entra) -> None:
    assert len(entra.issue_token(entra.api, preset="huge")) > 16 * 1024


@pytest.mark.parametrize(
    ("preset", "realm"), [("kid-of-consumer-key", "consumers"), ("gov-cloud-key", "us-government")]
)
def test_a_token_of_another_realm_has_that_realms_key(entra: Entra, preset: str, realm: str) -> None:
    kid = jwt.get_unverified_header(entra.issue_token(entra.api, preset=preset))["kid"]
    assert {key.realm for key in entra.keys if key.kid == kid} == {realm}


def test_the_signature_of_a_graph_token_covers_the_hashed_nonce(entra: Entra) -> None:
    token = entra.issue_token(entra.caller, audience=GRAPH)
    header, body, signature = token.split(".")
    written = json.loads(base64.urlsafe_b64decode(header + "=="))
    nonce = base64.urlsafe_b64encode(hashlib.sha256(written["nonce"].encode()).digest()).rstrip(b"=").decode()
    hashed = json.dumps({**written, "nonce": nonce}, separators=(",", ":")).encode()
    true = ".".join([base64.urlsafe_b64encode(hashed).rstrip(b"=").decode(), body, signature])
    assert verified_claims(entra, true, "https://graph.microsoft.com")["appid"] == entra.caller.client_id
    with pytest.raises(jwt.InvalidSignatureError):
        verified_claims(entra, token, "https://graph.microsoft.com")


def test_an_unknown_preset_lists_the_known_ones(entra: Entra) -> None:
    with pytest.raises(LookupError, match="Use one of: expired, not-yet-valid"):
        entra.issue_token(entra.api, preset="perfect")


def test_after_a_rotation_new_tokens_have_a_new_key_and_old_ones_still_verify(entra: Entra) -> None:
    old = entra.issue_token(entra.api)
    new_key = entra.rotate_keys()
    new = entra.issue_token(entra.api)
    assert jwt.get_unverified_header(new)["kid"] == new_key.kid
    assert verified_claims(entra, old)
    assert verified_claims(entra, new)


def test_a_rotation_without_overlap_removes_old_keys(entra: Entra) -> None:
    old = entra.signing_key.kid
    new = entra.rotate_keys(overlap=False)
    assert old not in published_keys(entra)
    assert new.kid in published_keys(entra)


def test_a_new_key_with_the_same_kid_invalidates_old_tokens(entra: Entra) -> None:
    old, kid = entra.issue_token(entra.api), entra.signing_key.kid
    entra.rotate_keys(same_kid=True)
    assert list(published_keys(entra)).count(kid) == 1
    assert verified_claims(entra, entra.issue_token(entra.api))
    with pytest.raises(jwt.InvalidSignatureError):
        verified_claims(entra, old)


def test_after_withdrawing_a_key_the_next_one_signs(entra: Entra) -> None:
    kid = entra.signing_key.kid
    entra.withdraw_key(kid)
    assert kid not in published_keys(entra)
    assert verified_claims(entra, entra.issue_token(entra.api))
    with pytest.raises(LookupError, match="No published key"):
        entra.withdraw_key(kid)
    with pytest.raises(ValueError, match="last signing key"):
        entra.withdraw_key(entra.signing_key.kid)


def test_a_misspelt_keyword_gets_a_suggestion(entra: Entra) -> None:
    with pytest.raises(TypeError, match=r"^issue_token\(\) has no argument 'role'\. Did you mean 'roles'\?"):
        entra.issue_token(entra.caller, role="Orders.Read")  # type: ignore[call-arg]
    with pytest.raises(
        TypeError, match=r"^register_app\(\) has no argument 'roles'\. Did you mean 'app_roles'\?"
    ):
        entra.register_app("Orders", roles=["Orders.Read"])  # type: ignore[call-arg]
    assert entra.update_app(entra.api, enabled=False).enabled is False
    order = {"client": entra.caller.client_id, "audiense": entra.api.client_id}
    answer = entra.http_client.post("/_emu/token", json=order)
    assert answer.status_code == 400
    assert "Did you mean 'audience'? It has: client, audience, roles, " in answer.json()["error"]


@pytest.mark.parametrize("version", [3, 0, "2.0"])
def test_an_unknown_version_is_refused(entra: Entra, version: Any) -> None:
    with pytest.raises(ValueError, match="version must be 1 or 2, got"):
        entra.token(version=version)


@pytest.mark.parametrize("seconds", ["60", None, float("nan"), float("inf")])
def test_the_clock_moves_by_a_finite_number_only(entra: Entra, seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds must be a finite number, got"):
        entra.advance(seconds)
