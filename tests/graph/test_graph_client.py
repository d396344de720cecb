"""Graph is asked with a token of its own, patiently, page by page and twenty at a time."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from entra_guard.credentials import (
    ChainedCredential,
    ClientSecretCredential,
    EnvironmentCredential,
    TokenAcquisitionError,
)
from entra_guard.errors import ConfigurationError, FetchError
from entra_guard.graph import BatchRequest, GraphClient, GraphError
from entra_guard.graph._conversation import Ask, Patience, Pause, ask

if TYPE_CHECKING:
    from conftest import Call, Office

IDS = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")


# --- objects -----------------------------------------------------------------------------------------


def test_an_object_is_read_made_changed_and_deleted(office: Office, call: Call) -> None:
    graph = office.graph()
    made = call(graph, "post", "/applications", {"displayName": "Orders"})
    path = f"/applications/{made['id']}"
    assert call(graph, "patch", path, {"displayName": "Orders 2"}) is None
    assert call(graph, "get", path, {"$select": "displayName"})["displayName"] == "Orders 2"
    assert call(graph, "get", f"/applications(appId='{made['appId']}')")["id"] == made["id"]
    assert call(graph, "delete", path) is None
    with pytest.raises(GraphError) as caught:
        call(graph, "get", path)
    assert caught.value.status == 404


def test_a_name_is_written_into_a_path_as_urls_want_it(office: Office, call: Call) -> None:
    found = call(office.graph(), "get", "/users/carol_fabrikam.onmicrosoft.com#EXT#@contoso.onmicrosoft.com")
    assert found["displayName"] == "Carol Clark"


def test_an_error_carries_graphs_code_message_and_request_id(office: Office, call: Call) -> None:
    with pytest.raises(GraphError) as caught:
        call(office.graph(), "get", "/users/nobody@contoso.onmicrosoft.com")
    error = caught.value
    assert (error.status, error.code) == (404, "Request_ResourceNotFound")
    assert error.message.startswith("Resource 'nobody@contoso.onmicrosoft.com' does not exist")
    assert len(error.request_id or "") == 36
    assert error.request_id in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_an_app_may_not_do_graph_says(office: Office, call: Call) -> None:
    with pytest.raises(GraphError, match="403 Authorization_RequestDenied"):
        call(office.graph(), "get", "/organization")


def test_without_a_token_graph_is_not_asked(office: Office, call: Call) -> None:
    office.entra.fail("token", "AADSTS7000222")
    with pytest.raises(TokenAcquisitionError):
        call(office.graph(), "get", "/users")
    assert office.asked == 0


def test_a_claims_challenge_is_answered(office: Office, call: Call) -> None:
    graph = office.graph()
    call(graph, "get", "/users")
    office.entra.revoke(office.daemon)
    office.entra.advance(2)
    before = office.entra.count("token")
    assert call(graph, "get", "/users")["value"]
    assert office.entra.count("token") == before + 1


# --- patience ----------------------------------------------------------------------------------------


def test_throttled_requests_are_sent_again(office: Office, call: Call) -> None:
    office.entra.fail_next("graph", "429", times=2, retry_after=0)
    office.entra.fail_next("graph", "503", retry_after=0)
    assert call(office.graph(), "post", "/applications", {"displayName": "Orders"})["displayName"] == "Orders"
    assert office.asked == 4


def test_the_number_of_tries_is_bounded(office: Office, call: Call) -> None:
    office.entra.fail("graph", "429", retry_after=0)
    with pytest.raises(GraphError, match="429"):
        call(office.graph(tries=3), "get", "/users")
    assert office.asked == 3


def test_when_graph_asks_for_more_time_than_anyone_has_the_error_comes_at_once(
    office: Office, call: Call
) -> None:
    office.entra.fail("graph", "429", retry_after=300)
    with pytest.raises(GraphError) as caught:
        call(office.graph(longest_wait=30), "get", "/users")
    assert caught.value.retry_after == 300
    assert office.asked == 1


def test_what_reads_is_sent_again_after_a_mishap_and_what_writes_is_not(office: Office, call: Call) -> None:
    graph = office.graph(longest_wait=0.0, tries=2)
    for fault in ("500", "dropped"):
        office.entra.fail("graph", fault)
        for method, requests in (("get", 1), ("post", 1)):
            before = office.asked
            with pytest.raises((GraphError, FetchError)):
                call(graph, method, "/applications", *([{"displayName": "x"}] if method == "post" else []))
            assert office.asked == before + requests
        office.entra.heal()


def steps(wanted: Ask, *answers: httpx.Response | FetchError, **patience: Any) -> list[Any]:
    """What a conversation asks for, and how it ends."""
    settings = {"jitter": lambda: 1.0, **patience}
    talk, said, seen = ask(wanted, Patience(**settings)), list(answers), []
    try:
        step = next(talk)
        while True:
            seen.append(step.seconds if isinstance(step, Pause) else step.method)
            step = talk.send(None if isinstance(step, Pause) else said.pop(0))
    except StopIteration as end:
        return [*seen, end.value]
    except (GraphError, FetchError) as error:
        return [*seen, type(error).__name__]


def answer(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status}, headers=headers)


BROKEN = FetchError("http", "https://graph.example", "the exchange broke")


def test_pauses_are_graphs_own_or_else_grow() -> None:
    get = Ask("GET", "https://graph.example")
    asked_for = {"retry-after": "7"}
    assert steps(get, answer(429, **asked_for), answer(200)) == ["GET", 7.0, "GET", {"status": 200}]
    assert steps(get, *[answer(503)] * 4) == ["GET", 1.0, "GET", 2.0, "GET", 4.0, "GET", "GraphError"]
    assert steps(get, BROKEN, answer(200)) == ["GET", 1.0, "GET", {"status": 200}]
    assert steps(get, answer(429, **{"retry-after": "31"})) == ["GET", "GraphError"]


def test_only_what_graph_did_not_act_on_is_written_again() -> None:
    post = Ask("POST", "https://graph.example")
    for mishap in (answer(500), answer(504), BROKEN):
        assert steps(post, mishap)[:2] == [
            "POST",
            type(BROKEN if mishap is BROKEN else GraphError(0, "", "")).__name__,
        ]
    assert steps(post, answer(429), answer(201)) == ["POST", 1.0, "POST", {"status": 201}]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_is_followed(office: Office, call: Call, status: int) -> None:
    def elsewhere(request: httpx.Request) -> httpx.Response:  # the emulator's Graph redirects nobody
        assert request.url.host == "graph.microsoft.com"
        return httpx.Response(status, headers={"location": "https://elsewhere.example/"})

    transport = httpx.MockTransport(elsewhere)
    graph = GraphClient(
        office.credential,
        scope="https://graph.microsoft.com/.default",
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(FetchError, match="redirect"):
        call(graph, "get", "/users")


# --- pages -------------------------------------------------------------------------------------------


def test_a_collection_is_read_page_by_page(office: Office, call: Call) -> None:
    for number in range(7):
        office.entra.add_user(f"user{number}")
    users = call(office.graph(), "iterate", "/users", {"$top": "3", "$select": "id"})
    assert len({user["id"] for user in users}) == 10
    assert office.asked == 4


def test_only_as_many_pages_are_read_as_are_wanted(office: Office) -> None:
    for number in range(7):
        office.entra.add_user(f"user{number}")
    pages = office.graph().iterate("/users", {"$top": "3"})
    for _ in range(3):
        next(pages)
    assert office.asked == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/v1.0/users?$skiptoken=x",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:444/v1.0/users",
        "https://graph.microsoft.com@elsewhere.example/v1.0/users",
        "/v1.0/users",
        7,
        "https://graph.microsoft.com/v1.0/users",
    ],
)
def test_the_next_page_is_on_the_same_host_and_another_page(office: Office, call: Call, link: Any) -> None:
    asked = []

    def lying(request: httpx.Request) -> httpx.Response:  # no emulator lies so
        asked.append(request.url.host)
        assert len(asked) < 5
        return httpx.Response(200, json={"value": [{"id": "1"}], "@odata.nextLink": link})

    transport = httpx.MockTransport(lying)
    graph = GraphClient(
        office.credential,
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(GraphError, match="next_link"):
        call(graph, "iterate", "/users")
    assert asked == ["graph.microsoft.com"]


def test_pages_do_not_go_round_in_circles(office: Office, call: Call) -> None:
    asked = []

    def circling(request: httpx.Request) -> httpx.Response:  # no emulator does so
        asked.append(request.url.params.get("page"))
        assert len(asked) < 5
        other = "1" if asked[-1] == "2" else "2"
        link = f"https://graph.microsoft.com/v1.0/users?page={other}"
        return httpx.Response(200, json={"value": [], "@odata.nextLink": link})

    transport = httpx.MockTransport(circling)
    graph = GraphClient(
        office.credential,
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(GraphError, match="circular"):
        call(graph, "iterate", "/users", {"page": "1"})
    assert asked == ["1", "2"]


def test_a_single_object_is_no_collection(office: Office, call: Call) -> None:
    with pytest.raises(GraphError, match=r"use get\(\)"):
        call(office.graph(), "iterate", "/users/alice@contoso.onmicrosoft.com")


# --- batches -----------------------------------------------------------------------------------------


def test_requests_go_twenty_at_a_time_and_the_answers_keep_their_order(office: Office, call: Call) -> None:
    names = [office.entra.add_user(f"user{number}").upn for number in range(45)]
    answers = call(office.graph(), "batch", [BatchRequest("GET", f"/users/{name}") for name in names])
    assert [each.result()["userPrincipalName"] for each in answers] == names
    assert office.asked == 3


def test_one_refusal_in_a_batch_spoils_no_other(office: Office, call: Call) -> None:
    requests = [
        BatchRequest("GET", "/users/alice@contoso.onmicrosoft.com"),
        BatchRequest("GET", "/users/nobody"),
        BatchRequest("POST", "/applications", {"displayName": "Orders"}),
    ]
    found, missing, made = call(office.graph(), "batch", requests)
    assert found.result()["displayName"] == "Alice Adams"
    assert (missing.status, missing.error.code) == (404, "Request_ResourceNotFound")
    with pytest.raises(GraphError, match="nobody"):
        missing.result()
    assert made.status == 201
    assert made.result()["displayName"] == "Orders"


def test_an_empty_batch_asks_nothing(office: Office, call: Call) -> None:
    assert call(office.graph(), "batch", []) == []
    assert office.asked == 0


def test_the_parts_that_were_throttled_are_sent_again_alone(office: Office, call: Call) -> None:
    batches = []

    def throttling(request: httpx.Request) -> httpx.Response:  # the emulator throttles whole batches only
        import json

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
    graph = office.graph(
        http_client=httpx.Client(transport=transport),
        async_http_client=httpx.AsyncClient(transport=transport),
    )
    answers = call(graph, "batch", [BatchRequest("GET", f"/users/{n}") for n in range(3)])
    assert [each.result()["number"] for each in answers] == [0, 1, 2]
    assert batches == [["0", "1", "2"], ["1"]]


# --- clouds and connections --------------------------------------------------------------------------


def of_an_unknown_cloud() -> Any:
    """A credential that tells nothing of its cloud."""
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
        ({"cloud": "france"}, "not published"),
        ({"base_url": "http://graph.example"}, "base_url"),
        ({"base_url": "https://graph.example/v1.0"}, "without a path"),
        ({"tries": 0}, "tries"),
        ({"longest_wait": -1}, "longest_wait"),
    ],
)
def test_mistakes_fail_when_the_client_is_built(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        GraphClient(ClientSecretCredential(*IDS, "a-secret"), **settings)


def test_a_url_of_another_host_is_no_path(office: Office, call: Call) -> None:
    with pytest.raises(ConfigurationError, match="this URL is not"):
        call(office.graph(), "get", "https://elsewhere.example/v1.0/users")
    assert office.asked == 0


def test_with_clients_of_its_own_it_works_over_sockets_and_closes_them(office: Office) -> None:
    with office.entra:
        own = {"base_url": office.entra.url, "http_client": None, "async_http_client": None}

        async def use() -> bool:
            async with office.graph(**own) as graph:
                assert (await graph.aget("/users"))["value"]
                client = graph._of_loop.get()
            closed = client.is_closed
            assert (await graph.aget("/users"))["value"]  # it can be used on
            await graph.aclose()
            return closed

        assert asyncio.run(use())
        with office.graph(**own) as graph:
            assert graph.get("/users")["value"]
            client = graph._client()
        assert client.is_closed


def test_one_client_serves_several_event_loops(office: Office) -> None:
    with office.entra:
        graph = office.graph(base_url=office.entra.url, http_client=None, async_http_client=None)

        async def use() -> bool:
            try:
                return bool((await graph.aget("/users"))["value"])
            finally:
                await graph.aclose()

        assert all(asyncio.run(use()) for _ in range(3))
