"""The portal's pages about tokens: obtaining, checking, and calling the sample API behind the real guard."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from portal_requests import open_page, send_form, words

from entra_guard.emulator import PRESETS
from entra_guard.emulator._directory.samples import DAEMON
from entra_guard.emulator._portal.durations import relative_words
from entra_guard.emulator._portal.help.error_codes import CAUSES
from entra_guard.emulator._portal.tokens.conditions_of_tokens import condition_groups
from entra_guard.emulator._portal.tokens.guard_remedies import remedy_for
from entra_guard.emulator._portal.tokens.permission_sources import permission_sources
from entra_guard.emulator._portal.tokens.token_facts import claim_rows, decode_token, shape_of
from entra_guard.emulator._portal.tokens.verdicts import value_text
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from entra_guard.emulator import AppRegistration, User
    from entra_guard.testing import Entra


def get_token(entra: Entra, **fields: Any) -> str:
    chosen = {"client": entra.caller.client_id, "api": entra.api.client_id, **fields}
    response = send_form(entra, "/portal/token", chosen)
    assert response.status_code == 200, words(response)
    return words(response)


def test_a_token_is_requested_at_the_token_endpoint_and_accepted_by_the_guard(entra: Entra) -> None:
    entra.add_secret(entra.caller)
    held = entra.directory.credentials_of(entra.caller.client_id)
    shown = get_token(entra)
    assert "An API with this guard would answer 200" in shown
    assert "grant_type=client_credentials" in shown
    assert "Authorized party: the client that requested the token." in shown
    exchange = next(e for e in entra.request_log.exchanges if e.flow == "client_credentials")
    assert (exchange.client, exchange.result) == (entra.caller.name, "200")
    # The secret that the page used is gone, and was never shown.
    assert entra.directory.credentials_of(entra.caller.client_id) == held
    assert "<the value of a client secret>" in shown


def test_an_app_without_credentials_gets_entras_error_with_what_to_do(entra: Entra) -> None:
    shown = get_token(entra)
    assert "AADSTS7000218" in shown
    assert "What to do: Send client_secret or client_assertion." in shown


def test_a_user_gets_a_token_through_an_app_with_a_redirect_uri(entra: Entra) -> None:
    alice = entra.find_user("alice").id
    assert "AADSTS900971" in get_token(entra, user=alice)
    page = entra.register_app("Page", spa_redirect_uris=["http://localhost:8000/"])
    shown = get_token(entra, client=page.client_id, user=alice)
    assert "would answer 200" in shown
    assert "grant_type=authorization_code" in shown
    assert "Alice Adams" in shown
    assert "Origin: http://localhost:8000" in shown
    assert "A code works once" in shown
    refused = get_token(entra, client=page.client_id, user=alice, permissions="these", permission="Unknown")
    assert "AADSTS650053" in refused


def test_the_page_says_where_each_permission_comes_from(entra: Entra) -> None:
    page = entra.register_app("Page", spa_redirect_uris=["http://localhost:8000/"])
    alice, bob = entra.find_user("alice"), entra.find_user("bob")

    def sources(client: AppRegistration, user: User | None = None) -> dict[str, tuple[bool, str]]:
        found = permission_sources(entra.directory, entra.tenant_id, client, entra.api, user)
        return {source.value: (source.granted, source.why) for source in found}

    assert sources(entra.caller) == {
        "Orders.Read": (True, "granted by an administrator"),
        "Orders.Write": (False, "not granted"),
    }
    entra.consent(page)
    assert sources(page, alice)["access_as_user"] == (False, "Alice Adams consents at sign-in")
    entra.assign("alice", entra.api, "Orders.Read")
    group = entra.add_group("Packers", "bob")
    entra.assign(group, entra.api, "Orders.Write")
    get_token(entra, client=page.client_id, user=alice.id)
    assert sources(page, alice)["access_as_user"] == (True, "consented to by Alice Adams")
    assert sources(page, alice)["Orders.Read"] == (True, "assigned to Alice Adams")
    assert sources(page, bob)["Orders.Write"] == (True, "assigned to the group Packers")
    assert sources(page, bob)["Orders.Read"] == (False, "not assigned")
    shown = words(
        open_page(entra, f"/portal/token?client={entra.caller.client_id}&api={entra.api.client_id}")
    )
    assert "granted by an administrator" in shown


def test_chosen_permissions_are_in_the_token_without_a_request(entra: Entra) -> None:
    shown = get_token(entra, permissions="these", permission="Orders.Write")
    assert "roles Orders.Write" in shown
    assert "No client requested this token" in shown
    assert not entra.count("token")


@pytest.mark.parametrize(("reason", "condition"), CAUSES.items())
def test_each_cause_on_the_page_of_error_codes_has_its_effect(
    entra: Entra, reason: str, condition: str
) -> None:
    token = entra.token(roles=["Orders.Read"], preset=condition)
    assert entra.guard().explain(token).reason == reason


def test_a_refused_token_shows_the_verdict_and_the_remedy_with_real_ids(entra: Entra) -> None:
    shown = get_token(entra, condition="graph-token")
    assert "An API with this guard would answer 401 token_for_graph" in shown
    assert f"Let {entra.caller.name} request the scope {entra.api.default_scope}" in shown


def test_the_page_offers_an_api_that_the_client_may_call_or_the_newest(entra: Entra) -> None:
    def offered(query: str) -> str:
        found = re.search(r"selected>([^<]*)<", selects(query)["api"])
        return found[1] if found else ""

    def selects(query: str) -> dict[str, str]:
        text = open_page(entra, f"/portal/token?{query}").text
        return dict(re.findall(r'<select id="(\w+)".*?>(.*?</select>)', text, re.DOTALL))

    entra.add_samples()
    assert offered("") == entra.api.name  # the newest that is not a sample
    assert offered(f"client={DAEMON}") == "Tasks API"
    newest = entra.register_app("Newest", scopes=["x"])
    assert offered("") == "Newest"
    assert offered(f"client={entra.caller.client_id}") == entra.api.name
    assert offered(f"client={entra.caller.client_id}&api={newest.client_id}") == "Newest"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("expired", "This one expired 1 h ago."),
        ("not-yet-valid", "It is valid in "),
        ("wrong-aud", "Let The caller request the scope api://"),
        ("no-roles", "Give The caller an app role of The API under test"),
        ("other-tenant", "Request the token from Contoso, or accept the tenant fab41ca0-"),
        ("wrong-iss", "its issuer is http://entra.localhost/c0c05a00-"),
        ("unknown-kid", "is not published"),
        ("id-token-as-access-token", "not the id_token"),
        ("msa-user", "a work or school account of Contoso"),
    ],
)
def test_a_remedy_names_the_values_of_the_case(entra: Entra, condition: str, expected: str) -> None:
    assert expected in get_token(entra, condition=condition)


def test_no_remedy_refers_to_a_log_that_is_not_on_the_page(entra: Entra) -> None:
    for reason in REASONS.values():
        text = remedy_for(reason.name, reason.fix, {}, entra.api, {})
        assert not re.search("in the log|this line|The facts", text), text
    token = entra.token(preset="no-roles")
    response = send_form(entra, "/portal/check", {"token": token, "api": entra.api.client_id})
    assert f"/portal/apps/{entra.caller.client_id}/permissions" in response.text


def test_an_unknown_condition_is_an_error_at_its_field(entra: Entra) -> None:
    response = send_form(entra, "/portal/token", {"condition": "nonsense"})
    assert response.status_code == 422
    assert "There is no condition nonsense" in words(response)


def test_a_checked_token_shows_failed_steps_first_and_the_claims(entra: Entra) -> None:
    token = entra.token(roles=["Orders.Read"], preset="expired")
    shown = words(send_form(entra, "/portal/check", {"token": token, "api": entra.api.client_id}))
    assert "401 expired" in shown
    assert shown.index("failed: lifetime") < shown.index("passed: form")
    assert "1 h ago" in shown
    unknown = entra.token(roles=["Orders.Read"], preset="unknown-kid")
    shown = words(send_form(entra, "/portal/check", {"token": unknown, "api": entra.api.client_id}))
    assert shown.index("failed: key") < shown.index("skipped: signature not reached: the key is unknown")


@pytest.mark.parametrize("sample", ["good", "expired", "graph"])
def test_a_sample_can_be_checked(entra: Entra, sample: str) -> None:
    shown = words(send_form(entra, "/portal/check", {"sample": sample}))
    assert {"good": "Accepted", "expired": "401 expired", "graph": "401 token_for_graph"}[sample] in shown


def test_a_huge_token_makes_a_page_of_at_most_60_kb(entra: Entra) -> None:
    chosen = {"client": entra.caller.client_id, "api": entra.api.client_id, "condition": "huge"}
    response = send_form(entra, "/portal/token", chosen)
    assert "401 token_too_large" in words(response)
    assert len(response.content) < 60_000


@pytest.mark.parametrize(
    "claims",
    [
        {"name": "\ud800", "\udfff": "\ud800"},
        {"exp": float("nan"), "iat": float("inf"), "nbf": 10**400},
        {"name": "<script>alert(1)</script>", "aud": ["<b>"], "roles": {"a": [["b"]]}},
    ],
)
def test_a_token_with_strange_claims_is_shown(entra: Entra, claims: dict[str, Any]) -> None:
    token = entra.issue_raw({"alg": "RS256", "kid": "\ud800"}, {"ver": "2.0", **claims})
    response = send_form(entra, "/portal/check", {"token": token, "api": entra.api.client_id})
    assert response.status_code == 200
    assert "<script>alert" not in response.text
    assert "<b>" not in response.text


def test_no_token_is_in_an_address_or_in_the_activity(entra: Entra) -> None:
    token = entra.token(roles=["Orders.Read"])
    send_form(entra, "/portal/check", {"token": token})
    response = send_form(entra, "/portal/conditions/call", {"token": token, "api": entra.api.client_id})
    assert token not in response.headers["location"]
    assert token not in open_page(entra, "/portal/conditions").text
    assert token not in repr(entra.request_log.exchanges)


_JWT = base64.urlsafe_b64encode(json.dumps({"a": 1}).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "words_in_it"),
    [
        ("", "no text"),
        (f"Bearer {_JWT}.{_JWT}.x", "Bearer was left in front"),
        (f'"{_JWT}.{_JWT}.x"', "in quotes"),
        ('{"access_token": "x"}', "value of access_token"),
        ("undefined", "no token yet"),
        ("-----BEGIN CERTIFICATE-----", "PEM"),
        ("a.b.c.d.e", "encrypted"),
        (f"{_JWT} {_JWT}", "white space"),
        (f"{_JWT}.{_JWT}", "cut off"),
        ("eyJ!.eyJ!.x", "cannot be decoded"),
        ("1.AQAAfoo", "refresh token"),
        ("nonsense", "opaque"),
        ("\ud800.\udc00.x", "opaque"),
    ],
)
def test_what_is_not_a_token_is_named(text: str, words_in_it: str) -> None:
    assert decode_token(text) is None
    assert words_in_it in shape_of(text)


def test_claims_are_explained_with_names_and_relative_times() -> None:
    tenant = "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001"
    claims = {"exp": 3600, "nbf": True, "iat": 1e99, "tid": tenant, "groups": [tenant, 7], "own": {"a": 1}}
    rows = {row.name: row for row in claim_rows(claims, 0, {tenant: "Contoso"})}
    assert rows["exp"].detail == "in 1 h (1970-01-01 01:00:00 UTC)"
    assert rows["iat"].detail == "not a time"
    assert (rows["tid"].detail, rows["groups"].detail) == ("Contoso", "Contoso")
    assert (rows["own"].value, rows["nbf"].value) == ('{"a": 1}', "true")
    assert rows["own"].meaning == "An additional claim."


def test_every_preset_is_in_one_group_of_conditions() -> None:
    listed = [condition.name for _, conditions in condition_groups() for condition in conditions]
    assert sorted(listed) == sorted(PRESETS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (59, "in 59 s"), (-61, "1 min ago"), (3599, "in 59 min"), (-7200, "2 h ago")],
)
def test_times_are_relative(seconds: float, text: str) -> None:
    assert relative_words(seconds) == text


def test_facts_of_the_guard_are_one_line() -> None:
    assert value_text(["a", "b"]) == "a or b"
    assert value_text({"iat": 1, "exp": [2, 3]}) == "iat 1, exp 2 or 3"
