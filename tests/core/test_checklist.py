"""The checklist, as one table: what is changed in a good token or policy, and the reason it gives."""

from __future__ import annotations

import re
import time
from itertools import product
from typing import Any

import jwt
import pytest

from entra_guard import AccessError, Tenants
from entra_guard._validation.checklist import CHECKLIST, POST_SIGNATURE_CHECKS, checks_after_signature
from entra_guard._validation.claims import Claims
from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import KeyOrigin
from entra_guard.reasons import REASONS

GUID = "11112222-bbbb-3333-cccc-4444dddd5555"
FABRIKAM = "fab41ca0-1d00-4a11-8b0b-0c0a11ce0002"

# what is odd about the token, how it is issued, how the guard is set up, the reason
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("it expired a leeway ago", {"preset": "expired"}, {}, "expired"),
    ("it has no exp", {"claims": {"exp": None}}, {}, "invalid_claims"),
    ("its exp is a text", {"claims": {"exp": "1795595325"}}, {}, "invalid_claims"),
    ("its exp is true", {"claims": {"exp": True}}, {}, "invalid_claims"),
    ("its exp lies beyond reason", {"claims": {"exp": 10**13}}, {}, "invalid_claims"),
    (
        "its nbf is after its exp",
        {"claims": {"nbf": 2, "exp": 1, "iat": 0}},
        {"clock": lambda: 1.0},
        "invalid_claims",
    ),
    ("it begins later", {"preset": "not-yet-valid"}, {}, "not_yet_valid"),
    ("it was issued in the future", {"claims": {"iat": 9_999_999_999}}, {}, "issued_in_future"),
    ("it has no ver", {"claims": {"ver": None}}, {}, "invalid_claims"),
    ("it is v1.0 and only v2.0 is accepted", {"version": 1}, {"token_versions": "2.0"}, "wrong_version"),
    ("it is v2.0 and only v1.0 is accepted", {}, {"token_versions": "1.0"}, "wrong_version"),
    ("an unknown issuer issued it", {"preset": "wrong-iss"}, {}, "wrong_issuer"),
    ("its issuer and tid differ", {"preset": "iss-tid-mismatch"}, {}, "wrong_issuer"),
    (
        "Google issued it",
        {"claims": {"ver": None, "tid": None, "iss": "https://accounts.google.com"}},
        {},
        "wrong_issuer",
    ),
    (
        "a B2C policy issued it",
        {"claims": {"tid": None, "iss": f"https://contoso.b2clogin.com/{GUID}/v2.0/"}},
        {},
        "wrong_issuer",
    ),
    ("it has no tid", {"claims": {"tid": None}}, {}, "invalid_claims"),
    ("its tid is no GUID", {"claims": {"tid": "contoso"}}, {}, "invalid_claims"),
    ("it has tid twice", {"preset": "duplicate-tid-case"}, {}, "invalid_claims"),
    ("its tid is another tenant's, with our issuer", {"claims": {"tid": GUID}}, {}, "wrong_tenant"),
    (
        "its tid is another tenant's, with our v1.0 issuer",
        {"version": 1, "claims": {"tid": GUID}},
        {},
        "wrong_tenant",
    ),
    (
        "its tid is in capitals",
        {"claims": {"tid": "C0C05A00-1D00-4A11-8B0B-0C0A11CE0001"}},
        {},
        "invalid_claims",
    ),
    ("another tenant issued it", {"preset": "other-tenant"}, {}, "wrong_tenant"),
    (
        "its tenant is none of several",
        {"preset": "other-tenant"},
        {"tenant": Tenants.only(GUID, "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001")},
        "wrong_tenant",
    ),
    (
        "the US Government's cloud issued it",
        {"claims": {"iss": "https://login.microsoftonline.us/x/v2.0"}},
        {},
        "wrong_cloud",
    ),
    ("a personal account owns it", {"preset": "msa-user"}, {}, "personal_account"),
    (
        "a personal account owns it, and organizations are meant",
        {"preset": "msa-user"},
        {"tenant": Tenants.organizations("a test")},
        "personal_account",
    ),
    ("it is for another API", {"preset": "wrong-aud"}, {}, "wrong_audience"),
    ("its aud is a list", {"claims": {"aud": [GUID]}}, {}, "wrong_audience"),
    ("it has no aud", {"claims": {"aud": None}}, {}, "wrong_audience"),
    ("it is for Graph", {"preset": "graph-token"}, {}, "token_for_graph"),
    ("its kid is unknown", {"preset": "unknown-kid"}, {}, "unknown_key"),
    ("another key signed it", {"preset": "forged"}, {}, "bad_signature"),
    ("it was tampered with", {"preset": "tampered"}, {}, "bad_signature"),
    ("the key of personal accounts signed it", {"preset": "kid-of-consumer-key"}, {}, "key_of_other_issuer"),
    ("a key of another cloud signed it", {"preset": "gov-cloud-key"}, {}, "key_of_other_cloud"),
    ("it is an ID token", {"preset": "id-token-as-access-token"}, {}, "id_token"),
    ("its client id is no GUID", {"claims": {"azp": "daemon"}}, {}, "invalid_claims"),
    ("it is app-only and has no oid", {"claims": {"oid": None, "idtyp": "app"}}, {}, "no_service_principal"),
    ("it has no oid, sub and idtyp", {"claims": {"oid": None, "sub": None}}, {}, "no_service_principal"),
    ("it has no oid and permits nothing", {"claims": {"oid": None}, "roles": []}, {}, "no_service_principal"),
    (
        "it has no oid, and its client is allowed",
        {"claims": {"oid": None}, "roles": []},
        {"allowed_clients": [GUID]},
        "no_service_principal",
    ),
    (
        "it is app-only and has a scope",
        {"claims": {"idtyp": "app", "scp": "Orders.Read"}},
        {},
        "invalid_claims",
    ),
    ("it is bound to a certificate", {"preset": "mtls-bound"}, {}, "proof_of_possession_required"),
    ("it is bound to a key", {"preset": "dpop-bound"}, {}, "proof_of_possession_required"),
    ("its client is not allowed", {}, {"allowed_clients": [GUID]}, "client_not_allowed"),
    ("it permits nothing", {"preset": "no-roles"}, {}, "no_permissions"),
    (
        "a guest owns it, and members are meant",
        {"preset": "guest", "user": "alice", "scopes": ["Orders.Read"]},
        {"guests": False},
        "guest_not_allowed",
    ),
    (
        "its user may be a guest, and members are meant",
        {"user": "alice", "scopes": ["Orders.Read"]},
        {"guests": False},
        "guest_not_allowed",
    ),
    ("its scope is a slash", {"roles": [], "claims": {"scp": "/", "idtyp": "user"}}, {}, "no_permissions"),
    ("it does not say RS256", {"preset": "hs256-with-public-key"}, {}, "algorithm_not_allowed"),
    ("it is not signed", {"preset": "alg-none"}, {}, "algorithm_not_allowed"),
    ("it has a critical extension", {"headers": {"crit": ["exp"]}}, {}, "algorithm_not_allowed"),
    ("it is of another type", {"headers": {"typ": "logout+jwt"}}, {}, "id_token"),
    ("it has the hash of an access token", {"claims": {"at_hash": "x"}}, {}, "id_token"),
    ("it has the hash of a code", {"claims": {"c_hash": "x"}}, {}, "id_token"),
    ("it is huge", {"preset": "huge"}, {}, "token_too_large"),
]


@pytest.mark.parametrize(
    ("_what", "token_options", "settings", "reason"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_a_token_is_refused_because(entra, verify, _what, token_options, settings, reason):
    with pytest.raises(AccessError) as caught:
        verify(entra.guard(**settings), entra.token(**token_options))
    assert caught.value.reason == reason


@pytest.mark.parametrize("claim", ["iat", "nbf", "exp"])
@pytest.mark.parametrize("value", [None, "1795595325", True, [], -1])
def test_a_time_that_is_not_a_number_is_refused(entra, claim, value):
    kid = jwt.get_unverified_header(entra.token())["kid"]
    good = jwt.decode(entra.token(), options={"verify_signature": False})
    token = entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": kid}, good | {claim: value})
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(token)
    assert caught.value.reason == "invalid_claims"


@pytest.mark.parametrize(
    ("scp", "scopes"), [("a b", ("a", "b")), (" a  b ", ("a", "b")), ("a\tb\u00a0c", ("a\tb\u00a0c",))]
)
def test_scp_is_split_at_spaces_only(entra, scp, scopes):
    token = entra.token(scopes=["Orders.Read"], user="alice", claims={"scp": scp})
    assert entra.guard().verify(token).scopes == scopes


ACCEPTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("v2.0, app-only", {}, {}),
    ("v1.0, app-only", {"version": 1}, {}),
    ("v2.0, of a user", {"scopes": ["Orders.Read"], "user": "alice"}, {}),
    ("v1.0, of a user", {"scopes": ["Orders.Read"], "user": "alice", "version": 1}, {}),
    ("a minute late", {"lifetime": -50}, {}),
    ("v1.0 with the App ID URI as audience", {"version": 1, "claims": {"aud": "api://{api}"}}, {}),
    ("v1.0 with a slash behind its App ID URI", {"version": 1, "claims": {"aud": "api://{api}/"}}, {}),
    ("of one of several tenants", {}, {"tenant": Tenants.only(GUID, "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001")}),
    ("of another organization, where all are meant", {"preset": "other-tenant"}, {"tenant": Tenants.organizations("a test")}),
    ("of a personal account, where everyone is meant", {"preset": "msa-user"}, {"tenant": Tenants.everyone("a test")}),
    ("of a personal account, where only these are meant", {"preset": "msa-user"}, {"tenant": Tenants.personal()}),
    ("without permissions, of an allowed client", {"preset": "no-roles"}, {"allowed_clients": ["{daemon}"]}),
    ("with an unknown claim", {"claims": {"extn.Shoe": [{"size": 44}]}}, {}),
    ("of a guest", {"preset": "guest", "user": "alice", "scopes": ["Orders.Read"]}, {}),
    ("of an application, where members are meant", {}, {"guests": False}),
    ("with an escape in a text", {"claims": {"name": 'Ada "Countess" Lovelace \u263a'}}, {}),
    ("with a fraction of a second", {"claims": {"iat": 1763386141.25}}, {}),
    ("of the type at+jwt", {"headers": {"typ": "at+jwt"}}, {}),
    ("without a type", {"headers": {"typ": None}}, {}),
    ("that names another key to use", {"headers": {"jku": "https://attacker.example", "x5u": "https://attacker.example"}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("_what", "token_options", "settings"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_a_token_passes(entra, verify, _what, token_options, settings):
    principal = verify(entra.guard(**_named(entra, settings)), entra.token(**_named(entra, token_options)))
    assert principal.app_id
    assert principal.tenant_id == principal.claims["tid"]


def _named(entra, value):
    """Put the ids of this entra in the place of their names."""
    if isinstance(value, dict):
        return {name: _named(entra, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_named(entra, inner) for inner in value]
    if isinstance(value, str) and "{" in value:
        return value.format(api=entra.api.client_id, daemon=entra.caller.client_id)
    return value


def test_every_reason_of_the_checklist_is_in_this_table():
    elsewhere = {
        "missing_token", "missing_bearer", "malformed_authorization", "quoted_token", "token_in_json", "not_a_jwt",
        "missing_scope", "missing_role", "app_token_required", "user_token_required", "caller_kind_unknown",
        "agent_not_allowed", "agent_required", "token_revoked", "auth_context_required", "sign_in_too_old",
        "groups_overage", "groups_unavailable", "tenants_unavailable", "keys_unavailable",
    }  # fmt: skip
    assert {row[3] for row in REFUSED} | elsewhere == set(REASONS)


@pytest.mark.parametrize(
    ("_what", "token_options", "settings", "reason"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_explain_returns_the_reason_of_verify_and_runs_all_checks(
    entra, _what, token_options, settings, reason
):
    explanation = entra.guard(**settings).explain(entra.token(**token_options))
    assert explanation.reason == reason
    assert not explanation.accepted
    failed = [step.reason for step in explanation.steps if step.verdict == "fail"]
    assert reason in failed
    names = [step.name for step in explanation.steps]
    assert [name for name in names if name in {check.name for check in CHECKLIST}] == [
        check.name for check in CHECKLIST
    ]


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ({}, {"tenant", "guest", "agent"}),
        ({"tenant": Tenants.only(GUID, "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001")}, {"guest", "agent"}),
        ({"guests": False}, {"tenant", "agent"}),
        ({"agents": False}, {"tenant", "guest"}),
        ({"agents": "only"}, {"tenant", "guest"}),
    ],
)
def test_only_checks_that_cannot_refuse_under_a_policy_are_left_out(entra, settings, left_out):
    """Whatever the token: of a guest, an agent, a user of another tenant, or an application."""
    policy = entra.guard(**settings).policy
    used = checks_after_signature(policy)
    skipped = [check for check in POST_SIGNATURE_CHECKS if check.decide not in used]
    assert {check.name for check in skipped} == left_out
    issuer, key, now = Issuer("https://login.example/{tenantid}/v2.0"), KeyOrigin(), 0.0
    for tid, acct, idp, facets in product(("", GUID), (None, 0, 1), ("", f"x/{GUID}/"), (None, "11 13")):
        claims = Claims(tid=tid, acct=acct, idp=idp, xms_act_fct=facets, xms_sub_fct=facets)
        assert not any(check.decide(policy, issuer, claims, key, now) for check in skipped)


def test_explain_passes_every_step_of_a_good_token(entra):
    explanation = entra.guard().explain(entra.token())
    assert explanation.accepted
    assert {step.verdict for step in explanation.steps} == {"pass"}
    assert str(explanation).endswith("accepted")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "\u263a.\u263a.\u263a", "x" * 20_000, "e30.e30.e30", "a" * 5]
)
def test_explain_never_raises_for_a_bad_token(entra, token):
    explanation = entra.guard().explain(token)
    assert not explanation.accepted
    assert str(explanation)


def test_explain_reports_failures_after_the_first_one(entra):
    token = entra.token(preset="expired", claims={"aud": GUID})
    failed = {step.name for step in entra.guard().explain(token).steps if step.verdict == "fail"}
    assert failed == {"lifetime", "audience"}


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ('"{}"', "quoted_token"),
        ("'{}'", "quoted_token"),
        ('{{"access_token": "{}"}}', "token_in_json"),
        ("Bearer {}", "not_a_jwt"),
    ],
)
def test_what_a_token_is_wrapped_in_is_named(entra, verify, token, reason):
    with pytest.raises(AccessError) as caught:
        verify(entra.guard(), token.format(entra.token()))
    assert caught.value.reason == reason
    assert entra.guard().explain(token.format(entra.token())).reason == reason


def test_both_issuers_are_named_where_another_claim_shows_that_it_is_another_one(entra):
    token = entra.token(claims={"ver": None, "iss": "https://accounts.google.com"})
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(token)
    facts = caught.value.facts
    assert facts["found"] == "https://accounts.google.com"
    assert facts["expected"] == f"{entra.url}/{entra.tenant_id}/v2.0"


def test_bearer_in_front_of_a_token_is_named(entra):
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(f"Bearer {entra.token()}")
    assert caught.value.facts["found"] == "the word Bearer in front of the token"


def test_times_are_reported_as_people_read_them(entra):
    soon = {"claims": {"iat": int(time.time()) + 7200}}
    for token_options in ({"preset": "expired"}, {"preset": "not-yet-valid"}, soon):
        with pytest.raises(AccessError) as caught:
            entra.guard().verify(entra.token(**token_options))
        assert not re.search(r"\b\d{10}\b", caught.value.report())
        assert re.search(r"exp[^,]* \\?\"?20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", caught.value.report())
        assert not re.search(r"\b\d{10}\b", str(entra.guard().explain(entra.token(**token_options))))


def test_a_wrong_audience_is_reported_with_the_scope_to_request(entra):
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(entra.token(version=1, claims={"aud": f"api:/{entra.api.client_id}"}))
    assert caught.value.facts["nearest"] == f"api://{entra.api.client_id}"
    assert caught.value.facts["request_scope"] == f"api://{entra.api.client_id}/.default"


@pytest.mark.parametrize(
    ("found", "nearest"),
    [
        ("api:/{id}", "api://{id}"),
        ("API://{id}", "api://{id}"),
        ("api://{id}/.default", "api://{id}"),
        ("api://{id}/Orders.Read", "api://{id}"),
        ("https://{id}", "{id}"),
        ("{id}x", "{id}"),
        ("api://another", ""),
        ("", ""),
        ("x" * 11_000, ""),
        ("api://{id}" + "/" * 10_000, "api://{id}"),
    ],
)
def test_the_nearest_audience_is_named(entra, found, nearest):
    name = entra.api.client_id
    for aud in (found.format(id=name), ["api://another", found.format(id=name)]):
        with pytest.raises(AccessError) as caught:
            entra.guard().verify(entra.token(claims={"aud": aud}))
        assert caught.value.facts.get("nearest", "") == nearest.format(id=name)


def test_an_audience_list_costs_a_bounded_number_of_comparisons(entra, monkeypatch):
    from entra_guard._validation import checklist

    compared = []
    count = checklist._common_length
    monkeypatch.setattr(
        checklist, "_common_length", lambda *pair: compared.append(max(map(len, pair))) or count(*pair)
    )
    near = [f"api://{entra.api.client_id[:-8]}{number:08d}" for number in range(200)]
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(entra.token(claims={"aud": near}))
    assert caught.value.facts["nearest"] == ""
    assert len(compared) <= 100
    assert max(compared) <= 200


@pytest.mark.parametrize("ahead", [-3600, 0, 7200])
def test_an_expired_token_is_reported_with_the_difference_to_entras_clock(ahead):
    """A host whose clock is wrong refuses good tokens: the refusal says so."""

    import httpx

    from entra_guard import Guard
    from entra_guard.emulator import Emulator

    entra = Emulator(seed=9)
    api, daemon = entra.register_app("API"), entra.register_app("Daemon")
    guard = Guard(
        tenant=entra.tenant_id,
        audience=api.client_id,
        authority=entra.url,
        http_client=httpx.Client(transport=entra.transport, event_hooks={"response": [dated(time.time())]}),
        clock=lambda: time.time() - ahead,
    )
    with pytest.raises(AccessError) as caught:
        guard.verify(
            entra.issue_token(daemon, audience=api, roles=["r"], claims={"iat": 0, "nbf": 0, "exp": 10})
        )
    assert abs(caught.value.facts["entra_clock_ahead_by_seconds"] - ahead) <= 60
    assert caught.value.facts["expired_for_seconds"] > 1_000_000


def dated(moment):
    from email.utils import formatdate

    def stamp(response):
        response.headers["date"] = formatdate(moment, usegmt=True)

    return stamp


def test_without_keys_the_checks_that_need_none_still_run(entra):
    import httpx

    client = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(500)))
    explanation = entra.guard(http_client=client).explain(entra.token(preset="expired", claims={"aud": GUID}))
    verdicts = {step.name: step.verdict for step in explanation.steps}
    assert explanation.reason == "keys_unavailable"
    assert (verdicts["lifetime"], verdicts["version"], verdicts["audience"]) == ("fail", "pass", "fail")
    assert (verdicts["issuer"], verdicts["key"], verdicts["signature"]) == ("open", "open", "open")
