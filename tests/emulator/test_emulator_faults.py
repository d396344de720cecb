"""Everything that goes wrong at Entra goes wrong here too, on request, in-process as over sockets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from emulator_office import Ask, Office

KEYS = "/common/discovery/v2.0/keys"
CONFIGURATION = "/common/v2.0/.well-known/openid-configuration"
Store = tuple[Emulator, "Ask"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_error_status_with_its_retry_after(store: Store, status: int) -> None:
    entra, get = store
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
def test_a_broken_exchange_looks_to_the_client_as_it_would(
    store: Store, how: str, problem: type[Exception]
) -> None:
    entra, get = store
    patience = httpx.Timeout(5, read=0.1 if how == "silent" else 5)
    with entra.failing("keys", how), pytest.raises(problem):
        get(KEYS, timeout=patience)
    assert get(KEYS).status_code == 200


def test_a_slow_answer_comes_late_or_not_in_time(store: Store) -> None:
    entra, get = store
    entra.fail("keys", "slow", delay=0.06)
    started = time.monotonic()
    assert get(KEYS).status_code == 200
    assert time.monotonic() - started >= 0.06
    with pytest.raises(httpx.ReadTimeout):
        get(KEYS, timeout=httpx.Timeout(5, read=0.02))


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
def test_a_document_that_is_not_what_it_should_be(store: Store, how: str, broken: Any) -> None:
    entra, get = store
    entra.fail_next("keys", how)
    assert broken(get(KEYS))
    assert get(KEYS).json()["keys"][0]["kid"] == entra.signing_key.kid


def test_a_configuration_that_leads_astray(store: Store) -> None:
    entra, get = store
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
def test_one_odd_key_among_the_good_ones(office: Office, how: str, odd: Any) -> None:
    good = office.web.get(KEYS).json()["keys"]
    with office.entra.failing("keys", how):
        first, *others = office.web.get(KEYS).json()["keys"]
    assert odd(first, others)
    assert others == good


def test_no_effect_ever_publishes_a_key_that_signs(office: Office) -> None:
    with office.entra.failing("keys", "private-key"):
        published = office.web.get(KEYS).json()["keys"][0]
    assert published["n"] not in {key.modulus for key in office.entra.keys}


@pytest.mark.parametrize("sockets", [False, True])
def test_an_old_answer_can_arrive_after_a_newer_one(sockets: bool) -> None:
    entra = Emulator()
    if sockets:
        entra.start()
    arrived: list[str] = []

    def fetch() -> None:
        transport = None if sockets else entra.transport
        with httpx.Client(transport=transport, base_url=entra.url) as web:
            arrived.append(web.get(KEYS).json()["keys"][0]["kid"])

    old = entra.signing_key.kid
    entra.fail_next("keys", "reordered")
    first = threading.Thread(target=fetch)
    first.start()
    while not entra.count("keys"):
        time.sleep(0.001)
    new = entra.rotate_keys().kid
    fetch()
    first.join()
    entra.stop()
    assert arrived == [new, old]


def test_counted_faults_strike_in_order_and_then_it_is_over(office: Office) -> None:
    office.entra.fail_next("keys", "500")
    office.entra.fail_next("keys", "503", times=2)
    assert [office.web.get(KEYS).status_code for _ in range(4)] == [500, 503, 503, 200]


def test_a_lasting_fault_replaces_an_earlier_one_and_healing_ends_it(office: Office) -> None:
    office.entra.fail("all", "500")
    office.entra.fail("keys", "503")
    assert [office.web.get(path).status_code for path in (KEYS, CONFIGURATION)] == [503, 500]
    office.entra.clear_faults("keys")
    assert office.web.get(KEYS).status_code == 500
    office.entra.clear_faults()
    assert office.web.get(KEYS).status_code == 200


def test_a_fault_can_end_by_itself(office: Office) -> None:
    office.entra.fail("keys", "500", seconds=0.3)
    assert office.web.get(KEYS).status_code == 500
    deadline = time.monotonic() + 5
    while office.web.get(KEYS).status_code == 500 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert office.web.get(KEYS).status_code == 200


def test_a_fault_can_strike_now_and_then(office: Office) -> None:
    office.entra.fail("keys", "500", probability=0.5)
    assert {office.web.get(KEYS).status_code for _ in range(40)} == {200, 500}


def test_stale_keys_lag_behind_a_rotation(office: Office) -> None:
    old = office.entra.signing_key.kid
    with office.entra.failing("keys", "stale"):
        new = office.entra.rotate_keys(overlap=False).kid
        shown = {key["kid"] for key in office.web.get(KEYS).json()["keys"]}
        assert old in shown
        assert new not in shown
        assert jwt.get_unverified_header(office.entra.issue_token(office.api))["kid"] == new
    assert office.web.get(KEYS).json()["keys"][0]["kid"] == new


def test_all_spares_the_control_interface(office: Office) -> None:
    office.entra.fail("all", "500")
    assert office.web.get("/_emu/state").status_code == 200


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
def test_the_token_endpoint_fails_in_its_own_words(
    office: Office, how: str, status: int, error: str, number: int
) -> None:
    office.entra.fail_next("token", how, retry_after=3)
    response = office.ask()
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.json()["error_codes"] == [number]
    assert response.headers["retry-after"] == "3"
    assert office.ask().status_code == 200


@pytest.mark.parametrize(
    ("target", "how", "options", "words"),
    [
        ("key", "500", {}, "Use one of: configuration, keys, token"),
        ("keys", "502", {}, "Use one of: 500, 503"),
        ("keys", "500", {"times": 0}, "at least 1"),
        ("keys", "500", {"probability": 2}, "at most 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    entra: Emulator, target: Any, how: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        entra.fail(target, how, **options)


def test_what_reached_the_emulator_is_counted_and_what_was_refused_did_not(office: Office) -> None:
    office.web.get(KEYS)
    office.web.get(CONFIGURATION)
    office.entra.fail_next("keys", "500")
    office.entra.fail_next("keys", "refused")
    office.web.get(KEYS)
    with pytest.raises(httpx.ConnectError):
        office.web.get(KEYS)
    assert (office.entra.count("keys"), office.entra.count("configuration")) == (2, 1)
    assert [(seen.target, seen.status) for seen in office.entra.requests] == [
        ("keys", 200),
        ("configuration", 200),
        ("keys", 500),
    ]
    office.entra.clear_requests()
    assert office.entra.count("keys") == 0
    assert office.entra.requests == ()


def test_the_clock_stands_moves_and_runs_again(office: Office) -> None:
    entra = office.entra
    entra.freeze(1_000_000)
    entra.advance(60)
    assert entra.now() == 1_000_060
    assert office.web.get(KEYS).headers["date"] == "Mon, 12 Jan 1970 13:47:40 GMT"
    entra.unfreeze()
    entra.advance(-3600)
    assert -3602 < entra.now() - time.time() < -3598


def test_trio_waits_for_a_slow_answer_too() -> None:
    import trio

    entra = Emulator()
    entra.fail("keys", "slow", delay=0.01)

    async def fetch() -> int:
        async with httpx.AsyncClient(transport=entra.transport, base_url=entra.url) as web:
            return (await web.get(KEYS)).status_code

    assert trio.run(fetch) == 200
    assert asyncio.run(fetch()) == 200


def test_the_control_interface_does_what_python_does(office: Office) -> None:
    def post(path: str, **body: Any) -> Any:
        response = office.web.post(f"/_emu/{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    token = post("token", client=office.daemon.client_id, audience=office.api.client_id, roles=["Any"])
    assert office.verified(token["access_token"])["roles"] == ["Any"]
    kid = post("keys/rotate", overlap=True)["kid"]
    assert kid == office.entra.signing_key.kid
    assert kid not in {key["kid"] for key in post("keys/withdraw", kid=kid)["keys"]}
    assert post("clock", freeze=1000, advance=5)["now"] == 1005
    assert post("clock", freeze=True)["now"] == 1005
    assert post("clock", unfreeze=True)["now"] > 1005
    assert post("faults", target="keys", how="500", times=1)["faults"][0]["how"] == "500"
    assert office.web.get("/_emu/faults").json()["faults"]
    assert post("faults/clear")["faults"] == []
    office.web.get(KEYS)
    assert office.web.get("/_emu/audit").json()["requests"][-1]["path"] == KEYS
    assert office.api.client_id in office.web.get("/_emu/state").text
    assert office.secret.value not in office.web.get("/_emu/state").text
    assert office.api.client_id not in json.dumps(post("reset"))


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"method": "GET", "url": "nothing"}, 404, "Use one of: POST /_emu/token"),
        ({"method": "POST", "url": "reset", "content": "{}"}, 415, "Content-Type"),
        ({"method": "POST", "url": "token", "json": []}, 400, "JSON object"),
        ({"method": "POST", "url": "token", "json": {"client": "nobody"}}, 400, "There is no app"),
        ({"method": "POST", "url": "token", "json": {"whatever": 1}}, 400, "whatever"),
        ({"method": "POST", "url": "faults", "json": {"target": "all", "how": "refused"}}, 400, "seconds"),
        ({"method": "GET", "url": "state", "headers": {"host": "attacker.example"}}, 421, "this machine"),
    ],
)
def test_the_control_interface_refuses_with_reasons(
    office: Office, request_: dict[str, Any], status: int, words: str
) -> None:
    response = office.web.request(**{**request_, "url": f"/_emu/{request_['url']}"})
    assert response.status_code == status
    assert words in response.json()["error"]


def test_a_token_of_the_control_interface_can_be_decoded_by_anyone(office: Office) -> None:
    answer = office.web.post("/_emu/token", json={"client": office.api.client_id, "preset": "expired"})
    assert jwt.decode(answer.json()["access_token"], options={"verify_signature": False})["exp"] < time.time()
