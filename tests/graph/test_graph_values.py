"""Parameters, paths, raw values and scopes, as OData and Microsoft Graph write them."""

from __future__ import annotations

import datetime as dt
import enum
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from entra_guard.credentials import ChainedCredential, ClientSecretCredential
from entra_guard.errors import ConfigurationError, FetchError
from entra_guard.graph import BatchRequest, GraphClient

if TYPE_CHECKING:
    from graph_entra import Call, GraphEntra

BASE = "https://graph.microsoft.com/v1.0"
IDS = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")


class Order(str, enum.Enum):  # noqa: UP042  # its str() is the name, as older code has it
    NEWEST = "createdDateTime desc"


class Size(enum.IntEnum):
    SMALL = 5


def url_of(entra: GraphEntra, call: Call, method: str, *args: Any) -> str:
    """Return the URL that reaches Graph."""
    seen = []

    def graph(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"value": []})

    call(entra.graph_client_for(graph), method, *args)
    [url] = seen
    return url


VALUES = [
    (["id", "mail"], "id,mail"),
    (("id", "mail"), "id,mail"),
    ({"mail", "id"}, "id,mail"),
    (True, "true"),
    (False, "false"),
    (999, "999"),
    (Size.SMALL, "5"),
    (1.5, "1.5"),
    (Decimal("1.50"), "1.50"),
    (UUID(IDS[0]), IDS[0]),
    (dt.date(2026, 1, 31), "2026-01-31"),
    (dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC), "2026-01-31T09:30:00Z"),
    (
        dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "2026-01-31T07:30:00Z",
    ),
    (Order.NEWEST, "createdDateTime%20desc"),
    ([True, 1, "a b"], "true,1,a%20b"),
    ("startswith(mail,'a+b')", "startswith(mail,'a%2Bb')"),
    ("displayName eq '50% & #1'", "displayName%20eq%20'50%25%20%26%20%231'"),
    ('"displayName:Zoë"', "%22displayName:Zo%C3%AB%22"),
    ("", ""),
]


@pytest.mark.parametrize(("value", "written"), VALUES)
@pytest.mark.parametrize("method", ["get", "iterate"])
def test_parameters_are_written_as_odata_wants_them(
    entra: GraphEntra, call: Call, method: str, value: Any, written: str
) -> None:
    assert (
        url_of(entra, call, method, "/users", {"$x": value})
        == f"{BASE}/users?$x={written.replace(':', '%3A')}"
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        (),
        set(),
        ["id", None],
        {"id": 1},
        b"id",
        object(),
        float("nan"),
        float("inf"),
        dt.datetime(2026, 1, 31),  # noqa: DTZ001
        range(2),
    ],
)
def test_values_without_an_odata_form_are_refused_and_not_quoted(
    entra: GraphEntra, call: Call, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"the query option \$select (is|of)") as caught:
        call(entra.graph_client(), "get", "/users", {"$select": value})
    assert "object at" not in str(caught.value)
    assert entra.graph_requests == 0


def test_parameters_must_be_a_mapping(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(ConfigurationError, match="params must be a mapping"):
        call(entra.graph_client(), "get", "/users", [("$select", "id")])


PATHS = [
    ("/users/a b@contoso.com", "/users/a%20b@contoso.com"),
    ("/users/100%@contoso.com", "/users/100%25@contoso.com"),
    ("/users/100%25@contoso.com", "/users/100%25@contoso.com"),
    ("/users/c#EXT#@contoso.com", "/users/c%23EXT%23@contoso.com"),
    ("/users/50%zz", "/users/50%25zz"),
    ("users/Zoë", "/users/Zo%C3%AB"),
    ("/users/a\\b", "/users/a%5Cb"),
    (f"{BASE}/users/c#EXT#@contoso.com", "/users/c%23EXT%23@contoso.com"),
    (f"{BASE}/users/a b?$select=id", "/users/a%20b?$select=id"),
]


@pytest.mark.parametrize(("path", "written"), PATHS)
def test_paths_are_encoded_where_urls_need_it(entra: GraphEntra, call: Call, path: str, written: str) -> None:
    assert url_of(entra, call, "get", path) == f"{BASE}{written}"


@pytest.mark.parametrize(
    "path",
    [
        "/users/../groups",
        "/users/%2E%2e/groups",
        "/users/..%2Fgroups",
        "..",
        "/users/.",
        "/a\\..\\b",
        "/users/\udce9",
    ],
)
@pytest.mark.parametrize("method", ["get", "batch"])
def test_a_path_that_is_read_in_two_ways_is_refused(
    entra: GraphEntra, call: Call, method: str, path: str
) -> None:
    argument = path if method == "get" else [BatchRequest("GET", path)]
    with pytest.raises(ConfigurationError, match=r"'\.' or '\.\.'|surrogate"):
        call(entra.graph_client(), method, argument)
    assert entra.graph_requests == 0


def test_dots_elsewhere_are_no_segments(entra: GraphEntra, call: Call) -> None:
    assert url_of(entra, call, "get", "/users/a..b/...?$filter='/../'").endswith(
        "/users/a..b/...?$filter='/../'"
    )


def test_a_query_option_that_is_not_text_is_refused(entra: GraphEntra, call: Call) -> None:
    with pytest.raises(ConfigurationError, match="surrogate") as caught:
        call(entra.graph_client(), "get", "/users", {"$filter": "mail eq 'alice\ud800'"})
    assert caught.value.__context__ is None  # the error of Python holds the whole text


def test_a_body_may_hold_any_text(entra: GraphEntra, call: Call) -> None:
    bodies = []

    def graph(request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/json"
        bodies.append(json.loads(request.read()))
        return httpx.Response(204)

    call(entra.graph_client_for(graph), "patch", "/users/1", {"displayName": "Zoë \ud800"})
    assert bodies == [{"displayName": "Zoë \ud800"}]


def test_a_header_replaces_the_usual_one_in_any_case(entra: GraphEntra, call: Call) -> None:
    seen = []

    def graph(request: httpx.Request) -> httpx.Response:
        seen.extend(request.headers.get_list(name) for name in ("accept", "content-type", "user-agent"))
        return httpx.Response(204)

    given = {"Accept": "text/plain", "CONTENT-type": "application/merge-patch+json", "User-Agent": "mine"}
    call(entra.graph_client_for(graph), "patch", "/users/1", {}, given)
    assert seen == [["text/plain"], ["application/merge-patch+json"], ["mine"]]


def test_a_header_of_a_batch_part_replaces_the_usual_one_in_any_case(entra: GraphEntra, call: Call) -> None:
    sent = []

    def graph(request: httpx.Request) -> httpx.Response:
        sent.extend(json.loads(request.read())["requests"])
        return httpx.Response(200, json={"responses": [{"id": "0", "status": 204}]})

    part = BatchRequest("PATCH", "/users/1", {}, {"content-type": "application/merge-patch+json"})
    call(entra.graph_client_for(graph), "batch", [part])
    assert sent[0]["headers"] == {"content-type": "application/merge-patch+json"}


@pytest.mark.parametrize(("path", "written"), [row for row in PATHS if not row[0].startswith("https:")])
def test_paths_in_a_batch_are_encoded_alike(entra: GraphEntra, call: Call, path: str, written: str) -> None:
    bodies = []

    def graph(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read().decode())
        return httpx.Response(200, json={"responses": [{"id": "0", "status": 200, "body": {}}]})

    call(entra.graph_client_for(graph), "batch", [BatchRequest("GET", path)])
    assert f'"url":"{written}"' in bodies[0].replace('": "', '":"')


# --- $value ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a photo", b'{"looks": "like JSON"}', b""])
@pytest.mark.parametrize("path", ["/me/photo/$value", "/users/a@b.example/photos/48x48/$value?x=1"])
def test_a_raw_value_is_returned_as_bytes(entra: GraphEntra, call: Call, path: str, content: bytes) -> None:
    accepted = []

    def graph(request: httpx.Request) -> httpx.Response:
        accepted.append(request.headers["accept"])
        return httpx.Response(200, content=content, headers={"content-type": "image/jpeg"})

    assert call(entra.graph_client_for(graph), "get", path) == content
    assert accepted == ["*/*"]


def test_any_other_response_must_be_json(entra: GraphEntra, call: Call) -> None:
    def graph(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, html="<h1>Sign in</h1>")

    with pytest.raises(FetchError, match="not JSON"):
        call(entra.graph_client_for(graph), "get", "/me")


def test_a_count_is_a_number(entra: GraphEntra, call: Call) -> None:
    def graph(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, text="\N{ZERO WIDTH NO-BREAK SPACE}42", headers={"content-type": "text/plain"}
        )

    assert call(entra.graph_client_for(graph), "get", "/users/$count") == 42


# --- scopes ------------------------------------------------------------------------------------------


def scope_of(authority: str, **settings: Any) -> str:
    credential = ClientSecretCredential(*IDS, "a-secret", authority=authority)
    [scope] = GraphClient(credential, **settings)._auth._scopes
    return scope


@pytest.mark.parametrize(
    ("authority", "settings", "scope"),
    [
        ("public", {}, "https://graph.microsoft.com/.default"),
        ("us-government", {}, "https://graph.microsoft.us/.default"),
        (
            "us-government",
            {"base_url": "https://dod-graph.microsoft.us"},
            "https://dod-graph.microsoft.us/.default",
        ),
        (
            "http://127.0.0.1:8000",
            {"base_url": "http://127.0.0.1:8000"},
            "https://graph.microsoft.com/.default",
        ),
        ("public", {"base_url": "http://localhost:8000"}, "https://graph.microsoft.com/.default"),
        ("us-government", {"base_url": "http://[::1]:8000"}, "https://graph.microsoft.us/.default"),
        (
            "https://emulator.internal:8443",
            {"base_url": "https://emulator.internal:8443"},
            "https://graph.microsoft.com/.default",
        ),
        (
            "https://emulator.internal:8443",
            {"base_url": "https://emulator.internal:8444", "cloud": "china"},
            "https://microsoftgraph.chinacloudapi.cn/.default",
        ),
        ("public", {"base_url": "http://localhost:1", "scope": "api://x/.default"}, "api://x/.default"),
    ],
)
def test_the_default_scope_is_that_of_the_graph_which_is_meant(
    authority: str, settings: dict[str, Any], scope: str
) -> None:
    assert scope_of(authority, **settings) == scope


def test_an_emulator_needs_no_scope(entra: GraphEntra, call: Call) -> None:
    assert call(entra.graph_client(scope=None), "get", "/users")["value"]


def test_a_chain_of_several_authorities_may_call_an_emulator() -> None:
    credentials = [ClientSecretCredential(*IDS, "s", authority=name) for name in ("public", "china")]
    graph = GraphClient(ChainedCredential(*credentials), base_url="http://localhost:8000")
    assert graph._auth._scopes[0].endswith("/.default")
