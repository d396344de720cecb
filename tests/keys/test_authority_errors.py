"""What Entra says about a wrong tenant reaches the log, health, strict_startup and explain."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from keys_entra import settle

from entra_guard import Authority, FetchError, Guard
from entra_guard._keys.authority_errors import explain_error
from entra_guard._keys.documents import Source

if TYPE_CHECKING:
    from keys_entra import Callers, KeysEntra

WORDS = "Entra knows no tenant contso.com (AADSTS90002): check `tenant`"
CLOUD = "https://login.microsoftonline.com"
SOURCE = Source(Authority.named("public"), "contso.com", frozenset({"1.0", "2.0"}))


def test_a_wrong_tenant_is_named_with_the_setting_to_check(
    entra: KeysEntra, callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.guard(tenant="contso.com")
    with caplog.at_level(logging.WARNING, "entra_guard.keys"):
        answer = callers.verify(guard, entra.token())
    assert (answer.status, answer.reason, answer.facts["step"]) == (503, "keys_unavailable", "http")
    assert WORDS in str(answer.facts["detail"])
    assert WORDS in caplog.text
    assert WORDS in guard.health().last_error
    settle(guard)


def test_a_wrong_tenant_gets_no_advice_about_the_network(entra: KeysEntra) -> None:
    guard = entra.guard(tenant="contso.com")
    explanation = str(guard.explain(entra.token()))
    assert WORDS in explanation
    for word in ("DNS", "firewall", "proxy", "Let this host"):
        assert word not in explanation


def test_strict_startup_fails_with_what_entra_says(entra: KeysEntra) -> None:
    with pytest.raises(FetchError, match="AADSTS90002") as caught:
        entra.guard(tenant="contso.com", strict_startup=True)
    assert WORDS in str(caught.value)


def test_an_error_that_is_final_is_not_retried_at_once(entra: KeysEntra) -> None:
    with pytest.raises(FetchError):
        entra.guard(tenant="contso.com", strict_startup=True)
    assert len(entra.requests) == 1


def test_a_network_fault_gets_advice_about_the_network(entra: KeysEntra, callers: Callers) -> None:
    entra.fail("all", "refused")
    answer = callers.verify(entra.guard(), entra.token())
    assert "Let this host reach the URL" in str(answer.facts["advice"])


@pytest.mark.parametrize(
    ("preset", "name", "reason"),
    [
        ("expired", "lifetime", "expired"),
        ("wrong-aud", "audience", "wrong_audience"),
        ("mtls-bound", "kind of token", "proof_of_possession_required"),
    ],
)
def test_explain_checks_what_it_can_without_keys(
    entra: KeysEntra, preset: str, name: str, reason: str
) -> None:
    guard = entra.guard(tenant="contso.com")
    steps = {step.name: step for step in guard.explain(entra.token(preset=preset)).steps}
    assert (steps[name].verdict, steps[name].reason) == ("fail", reason)
    assert [name for name, step in steps.items() if step.verdict == "open"] == [
        "issuer",
        "key",
        "signature",
        "key origin",
        "tenant",
    ]


def test_explain_checks_permissions_without_keys(entra: KeysEntra) -> None:
    guard = entra.guard(tenant="contso.com")
    token = entra.issue_token(entra.caller, audience=entra.api, roles=[])
    steps = {step.name: step for step in guard.explain(token).steps}
    assert steps["permission"].reason == "no_permissions"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {
                "error": "invalid_tenant",
                "error_description": "AADSTS90002: Tenant 'contso.com' not found. Trace ID: 1 Timestamp: 2",
            },
            f"status 400: {WORDS}",
        ),
        ({"error_codes": [90002]}, f"status 400: {WORDS}"),
        (
            {"error_description": "AADSTS50049: Unknown or invalid instance.\r\nTrace ID: 1"},
            f"status 400: Entra does not know the host of {CLOUD} (AADSTS50049): check `authority`",
        ),
        (
            {"error_description": "AADSTS900023: Specified tenant identifier is neither a DNS name nor ..."},
            "status 400: contso.com is not a tenant id or a verified domain (AADSTS900023): check `tenant`",
        ),
        (
            {"error_description": "AADSTS90038: Tenant 'x' belongs to the National Cloud 'y'."},
            "status 400: the tenant contso.com is in another Microsoft cloud (AADSTS90038): check `authority`",
        ),
        (
            {"error": "server_error", "error_description": "AADSTS90033: A transient error. Trace ID: 1"},
            'status 400: "AADSTS90033: A transient error."',
        ),
        ({"error": "temporarily_unavailable"}, "status 400: temporarily_unavailable"),
        ({"error": {"code": "NotFound", "message": "AADB2C90052: Unknown policy"}}, None),
        ({"error": {"code": "NotFound"}}, "status 400: NotFound"),
        ({}, "status 400"),
        ({"error": 7, "error_description": [], "error_codes": "x"}, "status 400"),
        ({"error_codes": [None]}, "status 400"),
    ],
)
def test_an_error_response_is_explained(document: dict[str, Any], words: str | None) -> None:
    expected = words or 'status 400: "AADB2C90052: Unknown policy"'
    assert explain_error(400, document, SOURCE) == expected


def test_what_an_error_response_says_is_escaped() -> None:
    said = explain_error(400, {"error_description": "line\n\x1b[31mred"}, SOURCE)
    assert said.isprintable()


def test_a_later_error_of_the_key_url_is_explained_too(entra: KeysEntra, callers: Callers) -> None:
    class NoKeys(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if "keys" in request.url.path:
                return httpx.Response(400, json={"error": "invalid_request", "error_codes": [90002]})
            return entra.transport.handle_request(request)

    with httpx.Client(transport=NoKeys()) as client:
        answer = callers.verify(entra.guard(http_client=client), entra.token())
    assert "(AADSTS90002)" in str(answer.facts["detail"])


def test_a_combined_guard_reports_the_tenant_that_entra_does_not_know(entra: KeysEntra) -> None:
    guard: Any = entra.warm_guard() | entra.guard(tenant="contso.com")
    assert isinstance(guard.guards[1], Guard)
    guard.guards[1].health()
    settle(guard.guards[1])
    assert WORDS in guard.health().last_error
