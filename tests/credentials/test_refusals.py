"""Errors say what went wrong, whether to try again, and what to change; and nothing secret."""

from __future__ import annotations

import logging
import pickle
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx
import pytest

from entra_guard._common.http import Answer
from entra_guard.credentials import ClientSecretCredential, TokenAcquisitionError
from entra_guard.credentials._hints import HINTS
from entra_guard.credentials._token_errors import error_from_response, redact
from entra_guard.emulator._oauth.aadsts import AADSTS

if TYPE_CHECKING:
    from outbound_entra import Get, OutboundEntra


def refusal(entra: OutboundEntra, get: Get, **changes: Any) -> TokenAcquisitionError:
    scope = changes.pop("scope", entra.scope)
    with pytest.raises(TokenAcquisitionError) as caught:
        get(entra.credential(**changes), scope)
    return caught.value


def test_the_error_has_the_authoritys_details(entra: OutboundEntra, get: Get) -> None:
    error = refusal(entra, get, client_secret="not-the-secret-at-all")
    assert error.error == "invalid_client"
    assert error.codes == (7000215,)
    assert not error.retryable
    assert error.retry_after is None
    assert re.fullmatch(r"[0-9a-f-]{36}", error.correlation_id or "")
    assert "AADSTS7000215: Invalid client secret provided" in str(error)
    assert error.correlation_id in str(error)
    assert "Trace ID" not in str(error)
    assert error.hint in str(error)


# Codes that must have a hint: of every proof, of workload identity, of on-behalf-of, of scopes and tenants.
WANTED = {
    *(7000215, 7000222, 7000218, 7000229, 700016, 700027, 700025, 700038, 7000112),
    *(700213, 700211, 700212, 70021, 700024, 700023, 700021),
    *(500131, 50013, 500133, 240002, 50076, 50079, 65001, 50105),
    *(28000, 700022, 500011, 1002012, 70011, 501051, 9010010),
    *(90002, 53003, 9001023, 50194),
}


def test_no_wanted_hint_is_missing() -> None:
    assert HINTS.keys() >= WANTED


@pytest.mark.parametrize("code", HINTS)
def test_a_refusal_has_the_hint_of_its_code(entra: OutboundEntra, code: int) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        text = f"AADSTS{code}: What Entra says. Trace ID: x"
        return httpx.Response(
            400, json={"error": "invalid_grant", "error_description": text, "error_codes": [code]}
        )

    credential = entra.credential(http_client=httpx.Client(transport=httpx.MockTransport(refuse)))
    with pytest.raises(TokenAcquisitionError) as caught:
        credential.get_token(entra.scope)
    assert caught.value.codes == (code,)
    assert caught.value.hint == HINTS[code]
    assert str(caught.value).endswith(HINTS[code])
    assert len(HINTS[code]) > 60
    assert HINTS[code].endswith(".")


def test_a_raised_error_is_not_logged_too(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "entra_guard")
    credential = entra.credential(client_secret="not-the-secret-at-all")
    for _ in range(2):
        with pytest.raises(TokenAcquisitionError):
            get(credential, entra.scope)
    with entra.failing("token", "503"), pytest.raises(TokenAcquisitionError):
        get(entra.credential(), entra.scope)
    assert [record for record in caplog.records if record.name.startswith("entra_guard")] == []


def test_real_mistakes_get_the_hint_that_helps(entra: OutboundEntra, get: Get) -> None:
    unknown_app = "11112222-bbbb-3333-cccc-4444dddd5555"
    mistakes = {
        "check the client id and the tenant id": {"client_id": unknown_app},
        "This cloud has no such tenant": {"tenant_id": "nobody.onmicrosoft.com"},
        "The tenant has no API of that name": {"scope": "api://nobody/.default"},
        "write the scope as": {"scope": entra.scope.removesuffix("/.default")},
        "has expired": {"client_secret": entra.add_secret(entra.caller, expires_in=-1).value},
    }
    for words, changes in mistakes.items():
        assert words in refusal(entra, get, **changes).hint


@pytest.mark.parametrize("code", [code for code in AADSTS if AADSTS[code].status in {429, 503}])
def test_temporary_refusals_are_retryable(entra: OutboundEntra, get: Get, code: int) -> None:
    entra.fail("token", f"AADSTS{code}")
    assert refusal(entra, get).retryable


def test_without_a_response_the_error_names_the_step_that_failed(entra: OutboundEntra, get: Get) -> None:
    steps = {}
    for fault in ("refused", "silent", "html", "500"):
        with entra.failing("token", fault):
            error = refusal(entra, get)
            steps[fault] = error.error
            assert error.retryable
    assert steps == {"refused": "connect", "silent": "timeout", "html": "content", "500": "http"}


def test_a_certificate_that_cannot_be_trusted_is_not_retryable() -> None:
    from entra_guard.credentials._token_errors import error_from_fetch
    from entra_guard.errors import FetchError

    error = error_from_fetch(FetchError("tls", "https://login.example", "self-signed certificate"))
    assert error.error == "tls"
    assert not error.retryable


def _echo(request: httpx.Request) -> httpx.Response:
    form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
    said = f"you sent {form['client_secret']} and {request.content.decode()} for alice@contoso.example"
    return httpx.Response(
        400, json={"error": "invalid_request", "error_description": f"{said}\r\n{'x' * 999}"}
    )


def test_nothing_secret_or_personal_is_in_any_text_even_if_the_authority_echoes_it(
    get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr~t +/=& value"
    ids = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")
    # The emulator echoes nothing, so this one authority is made up.
    credential = ClientSecretCredential(
        *ids, secret, http_client=httpx.Client(transport=httpx.MockTransport(_echo))
    )
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TokenAcquisitionError) as caught:
        get(credential, "api://orders/.default")
    texts = [str(caught.value), repr(caught.value), repr(credential), caplog.text]
    for text in texts:
        assert "s3cr" not in text
        assert "alice" not in text
    assert "(secret)" in texts[0]
    assert "\n" not in texts[0]
    assert len(texts[0]) < 700


@pytest.mark.parametrize(
    "echo", ["s=S3cr%2bt%2fValue~x", "S3cr+t%2FValue~x", "s3CR%2Bt/value%7ex", "S3cr+t/Value~x"]
)
def test_a_secret_is_found_however_it_is_spelt(echo: str) -> None:
    assert redact(f"got {echo}!", ["S3cr+t/Value~x"]).endswith("(secret)!")


# A pattern that looks at some characters twice would need minutes for these, and hold all other threads.
@pytest.mark.parametrize(
    "text", ["a" * 250_000, " " * 250_000, "a@" * 125_000, "@" * 250_000, "a\t" * 125_000]
)
def test_a_description_of_any_length_is_read_once(text: str) -> None:
    error = error_from_response(Answer(400, {}, {"error": "no", "error_description": text}), secrets=["aaab"])
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("for alice@contoso.example.", "for (person)"),
        ("'alice@contoso.example', (bob@contoso.example)", "'(person)', ((person))"),
        ("a@b@c and @alone and alone@ and x@@y", "(person) and @alone and alone@ and (person)"),
        ("AADSTS1: no.\r\nTrace ID: 1\r\nTimestamp: 2", "AADSTS1: no."),
    ],
)
def test_people_and_the_ids_at_the_end_are_left_out(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_an_error_code_that_is_the_secret_is_dropped() -> None:
    response = Answer(400, {}, {"error": "S3cretValue", "error_description": "no"})
    assert error_from_response(response, secrets=["S3cretValue"]).error == "http_400"


def test_no_error_leads_to_the_request_with_its_secret() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    web = httpx.Client(transport=httpx.MockTransport(broken))
    ids = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")
    with pytest.raises(TokenAcquisitionError) as caught:
        ClientSecretCredential(*ids, "a-secret", http_client=web).get_token("api://orders/.default")
    error: BaseException | None = caught.value
    seen = []
    while error is not None:
        seen.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    assert seen == ["TokenAcquisitionError", "FetchError"]


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (403, False), (429, True), (502, True)])
def test_a_proxys_page_is_retryable_by_its_status(status: int, retryable: bool) -> None:
    page = httpx.MockTransport(lambda _request: httpx.Response(status, html="<h1>no</h1>"))
    ids = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")
    with pytest.raises(TokenAcquisitionError, match=f"status {status}") as caught:
        ClientSecretCredential(*ids, "a-secret", http_client=httpx.Client(transport=page)).get_token("a/b")
    assert caught.value.retryable is retryable


def test_no_representation_of_a_response_shows_its_token() -> None:
    assert "eyJ" not in repr(Answer(200, {}, {"access_token": "eyJ.a.b"}))


def test_no_log_line_holds_a_token_or_a_secret(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credential = entra.credential()
    token = get(credential, entra.scope).token
    entra.fail("token", "500")
    entra.advance(3000)
    get(credential, entra.scope)
    entra.wait_for_token_requests(2)
    assert token not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text
    assert entra.secret.value not in caplog.text


def test_a_refused_refresh_is_logged_with_its_hint_and_the_time_that_is_left(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    from outbound_entra import wait_until_idle

    credential = entra.credential()
    get(credential, entra.scope)
    entra.remove_secret(entra.caller, entra.secret.key_id)
    entra.advance(2700)
    get(credential, entra.scope)
    wait_until_idle(credential)
    [line] = [record.getMessage() for record in caplog.records if record.name == "entra_guard.credentials"]
    assert re.search(r"the cached token is valid for \d+ s more", line)
    assert HINTS[7000215] in line


def test_an_error_survives_pickling(entra: OutboundEntra, get: Get) -> None:
    error = refusal(entra, get, client_secret="not-the-secret-at-all")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is TokenAcquisitionError
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_a_claims_challenge_of_the_authority_reaches_the_caller(get: Get) -> None:
    from entra_guard._common.http import Answer
    from entra_guard.credentials._token_errors import error_from_response

    claims = '{"access_token":{"capolids":{"essential":true,"values":["x"]}}}'
    error = error_from_response(Answer(400, {}, {"error": "interaction_required", "claims": claims}))
    assert error.claims == claims
    assert not error.retryable
