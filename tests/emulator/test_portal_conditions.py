"""The portal's pages that watch and disturb: test conditions, activity, error codes, connect, overview."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from emulator_requests import request_token
from portal_requests import BROWSER, open_page, send_form, words

from entra_guard.emulator import GRAPH
from entra_guard.emulator._activity.request_log import Exchange, Parameter
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._portal.code.curl_command import curl_command, variable_name
from entra_guard.emulator._portal.help.error_codes import entra_cards, guard_cards
from entra_guard.emulator._portal.watch.fault_form import FAULT_GROUPS, parse_fault, words_of_fault
from entra_guard.emulator._portal.watch.sample_calls import CAUSES as REQUESTS
from entra_guard.emulator._store.faults import Fault
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from entra_guard.testing import Entra

CONDITIONS = "/portal/conditions"


def call(entra: Entra, **fields: Any) -> str:
    """Send a request to the sample API, and return what the page shows of it."""
    chosen = {"api": entra.api.client_id, "client": entra.caller.client_id, **fields}
    response = send_form(entra, f"{CONDITIONS}/call", chosen)
    assert response.status_code == 303, words(response)
    shown = words(open_page(entra, CONDITIONS)).partition("Send no token")[2]
    return re.split(r"(?<=\d\d:\d\d:\d\d) Sent:", shown)[0] + shown.partition("Sent:")[2]


def set_fault(entra: Entra, **fields: str) -> int:
    return send_form(entra, f"{CONDITIONS}/faults", fields).status_code


def test_the_sample_api_shows_how_the_guard_responds_to_each_condition(entra: Entra) -> None:
    assert "✓ 200" in call(entra)
    assert "nothing: accepted requests are not logged" in call(entra)  # the first fetched the keys
    shown = call(entra, condition="expired")
    assert "✕ 401" in shown
    assert "WARNING entra_guard: 401 GET /orders: expired" in shown
    assert "INFO entra_guard: 401 GET /orders: missing_token" in call(entra, which="none")


@pytest.mark.parametrize(("reason", "which"), REQUESTS.items())
def test_each_request_on_the_page_of_error_codes_has_its_effect(
    entra: Entra, reason: str, which: str
) -> None:
    assert f": {reason}: " in call(entra, which=which)


def test_writing_needs_the_role_and_a_user_can_call(entra: Entra) -> None:
    assert "403 POST /orders of" in call(entra, operation="write")
    entra.grant(entra.caller, entra.api, "Orders.Write")
    assert "201 POST /orders of" in call(entra, operation="write")
    shown = call(entra, user=entra.find_user("alice").id)
    assert "for Alice Adams" in shown
    assert '"as":"user"' in shown


def test_a_clock_ahead_ends_a_token_and_the_real_time_revives_it(entra: Entra) -> None:
    call(entra)
    send_form(entra, f"{CONDITIONS}/clock", {"seconds": "86400"})
    assert "✕ 401" in call(entra, which="last")
    assert "Clock +24 h" in words(open_page(entra, CONDITIONS))
    send_form(entra, f"{CONDITIONS}/clock", {"seconds": "real"})
    assert "✓ 200" in call(entra, which="last")


def test_a_rotation_is_followed_and_an_unpublished_key_is_unknown(entra: Entra) -> None:
    call(entra)
    assert "tokens of organizations, since the start" in words(open_page(entra, CONDITIONS))
    send_form(entra, f"{CONDITIONS}/keys/rotate", {})
    assert re.search(r"organizations, since \d\d:\d\d:\d\d .*signs now", words(open_page(entra, CONDITIONS)))
    shown = call(entra)
    assert "✓ 200" in shown
    assert "The guard fetched keys: 200" in shown
    send_form(entra, f"{CONDITIONS}/keys/rotate", {"how": "unpublished"})
    assert "unknown_key" in call(entra, restart="1")
    send_form(entra, f"{CONDITIONS}/normal", {})
    assert "✓ 200" in call(entra, restart="1")
    kid = entra.signing_key.kid
    assert send_form(entra, f"{CONDITIONS}/keys/withdraw", {"kid": kid}).status_code == 303
    assert kid not in {key.kid for key in entra.keys}
    assert send_form(entra, f"{CONDITIONS}/keys/withdraw", {"kid": "unknown"}).status_code == 400


def test_a_fault_for_the_keys_is_a_503_of_a_new_api_and_can_be_cleared(entra: Entra) -> None:
    assert set_fault(entra, where="keys", what="500") == 303
    shown = call(entra, restart="1")
    assert "✕ 503" in shown
    assert "keys_unavailable" in shown
    assert "500 Internal Server Error for the signing keys" in words(open_page(entra, CONDITIONS))
    send_form(entra, f"{CONDITIONS}/faults/clear", {"number": str(entra.faults[0].number)})
    assert entra.faults == ()
    assert "All normal" in words(open_page(entra, CONDITIONS))


def test_a_wrong_fault_is_an_error_at_its_field_and_sets_nothing(entra: Entra) -> None:
    assert set_fault(entra, where="keys", what="refused") == 422
    assert set_fault(entra, where="keys", what="500", times="1.5") == 422
    assert entra.faults == ()


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"where": "keys", "what": "500"}, []),
        ({"where": "token", "what": "AADSTS50011", "times": "3", "percent": "50", "seconds": "9.5"}, []),
        ({}, ["where", "what"]),
        ({"where": "keys", "what": "refused"}, ["what"]),
        ({"where": "keys", "what": "500", "times": "0", "percent": "101"}, ["times", "percent"]),
        ({"where": "keys", "what": "500", "seconds": "nan", "retry_after": "x"}, ["seconds", "retry_after"]),
    ],
)
def test_the_form_of_a_fault_is_checked(fields: dict[str, str], errors: list[str]) -> None:
    parsed = parse_fault(fields)
    assert [error.field for error in parsed] == errors if isinstance(parsed, list) else not errors


def test_a_fault_is_described_in_words() -> None:
    fault = Fault("token", "429", 1, times=2, retry_after=30, probability=0.5)
    expected = "429 Too Many Requests for the token endpoint, the next 2 requests, 50% of the requests, Retry-After 30"
    assert words_of_fault(fault) == expected
    assert sum(len(effects) for _, effects in FAULT_GROUPS) > len(AADSTS)


def test_the_sample_api_has_an_address_for_other_clients(entra: Entra) -> None:
    web = entra.http_client
    assert web.get("/portal/sample-api").status_code == 401
    token = entra.token(roles=["Orders.Read"])
    response = web.get("/portal/sample-api", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["roles"]) == (200, ["Orders.Read"])
    other = entra.register_app("Other", app_roles=["X"])
    wrong = web.get(f"/portal/sample-api/{other.client_id}", headers={"Authorization": f"Bearer {token}"})
    assert (wrong.status_code, wrong.json()["reason"]) == (401, "wrong_audience")


def test_an_api_whose_guard_cannot_be_built_is_named_on_every_page_that_needs_it(entra: Entra) -> None:
    api = entra.register_app("Odd", identifier_uris=["api://your-api"], app_roles=["X"])
    token = entra.issue_token(api, roles=["X"])
    client = {"api": api.client_id, "client": entra.caller.client_id}
    for response in (
        open_page(entra, f"/portal/sample-api/{api.client_id}", authorization=f"Bearer {token}"),
        send_form(entra, "/portal/check", {"api": api.client_id, "token": token}),
        send_form(entra, "/portal/token", {**client, "condition": "expired"}),
        send_form(entra, "/portal/conditions/call", {**client, "which": "none"}),
    ):
        assert "'api://your-api' is a placeholder" in words(response), response.url
        assert response.status_code == 400
    own = open_page(entra, f"/portal/sample-api/{GRAPH}", authorization=f"Bearer {token}")
    assert (own.status_code, "No app has the client id" in words(own)) == (404, True)


def test_the_activity_lists_filters_and_opens_requests(entra: Entra) -> None:
    assert "Nothing yet" in words(open_page(entra, "/portal/activity"))
    request_token(entra)
    request_token(entra, client_secret="wrong-secret")
    shown = words(open_page(entra, "/portal/activity"))
    assert "2 of 2 requests" in shown
    assert shown.index("AADSTS7000215") < shown.index("200 ")
    refused = words(open_page(entra, "/portal/activity?show=refused"))
    assert "1 of 2 requests" in refused
    assert "No request matches" in words(open_page(entra, "/portal/activity?flow=graph"))
    number = entra.request_log.exchanges[-1].number
    opened = words(open_page(entra, f"/portal/activity/{number}"))
    assert "failed: credential" in opened
    assert "hidden, 12 characters" in opened
    assert "client_secret=$CLIENT_SECRET" in opened
    assert "wrong-secret" not in opened
    assert open_page(entra, "/portal/activity/999").status_code == 404


def test_the_script_gets_only_newer_rows(entra: Entra) -> None:
    request_token(entra)
    number = entra.request_log.exchanges[-1].number
    nothing = open_page(entra, f"/portal/activity/rows?after={number}")
    assert (nothing.status_code, nothing.headers["x-last"]) == (204, str(number))
    request_token(entra)
    rows = open_page(entra, f"/portal/activity/rows?after={number}")
    assert (rows.status_code, rows.headers["x-count"], rows.text.count("<li")) == (200, "1", 1)
    assert open_page(entra, "/portal/activity/text").text.count("client_credentials") == 2
    send_form(entra, "/portal/activity/clear")
    assert entra.request_log.exchanges == ()


LONG = "9" * 5000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/portal/activity?before={LONG}&app=%00&flow={LONG}", 200),
        (f"/portal/activity/rows?after={LONG}", 200),
        (f"/portal/activity/{LONG}", 404),
        ("/portal/activity/²", 404),
        (f"/portal/errors/{LONG}", 404),
        (f"/portal/errors?q={LONG}", 200),
        (f"/error?code={LONG}", 302),
        (f"/portal/token?api={LONG}&client=%ff&user=x", 200),
        (f"/portal/sample-api/{LONG}", 404),
        ("/portal/connect?api=x&client=y", 200),
    ],
)
def test_no_address_breaks_a_page(entra: Entra, path: str, status: int) -> None:
    entra.http_client.get("/x", params={"client_id": "<script>alert(1)</script>"})
    response = open_page(entra, path)
    assert response.status_code == status
    assert "<script>alert" not in response.text


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        (f"{CONDITIONS}/faults/clear", {"number": LONG}, 303),
        (f"{CONDITIONS}/faults", {"where": "keys", "what": "500", "seconds": LONG}, 422),
        (f"{CONDITIONS}/clock", {"seconds": LONG}, 303),
        (f"{CONDITIONS}/call", {"token": LONG, "which": LONG, "condition": "x"}, 303),
        (f"{CONDITIONS}/call", {"token": "a\r\nX-Injected: 1", "which": "quoted"}, 303),
        ("/portal/errors/cause", {"code": f"AADSTS{LONG}"}, 400),
        ("/portal/token", {"condition": LONG}, 422),
        ("/portal/check", {"token": LONG, "sample": LONG}, 200),
    ],
)
def test_no_form_breaks_a_page(entra: Entra, path: str, fields: dict[str, str], status: int) -> None:
    assert send_form(entra, path, fields).status_code == status
    assert open_page(entra, CONDITIONS).status_code == 200


def test_every_tenant_has_all_pages(entra: Entra) -> None:
    for tenant in entra.directory.tenants:
        for path in ("token", "check", "activity", "conditions", "connect", "errors", ""):
            assert open_page(entra, f"/portal/{path}?tenant={tenant}").status_code == 200


@pytest.mark.parametrize(
    "how", ["wrong-issuer", "foreign-jwks-uri", "shuffled", "ec-key", "stale", "redirect"]
)
def test_a_fault_for_everything_breaks_no_page(entra: Entra, how: str) -> None:
    assert set_fault(entra, where="all", what=how) == 303
    page = entra.register_app("Page", redirect_uris=["http://localhost/cb"])
    query = {"client_id": page.client_id, "response_type": "code", "scope": "openid"}
    for path in (f"/{entra.tenant_id}/oauth2/v2.0/authorize", "/common/discovery/v2.0/keys", "/v1.0/users"):
        assert entra.http_client.get(path, params=query).status_code < 500
    assert open_page(entra, CONDITIONS).status_code == 200


def test_many_requests_are_shown_in_pages_below_60_kb(entra: Entra) -> None:
    for number in range(120):
        entra.http_client.get(f"/{'x' * 40}/{number}")
    first = open_page(entra, "/portal/activity")
    assert len(first.content) < 60_000
    older = re.search(r"activity\?before=\d+", first.text)
    assert older is not None
    assert "GET /xxxx" in words(open_page(entra, f"/portal/{older[0]}"))


@pytest.mark.parametrize(
    ("parameters", "scheme", "expected"),
    [
        (
            (Parameter("scope", "a b'c"), Parameter("client_secret", "hidden, 3 characters", hidden=True)),
            "",
            ["--data-urlencode", "scope=a b'c", "--data-urlencode", "client_secret=$CLIENT_SECRET"],
        ),
        ((), "Bearer", ["-X", "POST", "-H", "Authorization: Bearer $TOKEN"]),
        ((Parameter("a", "b"),), "", ["-H", "metadata: true", "x-identity-header: $X_IDENTITY_HEADER"]),
        ((Parameter("$(rm)`x`", "hidden", hidden=True),), "Basic", ["--data-urlencode", "rmx=$RM_X"]),
    ],
)
def test_a_request_is_repeated_by_curl_without_its_secrets(
    parameters: tuple[Parameter, ...], scheme: str, expected: list[str]
) -> None:
    headers = (Parameter("metadata", "true"), Parameter("x-identity-header", "hidden", hidden=True))
    request = (0, "POST", "http://localhost", "/t/x y", "token", "token", 200, "200")
    exchange = Exchange(*request, form=parameters, scheme=scheme, headers=headers)
    parts = shlex.split(curl_command(exchange).replace("\\\n", " "))
    assert parts[0] == "curl"
    assert "http://localhost/t/x%20y" in parts
    assert [part for part in expected if part not in parts] == []


def test_a_request_with_a_json_body_is_repeated_with_a_file(entra: Entra) -> None:
    entra.http_client.post("/v1.0/applications", json={"displayName": "secret-to-hide"})
    command = curl_command(entra.request_log.exchanges[-1])
    assert "-H 'content-type: application/json'" in command
    assert command.endswith("--data-binary @body.json")
    assert "secret-to-hide" not in repr(entra.request_log.exchanges)


def test_a_variable_is_a_shell_name() -> None:
    assert variable_name("client_secret") == "CLIENT_SECRET"
    assert variable_name("1x-$") == "P_1X"


def test_every_code_and_reason_has_a_card_with_a_remedy(entra: Entra) -> None:
    assert len(entra_cards()) == len(AADSTS)
    assert [card.code for card in guard_cards()] == [*REASONS]
    assert all(card.meaning and card.remedy and "{" not in card.meaning for card in entra_cards())
    for path in ("/portal/errors", "/portal/errors?of=guard"):
        assert len(open_page(entra, path).content) < 60_000
    assert words(open_page(entra, "/portal/errors?q=7000222")).count("What to do:") == 1
    assert "in the other list" in words(open_page(entra, "/portal/errors?q=missing_role"))
    assert open_page(entra, "/portal/errors/50011").status_code == 200
    assert open_page(entra, "/portal/errors/nonsense").status_code == 404


def test_a_code_can_be_caused_and_its_card_shows_the_occasion(entra: Entra) -> None:
    assert send_form(entra, "/portal/errors/cause", {"code": "AADSTS7000222"}).status_code == 303
    assert request_token(entra).json()["error_codes"] == [7000222]
    assert request_token(entra).status_code == 200
    shown = words(open_page(entra, "/portal/errors/AADSTS7000222"))
    assert "The last time" in shown
    assert entra.caller.name in shown
    assert send_form(entra, "/portal/errors/cause", {"code": "AADSTS1"}).status_code == 400


def test_connect_shows_endpoints_that_exist_and_code_with_the_ids(entra: Entra) -> None:
    shown = words(open_page(entra, "/portal/connect"))
    urls = re.findall(rf"{entra.url}/\S+/(?:openid-configuration|keys)", shown)
    assert {url.rpartition("/")[2] for url in urls} == {"openid-configuration", "keys"}
    for url in urls:
        assert entra.http_client.get(url).status_code == 200
    assert f'audience="{entra.api.client_id}"' in shown
    assert "https is not served" in shown
    assert open_page(entra, "/portal/connect/entra-emulator.pem").status_code == 404


def test_a_reset_forgets_the_requests_to_the_sample_api_and_its_keys(entra: Entra) -> None:
    before = entra.snapshot()
    call(entra)
    entra.restore(before)
    shown = words(open_page(entra, CONDITIONS))
    assert "Send the same token again" not in shown
    assert "GET /orders of" not in shown
    assert "The guard fetched metadata" in call(entra)


def test_the_overview_ticks_the_steps_that_are_done(entra: Entra) -> None:
    assert words(open_page(entra, "/")).count("Done:") == 1  # the API under test is registered
    request_token(entra)
    call(entra)
    shown = words(open_page(entra, "/"))
    assert shown.count("Done:") == 3
    assert "client credentials" in shown


def test_an_exported_directory_can_be_imported_and_mistakes_change_nothing(entra: Entra) -> None:
    exported = open_page(entra, "/portal/connect/directory.json")
    assert "attachment" in exported.headers["content-disposition"]
    assert entra.secret.value not in open_page(entra, "/portal/connect/directory.json").text
    entra.register_app("Later")
    for wrong in ("", "{}", '{"tenants": [{"name": 1}]}', "nonsense: ["):
        assert send_form(entra, "/portal/connect/import", {"seed": wrong}).status_code == 422
    assert "Later" in {app.name for app in entra.directory.apps.values()}
    assert send_form(entra, "/portal/connect/import", {"seed": exported.text}).status_code == 303
    assert {app.name for app in entra.directory.apps.values()} >= {entra.api.name, entra.caller.name}
    assert "Later" not in {app.name for app in entra.directory.apps.values()}


def test_the_page_of_an_error_uri_is_the_card_of_the_code(entra: Entra) -> None:
    error_uri = request_token(entra, client_secret="wrong").json()["error_uri"]
    shown = entra.http_client.get(error_uri, headers=BROWSER, follow_redirects=True)
    assert "AADSTS7000215" in words(shown)
    assert entra.caller.name in words(shown)
    assert entra.http_client.get("/error?code=x").headers["location"] == "/portal/errors"
