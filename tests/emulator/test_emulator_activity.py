"""The activity record: who wanted what, which step failed, what to do; never a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from emulator_requests import request_token

from entra_guard._escaping import shorten
from entra_guard.emulator import GRAPH
from entra_guard.emulator._activity.access_line import access_line
from entra_guard.emulator._activity.flows import flow_of
from entra_guard.emulator._activity.redaction import mask
from entra_guard.emulator._activity.request_log import MAX_EXCHANGES, Exchange
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._oauth.remedies import REMEDIES, remedy_text
from entra_guard.emulator._portal.code.curl_command import curl_command

if TYPE_CHECKING:
    from entra_guard.testing import Entra

KEYS = "/common/discovery/v2.0/keys"


def last(entra: Entra) -> Exchange:
    return entra.request_log.exchanges[-1]


def steps(exchange: Exchange) -> list[tuple[str, bool]]:
    return [(step.name, step.passed) for step in exchange.steps]


def test_an_issued_token_is_recorded_with_all_steps(entra: Entra) -> None:
    request_token(entra)
    seen = last(entra)
    assert (seen.flow, seen.result, seen.outcome, seen.method) == ("client_credentials", "200", "ok", "POST")
    assert (seen.client, seen.client_id, seen.api) == (
        entra.caller.name,
        entra.caller.client_id,
        entra.api.name,
    )
    names = ["tenant", "client", "credential", "API", "permissions", "token"]
    assert steps(seen) == [(name, True) for name in names]
    assert seen.milliseconds > 0
    assert seen.at == pytest.approx(entra.now(), abs=60)


@pytest.mark.parametrize(
    ("form", "code", "failed", "words"),
    [
        ({"client_secret": "wrong-secret"}, 7000215, "credential", "not its ID"),
        ({"client_id": "abc"}, 700038, "client", "abc is not one"),
        ({"scope": "api://nobody/.default"}, 500011, "API", "There is no api://nobody"),
        ({"grant_type": "password"}, 70003, "request", "password is not one"),
        ({"tenant": "nowhere.example"}, 90002, "tenant", "There is no nowhere.example"),
    ],
)
def test_a_refusal_is_recorded_with_the_failed_step_and_what_to_do(
    entra: Entra, form: dict[str, Any], code: int, failed: str, words: str
) -> None:
    response = request_token(entra, **form)
    seen = last(entra)
    assert (seen.code, seen.result, seen.outcome) == (code, f"AADSTS{code}", "refused")
    assert steps(seen)[-1] == (failed, False)
    assert words in seen.remedy
    assert seen.correlation_id == response.json()["correlation_id"]
    assert seen.error in response.json()["error_description"]


def test_no_secret_token_code_or_verifier_is_recorded(entra: Entra) -> None:
    page = entra.register_app("Page", redirect_uris=["http://localhost/cb"])
    entra.add_secret(page)
    secret = entra.secret.value
    token = request_token(entra).json()["access_token"]
    secrets = [secret, token, "ode-to-hide", "verifier-to-hide", "assertion-to-hide", "unknown-to-hide"]
    request_token(entra, client_secret=token, client_id=token, scope=f"{token}/.default")
    request_token(entra, grant_type="authorization_code", code="code-to-hide", client_secret=secret)
    request_token(entra, code_verifier="verifier-to-hide", client_assertion="assertion-to-hide")
    request_token(entra, password="unknown-to-hide", state="unknown-to-hide")
    entra.http_client.get("/v1.0/users", headers={"Authorization": f"Bearer {token}"})
    entra.http_client.get("/v1.0/users", params={"access_token": token, "$filter": token})
    entra.http_client.post(
        f"/{entra.tenant_id}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": entra.api.default_scope},
        auth=(entra.caller.client_id, secret),
    )
    assert (last(entra).client, last(entra).scheme) == (entra.caller.name, "Basic")
    recorded = repr(entra.request_log.exchanges)
    assert [text for text in secrets if text in recorded] == []
    assert "hidden, 12 characters" in recorded


def test_a_call_to_graph_is_recorded_with_caller_and_permissions(entra: Entra) -> None:
    token = entra.issue_token(entra.caller, audience=GRAPH, scopes=["User.Read"], user="alice")
    for path, result in (("/me", "200"), ("/groups", "Authorization_RequestDenied")):
        entra.http_client.get(f"/v1.0{path}", headers={"Authorization": f"Bearer {token}"})
        seen = last(entra)
        assert (seen.flow, seen.client, seen.api, seen.user, seen.result) == (
            "graph",
            entra.caller.name,
            "Microsoft Graph",
            "Alice Adams",
            result,
        )
    assert steps(last(entra))[-1] == ("permissions", False)


def test_a_sign_in_is_recorded_with_the_refused_redirect_uri(entra: Entra) -> None:
    page = entra.register_app("Page", redirect_uris=["http://localhost/cb"])
    query = {"client_id": page.client_id, "response_type": "code", "scope": "openid"}
    for uri, result, outcome in (
        ("http://localhost/other", "AADSTS50011", "refused"),
        ("http://localhost/cb", "200", "ok"),
    ):
        where = f"/{entra.tenant_id}/oauth2/v2.0/authorize"
        entra.http_client.get(where, params={**query, "redirect_uri": uri})
        assert (last(entra).flow, last(entra).result, last(entra).outcome) == ("sign_in", result, outcome)
    assert "http://localhost/other" in entra.request_log.exchanges[-2].remedy


def test_a_fault_is_recorded_as_the_reason(entra: Entra) -> None:
    entra.fail_next("token", "AADSTS53003")
    request_token(entra)
    assert steps(last(entra))[-1] == ("fault", False)
    assert (last(entra).client, last(entra).api) == (entra.caller.name, entra.api.name)
    assert "Test conditions" in last(entra).remedy
    entra.fail_next("keys", "500")
    entra.http_client.get(KEYS)
    assert (last(entra).result, last(entra).outcome) == ("500", "refused")


def test_the_last_500_are_kept_without_the_pages_and_listeners_get_each(entra: Entra) -> None:
    heard: list[int] = []
    entra.request_log.on_exchange(lambda exchange: heard.append(exchange.number))
    entra.http_client.get("/")
    for _ in range(MAX_EXCHANGES + 2):
        entra.http_client.get("/unknown")
    numbers = [exchange.number for exchange in entra.request_log.exchanges]
    assert heard == [*range(1, MAX_EXCHANGES + 3)]
    assert numbers == heard[2:]
    assert entra.count("nothing") == MAX_EXCHANGES + 2
    entra.request_log.clear_exchanges()
    assert entra.request_log.exchanges == ()
    assert entra.count("nothing") == MAX_EXCHANGES + 2


def test_a_line_is_one_line_and_escapes_what_a_client_sent(entra: Entra) -> None:
    request_token(entra, client_id="abc\n\x1b[2J\u202efake")
    for width in (None, 80, 120):
        line = access_line(last(entra), width)
        assert line.isprintable()
        assert "!! client_credentials" in line
        assert "AADSTS700038" in line
        assert width is None or len(line) <= width
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d !! client_credentials abc\\n\\x1b\[2J\\u202efake .*ms", access_line(last(entra))
    )


def test_a_control_character_that_a_client_sent_is_never_copied_into_a_terminal(entra: Entra) -> None:
    evil = "x\x03\x1b[31m\nrm -rf .\u202e"
    headers = {"client-request-id": "a\x7fb", "origin": "http://a\tb"}
    own = {"client_secret": "not-the-secret"}
    request_token(entra, client_id=evil, scope=evil, redirect_uri=evil, **{evil: evil})
    entra.http_client.post(
        f"/{entra.tenant_id}/oauth2/v2.0/token", data=own, auth=(evil, "s"), headers=headers
    )
    entra.http_client.get("/v1.0/users%1b%0a", params={"$filter": evil, evil: evil})
    assert len(entra.request_log.exchanges) == 3
    for exchange in entra.request_log.exchanges:
        fields = (*exchange.query, *exchange.form, *exchange.headers)
        shown = [
            exchange.client,
            exchange.client_id,
            exchange.api,
            exchange.path,
            exchange.error,
            exchange.remedy,
        ]
        shown += [text for field in fields for text in (field.name, field.value)]
        shown += [exchange.correlation_id, *(step.detail for step in exchange.steps)]
        assert [text for text in shown if not text.isprintable()] == []
        assert curl_command(exchange).replace("\\\n", "").isprintable()


@pytest.mark.parametrize(
    ("target", "path", "grant", "flow"),
    [
        ("token", "/t/oauth2/v2.0/token", "urn:ietf:params:oauth:grant-type:jwt-bearer", "on_behalf_of"),
        ("token", "/t/oauth2/v2.0/token", "urn:ietf:params:oauth:grant-type:device_code", "device_code"),
        ("token", "/t/oauth2/v2.0/token", "nonsense", "token"),
        ("token", "/t/oauth2/v2.0/devicecode", "", "device_code_start"),
        ("pages", "/t/oauth2/v2.0/logout", "", "sign_out"),
        ("pages", "/t/adminconsent", "", "admin_consent"),
        ("identity", "/metadata/identity/oauth2/token", "", "managed_identity"),
        ("configuration", "/t/.well-known/openid-configuration", "", "metadata"),
    ],
)
def test_each_endpoint_has_a_flow(target: str, path: str, grant: str, flow: str) -> None:
    assert flow_of(target, path, {"grant_type": grant}) == flow


def test_only_parameters_known_to_be_harmless_are_shown() -> None:
    assert mask("scope", "openid").value == "openid"
    assert not mask("$Top", "5").hidden
    for name, value in (("code", "abc"), ("anything", "abc"), ("scope", "eyJhbGciOiJSUzI1NiJ9.e30.x")):
        assert mask(name, value).hidden
        assert value not in mask(name, value).value


def test_every_aadsts_code_has_a_remedy_that_reads_well_with_and_without_values() -> None:
    assert set(REMEDIES) == set(AADSTS)
    for number, row in AADSTS.items():
        text = remedy_text(number)
        assert text.endswith((".", "}"))
        assert "{" not in text
        names = set(re.findall(r"{(\w+)}", REMEDIES[number].text))
        assert names <= set(re.findall(r"{(\w+)}", row.text)) | {"detail", "name"}, number
    assert remedy_text(12345) == ""


def test_a_long_text_keeps_both_ends() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcd...ijk"
