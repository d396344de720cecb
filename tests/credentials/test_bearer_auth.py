"""Tokens on the requests of httpx and httpx2, sync and async: which hosts receive them, how a challenge is handled."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from loopback_api import Api, ReceivedRequest, serving

from entra_guard.credentials import BearerAuth, TokenAcquisitionError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbound_entra import OutboundEntra

    Send = Callable[..., Any]

CLAIMS = {"access_token": {"nbf": {"essential": True, "value": "1604106651"}}}
NONSENSE = base64.b64encode(b'{"access_token":5}').decode()
ENCODED = base64.b64encode(json.dumps(CLAIMS).encode()).decode()
CHALLENGE = {"www-authenticate": f'Bearer realm="", error="insufficient_claims", claims="{ENCODED}"'}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as api:
        yield api


def _sync(library: Any) -> Send:
    def send(auth: Any, method: str, url: str, **options: Any) -> Any:
        with library.Client(auth=auth, verify=False) as client:
            return client.request(method, url, **options)

    return send


def _async(library: Any) -> Send:
    async def send(auth: Any, method: str, url: str, **options: Any) -> Any:
        async with library.AsyncClient(auth=auth, verify=False) as client:
            return await client.request(method, url, **options)

    return lambda *args, **options: asyncio.run(send(*args, **options))


CLIENTS = {
    "httpx.Client": _sync(httpx),
    "httpx.AsyncClient": _async(httpx),
    "httpx2.Client": _sync(httpx2),
    "httpx2.AsyncClient": _async(httpx2),
}


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    """Send one request with one of the four clients."""
    return request.param


def test_requests_carry_the_token_and_share_it(entra: OutboundEntra, api: Api, send: Send) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(1):
        for _ in range(2):
            assert send(credential.auth(entra.scope), "GET", f"{api.url}/orders").status_code == 200
    token = credential.get_token(entra.scope).token
    assert [seen.authorization for seen in api.received] == [f"Bearer {token}"] * 2


def test_no_token_is_sent_unencrypted(entra: OutboundEntra, send: Send) -> None:
    auth = entra.credential().auth(entra.scope)
    with entra.expect_token_requests(0), pytest.raises(ConfigurationError, match="sent over https only"):
        send(auth, "GET", "http://orders.example/")


def test_only_named_hosts_get_a_token(entra: OutboundEntra, api: Api, send: Send) -> None:
    auth = entra.credential().auth(entra.scope, hosts=[f"127.0.0.1:{api.port}"])
    send(auth, "GET", f"{api.elsewhere}/")
    send(auth, "GET", f"{api.url}/")
    assert [(seen.host.partition(":")[0], seen.authorization is not None) for seen in api.received] == [
        ("localhost", False),
        ("127.0.0.1", True),
    ]


def test_a_host_without_a_token_is_logged_once_with_the_setting(
    entra: OutboundEntra, api: Api, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    auth = entra.credential().auth(entra.scope, hosts=["orders.example", f"127.0.0.1:{api.port}"])
    with caplog.at_level("WARNING", "entra_guard.credentials"):
        for _ in range(3):
            send(auth, "GET", f"{api.elsewhere}/")
        send(auth, "GET", f"{api.url}/")
    [record] = [record for record in caplog.records if record.name == "entra_guard.credentials"]
    host = httpx.URL(api.elsewhere).netloc.decode()
    assert record.getMessage() == (
        f"No token is sent to {host}: hosts=['127.0.0.1:{api.port}', 'orders.example'] does not name it. "
        f"Add '{host}' if intended."
    )


def test_many_hosts_do_not_flood_the_log(entra: OutboundEntra, caplog: pytest.LogCaptureFixture) -> None:
    auth = entra.credential().auth(entra.scope, hosts=["orders.example"])
    with caplog.at_level("WARNING", "entra_guard.credentials"):
        for number in range(300):
            assert auth.headers_for(f"https://host-{number}.example/") == {}
    assert len(caplog.records) == 100


def test_the_token_does_not_follow_a_redirect_to_another_host(
    entra: OutboundEntra, api: Api, send: Send
) -> None:
    api.responses.append((302, {"location": f"{api.elsewhere}/there"}))
    response = send(entra.credential().auth(entra.scope), "GET", api.url, follow_redirects=True)
    assert response.status_code == 200
    assert [seen.authorization is not None for seen in api.received] == [True, False]


def test_the_token_request_is_in_no_responses_history(entra: OutboundEntra, api: Api, send: Send) -> None:
    response = send(entra.credential().auth(entra.scope), "GET", api.url)
    assert response.history == []
    assert entra.token_requests == 1


def test_without_a_token_no_request_is_sent(entra: OutboundEntra, api: Api, send: Send) -> None:
    auth = entra.credential(client_secret="not-the-secret-at-all").auth(entra.scope)
    with pytest.raises(TokenAcquisitionError):
        send(auth, "GET", api.url)
    assert api.received == []


# --- claims challenges -------------------------------------------------------------------------------


def test_a_claims_challenge_is_answered_once_with_a_new_token(
    entra: OutboundEntra, api: Api, send: Send
) -> None:
    credential = entra.credential()
    revoked = credential.get_token(entra.scope)
    api.responses.append((401, CHALLENGE))
    with entra.expect_token_requests(1):
        response = send(credential.auth(entra.scope), "POST", api.url, json={"order": 1})
    assert response.status_code == 200
    first, second = api.received
    assert first.authorization == f"Bearer {revoked.token}"
    assert second.authorization not in {first.authorization, None}
    assert first.body == second.body == b'{"order":1}'


def test_the_new_token_takes_the_place_of_the_revoked_one(entra: OutboundEntra, api: Api, send: Send) -> None:
    credential = entra.credential()
    api.responses.append((401, CHALLENGE))
    send(credential.auth(entra.scope), "GET", api.url)
    with entra.expect_token_requests(0):
        send(credential.auth(entra.scope), "GET", api.url)
    assert api.received[2].authorization == api.received[1].authorization


def test_a_second_challenge_is_the_callers_to_see(entra: OutboundEntra, api: Api, send: Send) -> None:
    api.responses += [(401, CHALLENGE), (401, CHALLENGE)]
    response = send(entra.credential().auth(entra.scope), "GET", api.url)
    assert response.status_code == 401
    assert len(api.received) == 2


def test_an_api_that_rejects_every_token_causes_one_token_request(
    entra: OutboundEntra, api: Api, send: Send
) -> None:
    auth = entra.credential().auth(entra.scope)
    api.responses += [(401, CHALLENGE)] * 30
    with entra.expect_token_requests(2):
        assert {send(auth, "GET", api.url).status_code for _ in range(10)} == {401}
    assert len(api.received) == 11  # what was just rejected is not sent once more either
    entra.advance(30)
    with entra.expect_token_requests(1):
        send(auth, "GET", api.url)


def test_a_challenge_without_a_new_token_raises_the_reason(
    entra: OutboundEntra, api: Api, send: Send
) -> None:
    auth = entra.credential().auth(entra.scope)
    send(auth, "GET", api.url)
    api.responses.append((401, CHALLENGE))
    with entra.failing("token", "AADSTS53003"), pytest.raises(TokenAcquisitionError, match="53003"):
        send(auth, "GET", api.url)


@pytest.mark.parametrize(
    "body", [{"content": iter([b"x"])}, {"files": {"f": b"x"}}], ids=["stream", "multipart"]
)
def test_a_body_that_cannot_be_sent_twice_leaves_the_401(
    entra: OutboundEntra, api: Api, body: dict[str, Any]
) -> None:
    api.responses.append((401, CHALLENGE))
    response = CLIENTS["httpx.Client"](entra.credential().auth(entra.scope), "POST", api.url, **body)
    assert response.status_code == 401
    assert entra.token_requests == 2


GRAPHS_CHALLENGES = (
    'PoP realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'client_id="00000003-0000-0000-c000-000000000000", nonce="ey, Bearer error=\\"x\\"", '
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'error_description="Continuous access evaluation resulted in challenge with result: '
    'InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp", '
    f'error="insufficient_claims", claims="{ENCODED}"'
)


@pytest.mark.parametrize(
    "challenges",
    [
        GRAPHS_CHALLENGES,
        ['Basic realm="orders"', f"Bearer claims={ENCODED.rstrip('=')}, error=insufficient_claims"],
        f"Bearer authorization_uri=https://login.example/x, error=insufficient_claims, claims={ENCODED}",
        f'Bearer error="insufficient_claims", claims="!", Bearer error="insufficient_claims", claims="{ENCODED}"',
    ],
    ids=["in one header", "in several headers", "without quotes", "after a broken one"],
)
def test_the_challenge_is_found_among_several(
    entra: OutboundEntra, api: Api, send: Send, challenges: str | list[str]
) -> None:
    api.responses.append((401, {"www-authenticate": challenges}))
    assert send(entra.credential().auth(entra.scope), "GET", api.url).status_code == 200
    assert len(api.received) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"www-authenticate": 'Bearer error="invalid_token"'},
        {"www-authenticate": f'Bearer error="invalid_token", claims="{ENCODED}"'},
        {"www-authenticate": 'Bearer error="insufficient_claims"'},
        {"www-authenticate": 'Bearer error="insufficient_claims", claims="no base64 of json"'},
        {"www-authenticate": f'Bearer error="insufficient_claims", claims="{NONSENSE}"'},
        {"www-authenticate": f'PoP error="insufficient_claims", claims="{ENCODED}"'},
    ],
)
def test_any_other_401_is_the_callers_to_see(
    entra: OutboundEntra, api: Api, send: Send, headers: dict[str, str]
) -> None:
    api.responses.append((401, headers))
    assert send(entra.credential().auth(entra.scope), "GET", api.url).status_code == 401
    assert len(api.received) == 1
    assert entra.token_requests == 1


def test_a_challenge_of_a_host_that_was_redirected_to_is_not_answered(
    entra: OutboundEntra, api: Api, send: Send
) -> None:
    api.responses += [(302, {"location": f"{api.elsewhere}/there"}), (401, CHALLENGE)]
    response = send(entra.credential().auth(entra.scope), "GET", api.url, follow_redirects=True)
    assert response.status_code == 401
    assert entra.token_requests == 1


def test_many_requests_challenged_at_once_send_one_token_request(entra: OutboundEntra, api: Api) -> None:
    credential = entra.credential()
    revoked = credential.get_token(entra.scope).token

    def challenge_the_revoked(seen: ReceivedRequest) -> Any:
        return (401, CHALLENGE) if seen.authorization == f"Bearer {revoked}" else (200, {})

    async def concurrent_calls() -> list[int]:
        async with httpx.AsyncClient(auth=credential.auth(entra.scope), verify=False) as client:
            return [r.status_code for r in await asyncio.gather(*(client.get(api.url) for _ in range(20)))]

    api.responses = [challenge_the_revoked] * 40
    with entra.expect_token_requests(1):
        assert asyncio.run(concurrent_calls()) == [200] * 20


def test_a_body_that_was_streamed_is_not_sent_twice_and_the_next_request_has_the_new_token(
    entra: OutboundEntra, api: Api
) -> None:
    credential = entra.credential()
    revoked = credential.get_token(entra.scope)
    api.responses.append((401, CHALLENGE))
    with httpx.Client(auth=credential.auth(entra.scope), verify=False) as client:
        response = client.post(api.url, content=iter([b"or", b"der"]), headers={"content-length": "5"})
        assert response.status_code == 401
        client.get(api.url)
    assert api.received[0].body == b"order"
    assert api.received[1].authorization not in {f"Bearer {revoked.token}", None}


# --- other libraries ---------------------------------------------------------------------------------


def _requests(auth: BearerAuth, url: str) -> int:
    """The code that the package's documentation shows."""
    requests = pytest.importorskip("requests")

    def bearer(request: Any) -> Any:
        request.headers.update(auth.headers_for(request.url))
        return request

    return requests.get(url, auth=bearer, timeout=30).status_code


def _aiohttp(auth: BearerAuth, url: str) -> int:
    aiohttp = pytest.importorskip("aiohttp", minversion="3.12")

    async def bearer(request: Any, handler: Any) -> Any:
        request.headers.update(await auth.aheaders_for(str(request.url)))
        return await handler(request)

    async def call() -> int:
        async with aiohttp.ClientSession(middlewares=[bearer]) as session, session.get(url) as response:
            return response.status

    return asyncio.run(call())


OTHERS = pytest.mark.parametrize("send_otherwise", [_requests, _aiohttp])


@OTHERS
def test_other_libraries_take_three_lines(entra: OutboundEntra, api: Api, send_otherwise: Send) -> None:
    credential = entra.credential()
    assert send_otherwise(credential.auth(entra.scope, hosts=[f"127.0.0.1:{api.port}"]), api.url) == 200
    assert api.received[0].authorization == f"Bearer {credential.get_token(entra.scope).token}"


@OTHERS
def test_no_other_library_sends_the_token_to_another_host(
    entra: OutboundEntra, api: Api, send_otherwise: Send
) -> None:
    auth = entra.credential().auth(entra.scope, hosts=[f"127.0.0.1:{api.port}"])
    api.responses += [
        (302, {"location": f"{api.elsewhere}/there"}),
        (302, {"location": f"{api.elsewhere}/x"}),
    ]
    assert send_otherwise(auth, api.url) == 200
    assert [seen.authorization is not None for seen in api.received] == [True, False, False]


@OTHERS
def test_no_other_library_gets_a_token_without_hosts_or_over_http(
    entra: OutboundEntra, api: Api, send_otherwise: Send
) -> None:
    credential = entra.credential()
    with entra.expect_token_requests(0):
        with pytest.raises(ConfigurationError, match="give the hosts"):
            send_otherwise(credential.auth(entra.scope), api.url)
        with pytest.raises(ConfigurationError, match="sent over https only"):
            send_otherwise(credential.auth(entra.scope, hosts=["orders.example"]), "http://orders.example/")
    assert api.received == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example\\@graph.microsoft.com/",
        "https://graph.microsoft.com@elsewhere.example/",
        "https://graph.microsoft.com:444/",
        "https://[graph.microsoft.com/",
        "",
    ],
)
def test_an_ambiguous_url_gets_no_token(entra: OutboundEntra, url: str) -> None:
    auth = entra.credential().auth(entra.scope, hosts=["graph.microsoft.com", "elsewhere.example:444"])
    assert auth.headers_for(url) == {}


# --- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scopes",
    [
        (), ("",), ([],), (["https://graph.microsoft.com/.default"],),
        ("api://o\u0440ders/.default",), ("\ufeffapi://orders/.default",), ("'api://orders/.default\u2019",), ("\udce9",),
    ],
)  # fmt: skip
def test_scopes_must_be_names(entra: OutboundEntra, scopes: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match="scope"):
        entra.credential().auth(*scopes)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("graph.microsoft.com:443", "https://graph.microsoft.com/"),
        ("graph.microsoft.com", "https://graph.microsoft.com:443/"),
        ("GRAPH.microsoft.com", "https://Graph.Microsoft.com/"),
        ("münchen.example", "https://münchen.example/"),
        ("127.0.0.1:80", "http://127.0.0.1/"),
        ("[::1]:8080", "http://[::1]:8080/"),
    ],
)
def test_a_host_is_the_same_however_it_is_written(entra: OutboundEntra, host: str, url: str) -> None:
    auth = entra.credential().auth(entra.scope, hosts=[host])
    request = next(auth.sync_auth_flow(httpx.Request("GET", url)))
    assert "authorization" in request.headers


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        [None],
        ["https://graph.microsoft.com"],
        ["graph.microsoft.com/v1.0"],
        ["*.microsoft.com"],
        [" graph.microsoft.com"],
        ["user@graph.microsoft.com"],
        ["graph.microsoft.com?x"],
        ["graph.microsoft.com#f"],
        ["graph.microsoft.com:https"],
        ["graph.microsoft.com\\x"],
        5,
    ],
)
def test_hosts_must_be_names(entra: OutboundEntra, hosts: Any) -> None:
    with pytest.raises(ConfigurationError, match="hosts"):
        entra.credential().auth(entra.scope, hosts=hosts)


def test_an_object_without_get_token_is_not_a_credential(entra: OutboundEntra) -> None:
    with pytest.raises(ConfigurationError, match="not a credential"):
        BearerAuth("a token", entra.scope)
