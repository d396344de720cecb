"""GraphClient sends its own token, retries, follows pages, and batches twenty requests."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from served_entra import served

from entra_guard.credentials import (
    ChainedCredential,
    ClientSecretCredential,
    EnvironmentCredential,
    TokenAcquisitionError,
)
from entra_guard.errors import ConfigurationError, FetchError
from entra_guard.graph import BatchRequest, GraphClient, GraphError
from entra_guard.graph._retry import GraphRequest, Pause, RetryPolicy, send_with_retries

if TYPE_CHECKING:
    from graph_entra import Call, GraphEntra

IDS = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")


# --- objects -----------------------------------------------------------------------------------------


def test_an_object_is_read_made_changed_and_deleted(entra: GraphEntra, call: Call) -> None:
    graph = entra.graph_client()
    made = call(graph, "post", "/applications", {"displayName": "Orders"})
    path = f"/applications/{made['id']}"
    assert call(graph, "patch", path, {"displayName": "Orders 2"}) is None
    assert call(graph, "get", path, {"$select": "displayName"})["displayName"] == "Orders 2"
    assert call(graph, "get", f"/applications(appId='{made['appId']}')")["id"] == made["id"]
    assert call(graph, "delete", path) is None
    with pytest.raises(GraphError) as caught:
        call(graph, "get", path)
    assert caught.value.status == 404


def test_a_name_is_written_into_a_path_as_urls_want_it(entra: GraphEntra, call: Call) -> None:
    found = call(
        entra.graph_client(), "get", "/users/carol_fabrikam.onmicrosoft.com#EXT#@contoso.onmicrosoft.com"
    )
    assert found["displayName"] == "Carol Clark"


def test_an_error_carries_graphs_code_message_and_request_id(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(GraphError) as caught:
        call(entra.graph_client(), "get", "/users/nobody@contoso.onmicrosoft.com")
    error = caught.value
    assert (error.status, error.code) == (404, "Request_ResourceNotFound")
    assert error.message.startswith("Resource 'nobody@contoso.onmicrosoft.com' does not exist")
    assert len(error.request_id or "") == 36
    assert error.request_id in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b'{"error": {"code": "A\\u001b[31m", "message": "b\\u202e\\u001b]0;x"}}'),
        (400, b'{"error": {"code": {"a": 1}, "message": ["\\u001b"]}}'),
        (500, b"[" * 100_000),
    ],
)
def test_whatever_graph_sends_is_an_error_of_printable_text(
    entra: GraphEntra, call: Call, status: int, content: bytes
) -> None:
    graph = entra.graph_client_for(lambda _request: httpx.Response(status, content=content), tries=1)
    with pytest.raises(GraphError) as caught:
        call(graph, "get", "/users")
    assert str(caught.value).isprintable()
    assert isinstance(caught.value.code, str)


def test_a_response_that_is_nested_too_deeply_is_an_error(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(FetchError, match="not JSON"):
        call(
            entra.graph_client_for(lambda _request: httpx.Response(200, content=b"[" * 100_000)), "get", "/x"
        )


def test_a_missing_permission_is_graphs_error(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(GraphError, match="403 Authorization_RequestDenied"):
        call(entra.graph_client(), "get", "/organization")


def test_without_a_token_graph_is_not_called(entra: GraphEntra, call: Call) -> None:
    entra.fail("token", "AADSTS7000222")
    with pytest.raises(TokenAcquisitionError):
        call(entra.graph_client(), "get", "/users")
    assert entra.graph_requests == 0


def test_a_claims_challenge_is_answered(entra: GraphEntra, call: Call) -> None:
    graph = entra.graph_client()
    call(graph, "get", "/users")
    entra.revoke(entra.caller)
    entra.advance(2)
    before = entra.count("token")
    assert call(graph, "get", "/users")["value"]
    assert entra.count("token") == before + 1


# --- patience ----------------------------------------------------------------------------------------


def test_throttled_requests_are_sent_again(entra: GraphEntra, call: Call) -> None:
    entra.fail_next("graph", "429", times=2, retry_after=0)
    entra.fail_next("graph", "503", retry_after=0)
    assert (
        call(entra.graph_client(), "post", "/applications", {"displayName": "Orders"})["displayName"]
        == "Orders"
    )
    assert entra.graph_requests == 4


def test_the_number_of_tries_is_bounded(entra: GraphEntra, call: Call) -> None:
    entra.fail("graph", "429", retry_after=0)
    with pytest.raises(GraphError, match="429"):
        call(entra.graph_client(tries=3), "get", "/users")
    assert entra.graph_requests == 3


def test_a_long_retry_after_of_graph_is_an_error_at_once(entra: GraphEntra, call: Call) -> None:
    entra.fail("graph", "429", retry_after=300)
    with pytest.raises(GraphError) as caught:
        call(entra.graph_client(longest_wait=30), "get", "/users")
    assert caught.value.retry_after == 300
    assert entra.graph_requests == 1


def test_after_a_server_error_reads_are_retried_and_writes_are_not(entra: GraphEntra, call: Call) -> None:
    graph = entra.graph_client(longest_wait=0.0, tries=2)
    for fault in ("500", "dropped"):
        entra.fail("graph", fault)
        for method, requests in (("get", 1), ("post", 1)):
            before = entra.graph_requests
            with pytest.raises((GraphError, FetchError)):
                call(graph, method, "/applications", *([{"displayName": "x"}] if method == "post" else []))
            assert entra.graph_requests == before + requests
        entra.clear_faults()


def steps(wanted: GraphRequest, *responses: httpx.Response | FetchError, **policy: Any) -> list[Any]:
    """Return the requests and pauses of a call, and then its result."""
    settings = {"jitter": lambda: 1.0, **policy}
    call, remaining, seen = send_with_retries(wanted, RetryPolicy(**settings)), list(responses), []
    try:
        step = next(call)
        while True:
            seen.append(step.seconds if isinstance(step, Pause) else step.method)
            step = call.send(None if isinstance(step, Pause) else remaining.pop(0))
    except StopIteration as end:
        return [*seen, end.value]
    except (GraphError, FetchError) as error:
        return [*seen, type(error).__name__]


def response_with(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status}, headers=headers)


BROKEN = FetchError("http", "https://graph.example", "the exchange broke")


def test_pauses_are_graphs_own_or_grow() -> None:
    get = GraphRequest("GET", "https://graph.example")
    retry_after = {"retry-after": "7"}
    assert steps(get, response_with(429, **retry_after), response_with(200)) == [
        "GET",
        7.0,
        "GET",
        {"status": 200},
    ]
    assert steps(get, *[response_with(503)] * 4) == ["GET", 1.0, "GET", 2.0, "GET", 4.0, "GET", "GraphError"]
    assert steps(get, BROKEN, response_with(200)) == ["GET", 1.0, "GET", {"status": 200}]
    assert steps(get, response_with(429, **{"retry-after": "31"})) == ["GET", "GraphError"]


def test_a_retry_after_of_zero_does_not_allow_requests_without_pause() -> None:
    get, at_once = GraphRequest("GET", "https://graph.example"), {"retry-after": "0"}
    taken = steps(get, *[response_with(429, **at_once)] * 4)
    assert taken == ["GET", 1.0, "GET", 2.0, "GET", 4.0, "GET", "GraphError"]


def test_only_throttled_writes_are_retried() -> None:
    post = GraphRequest("POST", "https://graph.example")
    for failure in (response_with(500), response_with(504), BROKEN):
        assert steps(post, failure)[:2] == [
            "POST",
            type(BROKEN if failure is BROKEN else GraphError(0, "", "")).__name__,
        ]
    assert steps(post, response_with(429), response_with(201)) == ["POST", 1.0, "POST", {"status": 201}]


PATHS = {
    "/servicePrincipals?$filter=servicePrincipalNames/any(n:n eq 'https://x')": (
        "https://graph.microsoft.com/v1.0/servicePrincipals"
        "?$filter=servicePrincipalNames/any(n:n%20eq%20'https://x')"
    ),
    "https://GRAPH.microsoft.com:443/beta/users": "https://graph.microsoft.com/beta/users",
    "//elsewhere.example/x": "https://graph.microsoft.com/v1.0/elsewhere.example/x",
}


@pytest.mark.parametrize(("path", "url"), PATHS.items())
def test_paths_are_read_as_graph_writes_them(entra: GraphEntra, call: Call, path: str, url: str) -> None:
    requested = []

    def record(request: httpx.Request) -> httpx.Response:
        requested.append(str(request.url))
        return httpx.Response(200, json={})

    call(entra.graph_client_for(record), "get", path)
    assert requested == [url]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v1.0/users",
        "https://user@graph.microsoft.com/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com@elsewhere.example/",
        "https://[",
    ],
)
def test_no_whole_url_leads_elsewhere(entra: GraphEntra, call: Call, url: str) -> None:
    def never(_request: httpx.Request) -> httpx.Response:
        raise AssertionError("a request was sent")

    with pytest.raises(ConfigurationError, match="the URL is not below"):
        call(entra.graph_client_for(never), "get", url)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_is_followed(entra: GraphEntra, call: Call, status: int) -> None:
    def elsewhere(request: httpx.Request) -> httpx.Response:  # the emulator's Graph never redirects
        assert request.url.host == "graph.microsoft.com"
        return httpx.Response(status, headers={"location": "https://elsewhere.example/"})

    transport = httpx.MockTransport(elsewhere)
    graph = GraphClient(
        entra.graph_credential,
        scope="https://graph.microsoft.com/.default",
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(FetchError, match="redirect"):
        call(graph, "get", "/users")


# --- pages -------------------------------------------------------------------------------------------


def test_a_collection_is_read_page_by_page(entra: GraphEntra, call: Call) -> None:
    for number in range(7):
        entra.add_user(f"user{number}")
    users = call(entra.graph_client(), "iterate", "/users", {"$top": "3", "$select": "id"})
    assert len({user["id"] for user in users}) == 10
    assert entra.graph_requests == 4


def test_only_as_many_pages_are_read_as_are_wanted(entra: GraphEntra) -> None:
    for number in range(7):
        entra.add_user(f"user{number}")
    pages = entra.graph_client().iterate("/users", {"$top": "3"})
    for _ in range(3):
        next(pages)
    assert entra.graph_requests == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/v1.0/users?$skiptoken=x",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:444/v1.0/users",
        "https://graph.microsoft.com@elsewhere.example/v1.0/users",
        "/v1.0/users",
        "http://[",
        7,
        "https://graph.microsoft.com/v1.0/users",
    ],
)
def test_the_next_page_is_on_the_same_host_and_another_page(entra: GraphEntra, call: Call, link: Any) -> None:
    requested = []

    def lying(request: httpx.Request) -> httpx.Response:  # the emulator never sends such a link
        requested.append(request.url.host)
        assert len(requested) < 5
        return httpx.Response(200, json={"value": [{"id": "1"}], "@odata.nextLink": link})

    transport = httpx.MockTransport(lying)
    graph = GraphClient(
        entra.graph_credential,
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(GraphError, match="next_link"):
        call(graph, "iterate", "/users")
    assert requested == ["graph.microsoft.com"]


def test_the_default_port_may_be_in_the_next_pages_url(entra: GraphEntra, call: Call) -> None:
    def paging(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page"):
            return httpx.Response(200, json={"value": [2]})
        link = "https://Graph.Microsoft.com:443/v1.0/users?page=2"
        return httpx.Response(200, json={"value": [1], "@odata.nextLink": link})

    assert call(entra.graph_client_for(paging), "iterate", "/users") == [1, 2]


def test_pages_do_not_go_round_in_circles(entra: GraphEntra, call: Call) -> None:
    requested = []

    def circling(request: httpx.Request) -> httpx.Response:  # the emulator never does this
        requested.append(request.url.params.get("page"))
        assert len(requested) < 5
        other = "1" if requested[-1] == "2" else "2"
        link = f"https://graph.microsoft.com/v1.0/users?page={other}"
        return httpx.Response(200, json={"value": [], "@odata.nextLink": link})

    transport = httpx.MockTransport(circling)
    graph = GraphClient(
        entra.graph_credential,
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(GraphError, match="circular"):
        call(graph, "iterate", "/users", {"page": "1"})
    assert requested == ["1", "2"]


def test_a_single_object_is_not_a_collection(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(GraphError, match=r"use get\(\)"):
        call(entra.graph_client(), "iterate", "/users/alice@contoso.onmicrosoft.com")


# --- batches -----------------------------------------------------------------------------------------


def test_requests_go_twenty_at_a_time_and_the_answers_keep_their_order(entra: GraphEntra, call: Call) -> None:
    names = [entra.add_user(f"user{number}").upn for number in range(45)]
    responses = call(entra.graph_client(), "batch", [BatchRequest("GET", f"/users/{name}") for name in names])
    assert [each.result()["userPrincipalName"] for each in responses] == names
    assert entra.graph_requests == 3


def test_one_refusal_in_a_batch_does_not_affect_the_others(entra: GraphEntra, call: Call) -> None:
    requests = [
        BatchRequest("GET", "/users/alice@contoso.onmicrosoft.com"),
        BatchRequest("GET", "/users/nobody"),
        BatchRequest("POST", "/applications", {"displayName": "Orders"}),
    ]
    found, missing, made = call(entra.graph_client(), "batch", requests)
    assert found.result()["displayName"] == "Alice Adams"
    assert (missing.status, missing.error.code) == (404, "Request_ResourceNotFound")
    with pytest.raises(GraphError, match="nobody"):
        missing.result()
    assert made.status == 201
    assert made.result()["displayName"] == "Orders"


def test_an_empty_batch_sends_no_request(entra: GraphEntra, call: Call) -> None:
    assert call(entra.graph_client(), "batch", []) == []
    assert entra.graph_requests == 0


def test_the_parts_that_were_throttled_are_sent_again_alone(entra: GraphEntra, call: Call) -> None:
    batches = []

    def throttling(request: httpx.Request) -> httpx.Response:  # the emulator throttles whole batches only
        parts = json.loads(request.content)["requests"]
        batches.append([part["id"] for part in parts])
        first = len(batches) == 1
        responses = [
            {"id": part["id"], "status": 429, "headers": {"Retry-After": "0"}, "body": None}
            if first and part["id"] == "1"
            else {"id": part["id"], "status": 200, "body": {"number": int(part["id"])}}
            for part in reversed(parts)
        ]
        return httpx.Response(200, json={"responses": responses})

    transport = httpx.MockTransport(throttling)
    graph = entra.graph_client(
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    responses = call(graph, "batch", [BatchRequest("GET", f"/users/{n}") for n in range(3)])
    assert [each.result()["number"] for each in responses] == [0, 1, 2]
    assert batches == [["0", "1", "2"], ["1"]]


def batches(*responses: Any) -> Any:
    """Return a handler that responds to each batch: with a status for all, or with the fields of each part."""
    remaining = list(responses)

    def handler(request: httpx.Request) -> httpx.Response:
        response = remaining.pop(0)
        if isinstance(response, int):
            return httpx.Response(response, json={})
        parts = json.loads(request.content)["requests"]
        return httpx.Response(200, json={"responses": [{"id": part["id"], **response} for part in parts]})

    return handler


CREATED = {"status": 201, "body": {}}


@pytest.mark.parametrize("fault", [500, 401])
def test_responses_are_not_lost_with_a_later_batch(entra: GraphEntra, call: Call, fault: int) -> None:
    requests = [BatchRequest("POST", "/users", {"n": number}) for number in range(45)]
    graph = entra.graph_client_for(batches(CREATED, fault, CREATED))
    statuses = [response.status for response in call(graph, "batch", requests)]
    assert statuses == [201] * 20 + [fault] * 20 + [201] * 5


def test_nor_with_a_batch_that_repeats_a_part(entra: GraphEntra, call: Call) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        ids = [part["id"] for part in json.loads(request.content)["requests"]]
        if ids == ["0"]:
            return httpx.Response(401, json={})
        responses = [{"id": each, "status": 201 if each != "0" else 429} for each in ids]
        return httpx.Response(200, json={"responses": responses})

    requests = [BatchRequest("POST", "/users", {"n": number}) for number in range(3)]
    responses = call(entra.graph_client_for(handler), "batch", requests)
    assert [response.status for response in responses] == [401, 201, 201]


def test_nor_with_a_connection_or_a_token(entra: GraphEntra, call: Call) -> None:
    def broken(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no response")

    [response] = call(entra.graph_client_for(broken), "batch", [BatchRequest("POST", "/users", {})])
    assert response.status == 0
    with pytest.raises(FetchError, match="did not respond in time"):
        response.result()
    entra.fail("token", "AADSTS7000222")
    entra.advance(7200)
    [response] = call(entra.graph_client_for(broken), "batch", [BatchRequest("GET", "/users")])
    with pytest.raises((TokenAcquisitionError, FetchError)):
        response.result()


def test_a_batch_that_fails_whole_is_sent_as_often_as_any_request(entra: GraphEntra, call: Call) -> None:
    entra.fail("graph", "429", retry_after=0)
    [response] = call(entra.graph_client(tries=3), "batch", [BatchRequest("GET", "/users")])
    assert response.status == 429
    assert entra.graph_requests == 3


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        ({"body": {}}, 0, "no_status"),
        ({"status": "abc"}, 0, "no_status"),
        ({"status": True}, 0, "no_status"),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example"}}, 302, "http_302"),
        ({"status": 404, "headers": ["a"]}, 404, "http_404"),
        ({"status": 404, "headers": {"Retry-After": None}, "body": "x"}, 404, "http_404"),
    ],
)
def test_a_malformed_response_in_a_batch_is_an_error(
    entra: GraphEntra, call: Call, part: dict[str, Any], status: int, code: str
) -> None:
    [response] = call(entra.graph_client_for(batches(part)), "batch", [BatchRequest("GET", "/users")])
    assert (response.status, response.error.code) == (status, code)


def test_paths_in_a_batch_are_written_as_alone(entra: GraphEntra, call: Call) -> None:
    name = "carol_fabrikam.onmicrosoft.com#EXT#@contoso.onmicrosoft.com"
    [response] = call(entra.graph_client(), "batch", [BatchRequest("GET", f"users/{name}")])
    assert response.result()["displayName"] == "Carol Clark"
    with pytest.raises(ConfigurationError, match="whole URL"):
        call(entra.graph_client(), "batch", [BatchRequest("GET", "https://elsewhere.example/x")])


# --- clouds and connections --------------------------------------------------------------------------


def of_an_unknown_cloud() -> Any:
    """A credential that does not name its cloud."""
    return ChainedCredential(ClientSecretCredential(*IDS, "a-secret"))


def test_each_cloud_has_its_graph_and_the_credentials_own_is_the_default() -> None:
    hosts = {
        "public": "https://graph.microsoft.com",
        "us-government": "https://graph.microsoft.us",
        "china": "https://microsoftgraph.chinacloudapi.cn",
    }
    for cloud, host in hosts.items():
        credential = ClientSecretCredential(*IDS, "a-secret", authority=cloud)
        environ = {"AZURE_TENANT_ID": IDS[0], "AZURE_CLIENT_ID": IDS[1], "AZURE_CLIENT_SECRET": "a-secret"}
        host_name = credential.authority.removeprefix("https://")
        described = EnvironmentCredential({**environ, "AZURE_AUTHORITY_HOST": host_name})
        for graph in (
            GraphClient(credential),
            GraphClient(described),
            GraphClient(of_an_unknown_cloud(), cloud=cloud),
        ):
            assert graph.base_url == f"{host}/v1.0"
            assert graph._auth._scopes == (f"{host}/.default",)
    dod = GraphClient(credential, base_url="https://dod-graph.microsoft.us/", version="beta")
    assert dod.base_url == "https://dod-graph.microsoft.us/beta"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cloud": "mars"}, "cloud must be one of"),
        ({"cloud": "france"}, "is not public"),
        ({"base_url": "http://graph.example"}, "base_url"),
        ({"base_url": "https://graph.example/v1.0"}, "without a path"),
        ({"base_url": "https://user:hunter2@graph.example"}, "user name, query and"),
        ({"base_url": "https://graph.example?x=1"}, "base_url"),
        ({"base_url": "https://graph.example#f"}, "base_url"),
        ({"base_url": "https://graph.example\\@elsewhere.example"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": 5}, "base_url"),
        ({"http_client": httpx.AsyncClient()}, "got AsyncClient: an AsyncClient is async_http_client"),
        ({"version": "../x"}, "version must be .*, got '../x'"),
        ({"version": "v1.0/"}, "version"),
        ({"version": 1}, "version"),
        ({"longest_wait": float("nan")}, "longest_wait"),
        ({"longest_wait": float("inf")}, "longest_wait"),
        ({"tries": 1.5}, "tries"),
        ({"tries": "3"}, "tries"),
        ({"tries": 0}, "tries"),
        ({"longest_wait": -1}, "longest_wait"),
    ],
)
def test_mistakes_fail_when_the_client_is_built(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        GraphClient(ClientSecretCredential(*IDS, "a-secret"), **settings)
    assert "hunter2" not in str(caught.value)


def test_the_default_port_in_an_address_is_the_same_host(entra: GraphEntra, call: Call) -> None:
    graph = entra.graph_client_for(
        lambda request: httpx.Response(200, json=[request.headers["authorization"][:7]]),
        base_url="https://Graph.Microsoft.com:443/",
    )
    assert graph.base_url == "https://graph.microsoft.com/v1.0"
    assert call(graph, "get", "/users") == ["Bearer "]


def test_a_chain_selects_the_cloud_of_its_members() -> None:
    def of(cloud: str) -> ClientSecretCredential:
        return ClientSecretCredential(*IDS, "a-secret", authority=cloud)

    chain = ChainedCredential(EnvironmentCredential({}), ChainedCredential(of("us-government")))
    for credential in (chain, chain.as_async(), of("us-government").as_async()):
        assert GraphClient(credential).base_url == "https://graph.microsoft.us/v1.0"
    with pytest.raises(ConfigurationError, match="is not public"):
        GraphClient(ChainedCredential(of("france")))
    mixed = ChainedCredential(of("public"), of("china"))
    with pytest.raises(ConfigurationError, match="several authorities"):
        GraphClient(mixed)
    assert GraphClient(mixed, cloud="china").base_url == "https://microsoftgraph.chinacloudapi.cn/v1.0"


def test_a_url_of_another_host_is_refused(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(ConfigurationError, match="the URL is not below"):
        call(entra.graph_client(), "get", "https://elsewhere.example/v1.0/users")
    assert entra.graph_requests == 0


def test_with_clients_of_its_own_it_works_over_sockets_and_closes_them(entra: GraphEntra) -> None:
    with served(entra):
        own = {"base_url": entra.url, "http_client": None, "async_http_client": None}

        async def use() -> bool:
            async with entra.graph_client(**own) as graph:
                assert (await graph.aget("/users"))["value"]
                [client] = graph._of_loop.values()
            closed = client.is_closed
            assert (await graph.aget("/users"))["value"]  # it can be used on
            await graph.aclose()
            return closed

        assert asyncio.run(use())
        with entra.graph_client(**own) as graph:
            assert graph.get("/users")["value"]
            client = graph._client()
        assert client.is_closed


def test_a_client_is_made_off_the_event_loop_and_once(entra: GraphEntra, monkeypatch: Any) -> None:
    made = []

    class Noting(httpx.AsyncClient):
        def __init__(self, **settings: Any) -> None:
            made.append(threading.current_thread())
            super().__init__(**settings)

    monkeypatch.setattr(httpx, "AsyncClient", Noting)
    with served(entra):
        own = {"base_url": entra.url, "http_client": None, "async_http_client": None}

        async def use() -> None:
            async with entra.graph_client(**own) as graph:
                made.clear()
                await asyncio.gather(graph.aget("/users"), graph.aget("/users"))
                [client] = graph._of_loop.values()
                await graph.aget("/users")
                assert [*graph._of_loop.values()] == [client]

        asyncio.run(use())
    assert made
    assert threading.current_thread() not in made


def test_this_machine_is_called_without_the_environments_proxy(entra: GraphEntra, monkeypatch: Any) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with served(entra):
        own = {"base_url": entra.url, "http_client": None, "async_http_client": None}
        with entra.graph_client(**own) as graph:
            assert graph.get("/users")["value"]

        async def use() -> None:
            async with entra.graph_client(**own) as graph:
                assert (await graph.aget("/users"))["value"]

        asyncio.run(use())


def test_one_client_serves_several_event_loops(entra: GraphEntra) -> None:
    with served(entra):
        graph = entra.graph_client(base_url=entra.url, http_client=None, async_http_client=None)

        async def use() -> bool:
            try:
                return bool((await graph.aget("/users"))["value"])
            finally:
                await graph.aclose()

        assert all(asyncio.run(use()) for _ in range(3))


def test_a_users_client_that_was_closed_is_not_replaced(entra: GraphEntra) -> None:
    with served(entra):  # where a client of ours would find it
        graph = entra.graph_client(base_url=entra.url)
        graph._client().close()
        with pytest.raises(RuntimeError, match="has been closed"):
            graph.get("/users")

        async def use() -> None:
            await graph._given_async.aclose()
            await graph.aget("/users")

        with pytest.raises(RuntimeError, match="has been closed"):
            asyncio.run(use())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_connections_that_nobody_closed_end_with_their_loop_or_their_client(entra: GraphEntra) -> None:
    made = []

    async def use(graph: GraphClient) -> None:
        assert (await graph.aget("/users"))["value"]
        made.extend(weakref.ref(client) for client in graph._of_loop.values())

    async def use_many() -> None:
        for _ in range(3):
            await use(entra.graph_client(**own))
        gc.collect()
        assert not any(client() for client in made)

    with served(entra):
        own = {"base_url": entra.url, "http_client": None, "async_http_client": None}
        asyncio.run(use_many())
        graph = entra.graph_client(**own)
        for _ in range(3):
            asyncio.run(use(graph))
        assert len(graph._of_loop) == 1
        del graph
        gc.collect()
        assert not any(client() for client in made)
