"""Faults affect requests in-process and over sockets alike."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from emulator_requests import request_token, verified_claims

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from emulator_requests import Get

    from entra_guard.testing import Entra

KEYS = "/common/discovery/v2.0/keys"
CONFIGURATION = "/common/v2.0/.well-known/openid-configuration"
AnyTransport = tuple[Emulator, "Get"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_error_status_with_its_retry_after(any_transport: AnyTransport, status: int) -> None:
    entra, get = any_transport
    entra.fail("keys", str(status), retry_after=7)
    response = get(KEYS)
    assert (response.status_code, response.headers["retry-after"]) == (status, "7")


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("silent", httpx.ReadTimeout),
        ("dropped", httpx.RemoteProtocolError),
        ("partial", httpx.RemoteProtocolError),
        ("refused", httpx.ConnectError),
    ],
)
def test_an_interrupted_exchange_raises_the_clients_own_error(
    any_transport: AnyTransport, how: str, problem: type[Exception]
) -> None:
    entra, get = any_transport
    patience = httpx.Timeout(30, read=0.1 if how == "silent" else 30)
    with entra.failing("keys", how), pytest.raises(problem):
        get(KEYS, timeout=patience)
    assert get(KEYS).status_code == 200


def test_a_slow_response_is_delayed_or_times_out(any_transport: AnyTransport) -> None:
    entra, get = any_transport
    entra.fail("keys", "slow", delay=0.06)
    started = time.monotonic()
    assert get(KEYS).status_code == 200
    assert time.monotonic() - started >= 0.06
    entra.fail("keys", "slow", delay=30)
    with pytest.raises(httpx.ReadTimeout):
        get(KEYS, timeout=httpx.Timeout(30, read=0.02))


@pytest.mark.parametrize(
    ("how", "broken"),
    [
        ("html", lambda r: r.headers["content-type"].startswith("text/html")),
        ("truncated", lambda r: r.text.startswith('{"keys"') and not r.text.endswith("}")),
        ("empty", lambda r: r.json() == {"keys": []}),
        ("oversize", lambda r: len(r.content) > 1024 * 1024 and r.json()["keys"]),
        ("redirect", lambda r: r.status_code == 302 and "attacker.example" in r.headers["location"]),
        ("wrong-issuer", lambda r: all("attacker.example" in key["issuer"] for key in r.json()["keys"])),
        ("no-x5c", lambda r: not any("x5c" in key for key in r.json()["keys"])),
        ("shuffled", lambda r: r.json()["keys"][0]["cloud_instance_name"] == "microsoftonline.us"),
    ],
)
def test_an_effect_breaks_the_key_document(any_transport: AnyTransport, how: str, broken: Any) -> None:
    entra, get = any_transport
    entra.fail_next("keys", how)
    assert broken(get(KEYS))
    assert get(KEYS).json()["keys"][0]["kid"] == entra.signing_key.kid


def test_an_effect_changes_the_configuration(any_transport: AnyTransport) -> None:
    entra, get = any_transport
    entra.fail_next("configuration", "foreign-jwks-uri")
    entra.fail_next("configuration", "wrong-issuer")
    assert "attacker.example" in get(CONFIGURATION).json()["jwks_uri"]
    assert get(CONFIGURATION).json()["issuer"] == "https://login.attacker.example/{tenantid}/v2.0"


@pytest.mark.parametrize(
    ("how", "odd"),
    [
        ("ec-key", lambda key, _: key["kty"] == "EC"),
        ("rsa-1024-key", lambda key, _: len(key["n"]) == 171),
        ("no-kid", lambda key, _: "kid" not in key),
        ("bad-base64", lambda key, _: "!" in key["n"]),
        ("enc-key", lambda key, _: key["use"] == "enc"),
        ("symmetric-key", lambda key, _: key["kty"] == "oct"),
        ("private-key", lambda key, _: "d" in key),
        ("duplicate-kid", lambda key, others: key["kid"] == others[0]["kid"] and key["n"] != others[0]["n"]),
    ],
)
def test_an_effect_adds_one_unusable_key(entra: Entra, how: str, odd: Any) -> None:
    good = entra.http_client.get(KEYS).json()["keys"]
    with entra.failing("keys", how):
        first, *others = entra.http_client.get(KEYS).json()["keys"]
    assert odd(first, others)
    assert others == good


def test_no_effect_publishes_a_private_key_that_signs(entra: Entra) -> None:
    with entra.failing("keys", "private-key"):
        published = entra.http_client.get(KEYS).json()["keys"][0]
    assert published["n"] not in {key.modulus for key in entra.keys}


@pytest.mark.parametrize("sockets", [False, True])
def test_an_old_response_can_arrive_after_a_newer_one(sockets: bool) -> None:
    entra = Emulator()
    if sockets:
        entra.start()
    arrived: list[str] = []

    def fetch() -> None:
        transport = None if sockets else entra.transport
        with httpx.Client(transport=transport, base_url=entra.url) as web:
            arrived.append(web.get(KEYS).json()["keys"][0]["kid"])

    old = entra.signing_key.kid
    entra.fail_next("keys", "reordered", delay=30)
    first = threading.Thread(target=fetch)
    first.start()
    while not entra.count("keys"):
        time.sleep(0.001)
    new = entra.rotate_keys().kid
    fetch()
    first.join()
    entra.stop()
    assert arrived == [new, old]


def test_counted_faults_apply_in_order_and_end(entra: Entra) -> None:
    entra.fail_next("keys", "500")
    entra.fail_next("keys", "503", times=2)
    assert [entra.http_client.get(KEYS).status_code for _ in range(4)] == [500, 503, 503, 200]


def test_a_lasting_fault_replaces_an_earlier_one_until_cleared(entra: Entra) -> None:
    entra.fail("all", "500")
    entra.fail("keys", "503")
    assert [entra.http_client.get(path).status_code for path in (KEYS, CONFIGURATION)] == [503, 500]
    entra.clear_faults("keys")
    assert entra.http_client.get(KEYS).status_code == 500
    entra.clear_faults()
    assert entra.http_client.get(KEYS).status_code == 200


def test_a_fault_can_end_after_a_time(entra: Entra) -> None:
    entra.fail("keys", "500", seconds=3600)
    assert entra.http_client.get(KEYS).status_code == 500
    entra.clear_faults()
    entra.fail("keys", "500", seconds=0.05)
    deadline = time.monotonic() + 30
    while entra.http_client.get(KEYS).status_code == 500 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert entra.http_client.get(KEYS).status_code == 200


def test_a_fault_can_apply_with_a_probability(entra: Entra) -> None:
    entra.fail("keys", "500", probability=0.5)
    assert {entra.http_client.get(KEYS).status_code for _ in range(40)} == {200, 500}


def test_stale_keys_lag_behind_a_rotation(entra: Entra) -> None:
    old = entra.signing_key.kid
    with entra.failing("keys", "stale"):
        new = entra.rotate_keys(overlap=False).kid
        shown = {key["kid"] for key in entra.http_client.get(KEYS).json()["keys"]}
        assert old in shown
        assert new not in shown
        assert jwt.get_unverified_header(entra.issue_token(entra.api))["kid"] == new
    assert entra.http_client.get(KEYS).json()["keys"][0]["kid"] == new


def test_the_control_api_is_not_affected_by_faults_of_all(entra: Entra) -> None:
    entra.fail("all", "500")
    assert entra.http_client.get("/_emu/state").status_code == 200


@pytest.mark.parametrize(
    ("how", "status", "error", "number"),
    [
        ("503", 503, "temporarily_unavailable", 90033),
        ("429", 429, "temporarily_unavailable", 90055),
        ("temporarily_unavailable", 503, "temporarily_unavailable", 90033),
        ("AADSTS53003", 400, "invalid_grant", 53003),
        ("AADSTS7000222", 401, "invalid_client", 7000222),
    ],
)
def test_the_token_endpoint_fails_with_aadsts_errors(
    entra: Entra, how: str, status: int, error: str, number: int
) -> None:
    entra.fail_next("token", how, retry_after=3)
    response = request_token(entra)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.json()["error_codes"] == [number]
    assert response.headers["retry-after"] == "3"
    assert request_token(entra).status_code == 200


@pytest.mark.parametrize(
    ("target", "how", "options", "words"),
    [
        ("key", "500", {}, "Use one of: configuration, keys, token"),
        ("keys", "502", {}, "Use one of: 500, 503"),
        ("keys", "500", {"times": 0}, "at least 1"),
        ("keys", "500", {"probability": 2}, "at most 1"),
    ],
)
def test_an_invalid_fault_is_refused(
    entra: Emulator, target: Any, how: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        entra.fail(target, how, **options)


def test_requests_are_counted_unless_the_connection_was_refused(entra: Entra) -> None:
    entra.http_client.get(KEYS)
    entra.http_client.get(CONFIGURATION)
    entra.fail_next("keys", "500")
    entra.fail_next("keys", "refused")
    entra.http_client.get(KEYS)
    with pytest.raises(httpx.ConnectError):
        entra.http_client.get(KEYS)
    assert (entra.count("keys"), entra.count("configuration")) == (2, 1)
    assert [(seen.target, seen.status) for seen in entra.requests] == [
        ("keys", 200),
        ("configuration", 200),
        ("keys", 500),
    ]
    entra.clear_requests()
    assert entra.count("keys") == 0
    assert entra.requests == ()


def test_the_clock_can_be_frozen_advanced_and_released(entra: Entra) -> None:
    entra.freeze(1_000_000)
    entra.advance(60)
    assert entra.now() == 1_000_060
    assert entra.http_client.get(KEYS).headers["date"] == "Mon, 12 Jan 1970 13:47:40 GMT"
    entra.unfreeze()
    entra.advance(-3600)
    before = time.time()
    assert before <= entra.now() + 3600 <= time.time()


def test_a_slow_response_works_with_trio() -> None:
    import trio

    entra = Emulator()
    entra.fail("keys", "slow", delay=0.01)

    async def fetch() -> int:
        async with httpx.AsyncClient(transport=entra.transport, base_url=entra.url) as web:
            return (await web.get(KEYS)).status_code

    assert trio.run(fetch) == 200
    assert asyncio.run(fetch()) == 200


def test_the_control_api_does_what_python_does(entra: Entra) -> None:
    def post(path: str, **body: Any) -> Any:
        response = entra.http_client.post(f"/_emu/{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    token = post("token", client=entra.caller.client_id, audience=entra.api.client_id, roles=["Any"])
    assert verified_claims(entra, token["access_token"])["roles"] == ["Any"]
    kid = post("keys/rotate", overlap=True)["kid"]
    assert kid == entra.signing_key.kid
    assert kid not in {key["kid"] for key in post("keys/withdraw", kid=kid)["keys"]}
    assert post("clock", freeze=1000, advance=5)["now"] == 1005
    assert post("clock", freeze=True)["now"] == 1005
    assert post("clock", unfreeze=True)["now"] > 1005
    assert post("faults", target="keys", how="500", times=1)["faults"][0]["how"] == "500"
    assert entra.http_client.get("/_emu/faults").json()["faults"]
    assert post("faults/clear")["faults"] == []
    entra.http_client.get(KEYS)
    assert entra.http_client.get("/_emu/audit").json()["requests"][-1]["path"] == KEYS
    assert entra.api.client_id in entra.http_client.get("/_emu/state").text
    assert entra.secret.value not in entra.http_client.get("/_emu/state").text
    assert entra.api.client_id not in json.dumps(post("reset"))


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"method": "GET", "url": "nothing"}, 404, "Use one of: POST /_emu/token"),
        ({"method": "POST", "url": "reset", "content": "{}"}, 415, "Content-Type"),
        ({"method": "POST", "url": "token", "json": []}, 400, "JSON object"),
        ({"method": "POST", "url": "token", "json": {"client": "nobody"}}, 400, "There is no app"),
        ({"method": "POST", "url": "token", "json": {"whatever": 1}}, 400, "whatever"),
        ({"method": "POST", "url": "faults", "json": {"target": "all", "how": "refused"}}, 400, "seconds"),
        (
            {"method": "POST", "url": "reset", "json": {}, "headers": {"origin": "http://localhost:9"}},
            403,
            "another origin",
        ),
        (
            {"method": "POST", "url": "reset", "json": {}, "headers": {"sec-fetch-site": "cross-site"}},
            403,
            "another origin",
        ),
        ({"method": "GET", "url": "state", "headers": {"host": "attacker.example"}}, 421, "this machine"),
    ],
)
def test_the_control_api_refuses_with_a_reason(
    entra: Entra, request_: dict[str, Any], status: int, words: str
) -> None:
    response = entra.http_client.request(**{**request_, "url": f"/_emu/{request_['url']}"})
    assert response.status_code == status
    assert words in response.json()["error"]


def test_a_token_of_the_control_api_is_a_jwt(entra: Entra) -> None:
    answer = entra.http_client.post("/_emu/token", json={"client": entra.api.client_id, "preset": "expired"})
    assert jwt.decode(answer.json()["access_token"], options={"verify_signature": False})["exp"] < time.time()
