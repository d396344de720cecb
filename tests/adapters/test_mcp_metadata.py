"""`protect` around any ASGI application: metadata, challenges, and what is refused when it is built."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from closed_ports import closed_port
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from entra_guard import ConfigurationError, Guard, Tenants, requires
from entra_guard.mcp import protect

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.testing import Entra

URL = "https://tasks.example/mcp"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


async def echo(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"{request.user.object_id} {await request.body()!r}")


def client_of(guard: Guard, **settings: Any) -> TestClient:
    app = Starlette(routes=[Route("/mcp", echo, methods=["GET", "POST"])])
    return TestClient(protect(app, guard, **{"url": URL} | settings))


def test_any_application_is_protected_and_gets_its_body_whole(
    guard: Guard, bearer: Callable[..., dict[str, str]]
) -> None:
    client = client_of(guard)
    body = b'{"method": "tools/call", "params": {"name": "x"}}'
    assert client.post("/mcp", content=body).status_code == 401
    assert client.post("/mcp", content=body, headers=bearer()).text.endswith(repr(body))


def test_an_application_of_fastapi_is_protected(guard: Guard, bearer: Callable[..., dict[str, str]]) -> None:
    app = FastAPI()
    app.add_api_route("/mcp", lambda: "reached")
    client = TestClient(protect(app, guard, url=URL))
    assert client.get("/mcp").status_code == 401
    assert client.get("/mcp", headers=bearer()).json() == "reached"


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
def test_the_metadata_is_public_at_both_locations(guard: Guard, entra: Entra, path: str) -> None:
    response = client_of(guard, scopes="access_as_user").get(path)
    assert response.status_code == 200
    assert response.json()["resource"] == URL
    assert response.json()["scopes_supported"] == [f"api://{entra.api.client_id}/access_as_user"]
    assert client_of(guard).head(path).content == b""
    assert client_of(guard).post(path).status_code == 401
    assert client_of(guard).get(f"{path}/other").status_code == 401


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer a, Bearer b", "Bearer junk"])
def test_every_challenge_names_the_metadata(guard: Guard, header: str) -> None:
    response = client_of(guard, scopes=["access_as_user"]).get("/mcp", headers={"Authorization": header})
    assert response.status_code in {400, 401}
    assert (
        f'resource_metadata="https://tasks.example{WELL_KNOWN}/mcp"' in response.headers["www-authenticate"]
    )


def test_an_outage_is_503_without_a_challenge(entra: Entra) -> None:
    headers = {"Authorization": f"Bearer {entra.token()}"}
    with closed_port() as port:
        closed = f"http://127.0.0.1:{port}"
        guard = Guard(tenant=entra.tenant_id, audience=entra.api.client_id, authority=closed)
        response = client_of(guard, scopes=["access_as_user"]).get("/mcp", headers=headers)
    assert response.status_code == 503
    assert "www-authenticate" not in response.headers


TENANTS = ["aaaabbbb-0000-cccc-1111-dddd2222eeee", "bbbbcccc-1111-dddd-2222-eeee3333ffff"]


@pytest.mark.parametrize(
    ("tenant", "names"),
    [
        (TENANTS[0], TENANTS[:1]),
        (Tenants.only(*TENANTS), TENANTS),
        (Tenants.organizations("customers sign up"), ["organizations"]),
    ],
)
def test_the_authorization_server_follows_the_kind_of_tenant(tenant: Any, names: list[str]) -> None:
    guard = Guard(tenant=tenant, audience="11112222-bbbb-3333-cccc-4444dddd5555")
    metadata = client_of(guard).get(WELL_KNOWN).json()
    issuers = [f"https://login.microsoftonline.com/{name}/v2.0" for name in names]
    assert metadata["authorization_servers"] == issuers


def test_the_authorization_server_of_a_domain_is_the_issuer_that_its_configuration_names(
    entra: Entra,
) -> None:
    guard = entra.guard(tenant="contoso.onmicrosoft.com")
    guard.verify(entra.token())  # loads the configuration
    assert client_of(guard).get(WELL_KNOWN).json()["authorization_servers"] == [
        f"{entra.url}/{entra.tenant_id}/v2.0"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tasks.example/mcp",
        "http://tasks.example/mcp",
        f"{URL}?x=1",
        f"{URL}#x",
        'https://x"/mcp',
        "https://é/",
        "https://[::1",
        "https://tasks.example:99999/mcp",
        "https://tasks.example:443/mcp",
        "https://Tasks.example/mcp",
        "HTTPS://tasks.example/mcp",
        "https://*/mcp",
        f"{URL}\t",
        f"{URL}\r\nX: y",
        f"{URL}/a%20b",
        f"{URL}/{{name}}",
        "https://user:password@tasks.example/mcp",
        None,
    ],
)
def test_a_url_that_clients_cannot_use_is_refused(guard: Guard, url: Any) -> None:
    with pytest.raises(ConfigurationError, match="url must be") as refused:
        client_of(guard, url=url)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize("url", [URL, "https://tasks.example"])
def test_the_endpoint_itself_is_never_public(guard: Guard, url: str) -> None:
    path = url.removeprefix("https://tasks.example") or "/"
    with pytest.raises(ConfigurationError, match="makes the MCP endpoint"):
        client_of(guard, url=url, public=["/healthz", path])


@pytest.mark.parametrize("settings", [{"name": 5}, {"origins": 5}, {"guard": None}, {"server": Starlette}])
def test_an_argument_of_another_type_is_refused(guard: Guard, settings: dict[str, Any]) -> None:
    arguments = {"server": Starlette(), "guard": guard, "url": URL, **settings}
    with pytest.raises(ConfigurationError, match="must be"):
        protect(**arguments)


def test_hiding_needs_the_server_itself(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="hide=True needs an MCPServer"):
        client_of(guard, hide=True)


def test_an_application_that_is_made_already_takes_no_settings(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="stateless_http need an MCPServer"):
        client_of(guard, stateless_http=True)
    with pytest.raises(ConfigurationError, match="json_response must be True or False"):
        client_of(guard, json_response="yes")


def test_what_is_not_an_application_is_refused(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="server must be"):
        protect(7, guard, url=URL)


@pytest.mark.parametrize(
    ("uri", "is_logged"), [(URL, False), (f"{URL}/", True), ("https://other.example", True)]
)
def test_a_resource_that_entra_would_refuse_is_logged(uri: str, is_logged: bool, caplog: Any) -> None:
    guard = Guard(tenant="contoso.com", audience=[uri, "11112222-bbbb-3333-cccc-4444dddd5555"])
    with caplog.at_level(logging.WARNING):
        client_of(guard)
    assert ("AADSTS9010010" in caplog.text) is is_logged
    assert ("differs in the slash at its end" in caplog.text) is (uri == f"{URL}/")


@pytest.mark.parametrize("server_of", ["mcp.server.mcpserver:MCPServer", "fastmcp:FastMCP"])
@pytest.mark.parametrize("add", ["tool", "prompt", "resource", "template"])
def test_requires_above_the_servers_decorator_is_refused(
    guard: Guard, entra: Entra, server_of: str, add: str
) -> None:
    module, _, name = server_of.partition(":")
    server = getattr(pytest.importorskip(module), name)("tasks")
    uri = {"resource": ["tasks://notes"], "template": ["tasks://notes/{number}"]}.get(add, [])
    register = getattr(server, "resource" if uri else add)(*uri)

    def secret(number: str = "") -> str:
        return f"the secret {number}"

    def notes() -> str:
        return secret()

    function = notes if add == "resource" else secret
    app = protect(server, entra.guard(), url=URL)  # what is added later is refused when it is used
    requires(roles=["Tasks.Write"])(register(function))
    with pytest.raises(ConfigurationError, match=f"@requires on .*{function.__name__} is above"):
        protect(server, guard, url=URL)
    method = {"tool": "tools/call", "prompt": "prompts/get"}.get(add, "resources/read")
    params = {"uri": uri[0].replace("{number}", "7")} if uri else {"name": "secret"}
    token = entra.token(user="alice", roles=["Tasks.Write"], scopes=["access_as_user"])
    client = TestClient(app, raise_server_exceptions=False)
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    response = client.post("/mcp", headers={"Authorization": f"Bearer {token}"}, json=message)
    assert response.status_code == 500


@pytest.mark.parametrize("server_of", ["mcp.server.mcpserver:MCPServer", "fastmcp:FastMCP"])
@pytest.mark.parametrize(("below", "prefix"), [("/", ""), ("/api", ""), ("/", "/api")])
def test_a_server_is_where_its_url_says(entra: Entra, server_of: str, below: str, prefix: str) -> None:
    path = f"{below}{prefix}/mcp".replace("//", "/")
    module, _, name = server_of.partition(":")
    server = getattr(pytest.importorskip(module), name)("tasks")
    tasks = protect(server, entra.guard(), url=f"https://tasks.example{path}")
    metadata = f"{WELL_KNOWN}{path}"
    app = Starlette(routes=[Route(metadata, tasks), Mount(below, tasks)], lifespan=tasks.lifespan)
    token = entra.token(user="alice", scopes=["access_as_user"])
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}
    # A proxy removes the prefix, and the server adds it again: `uvicorn --root-path`.
    with TestClient(app, root_path=prefix) as client:
        assert client.post(path, headers=headers, json=message).status_code == 200
        assert client.post(path, json=message).status_code == 401
        assert client.get(f"{prefix}{metadata}").json()["resource"].endswith(path)


def test_a_websocket_needs_the_scopes_too(entra: Entra) -> None:
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    server = Starlette(routes=[WebSocketRoute("/ws", greet)])
    client = TestClient(protect(server, entra.guard(), url=URL, scopes=["access_as_user"]))

    def connect(scope: str) -> str:
        headers = {"Authorization": f"Bearer {entra.token(user='alice', scopes=[scope])}"}
        with client.websocket_connect("/ws", headers=headers) as socket:
            return socket.receive_text()

    assert connect("access_as_user") == "hello"
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):
        connect("Other")


class ResponseCachingMiddleware:
    """As fastmcp 2.x has it: its module knows no callers."""


def test_a_cache_that_all_callers_share_is_logged(guard: Guard, caplog: Any) -> None:
    server = pytest.importorskip("fastmcp").FastMCP("tasks")
    caching = pytest.importorskip("fastmcp.server.middleware.caching")  # of fastmcp 4.x
    server.add_middleware(caching.ResponseCachingMiddleware())
    for middleware, is_shared in ((None, False), (ResponseCachingMiddleware(), True)):
        server.middleware.extend([middleware] if middleware else [])
        with caplog.at_level(logging.WARNING):
            protect(server, guard, url=URL)
        assert ("one cache for all callers" in caplog.text) is is_shared


PAGE = "https://inspector.example"


def test_a_named_page_may_call_the_server_and_read_where_to_sign_in(entra: Entra) -> None:
    mcpserver = pytest.importorskip("mcp.server.mcpserver")
    server = mcpserver.MCPServer("tasks", log_level="CRITICAL")
    app = protect(server, entra.guard(), url=URL, origins=[PAGE])
    token = entra.token(user="alice", scopes=["access_as_user"])
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    accept = {"Accept": "application/json, text/event-stream", "Host": "tasks.example"}
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}
    with TestClient(app) as client:
        for origin, allowed in ((PAGE, PAGE), ("https://other.example", None)):
            page = {"Origin": origin}
            preflight = client.options("/mcp", headers=page | asked)
            assert preflight.headers.get("access-control-allow-origin") == allowed
            refused = client.post("/mcp", headers=page)
            assert refused.status_code == 401
            assert refused.headers.get("access-control-allow-origin") == allowed
            assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
            bearer = {"Authorization": f"Bearer {token}"}
            response = client.post("/mcp", headers=page | accept | bearer, json=message)
            assert response.status_code == (200 if allowed else 403)
        for host in ("10.0.0.1:8000", "TASKS.example:443"):  # as proxies send it
            response = client.post("/mcp", headers=accept | bearer | {"Host": host}, json=message)
            assert response.status_code == 200, host


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "inspector.example",
        f"{PAGE}/",
        "http://inspector.example",
        "HTTPS://a.example",
        "https://[::1",
        None,
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(guard: Guard, origin: Any) -> None:
    with pytest.raises(ConfigurationError, match="origins must be"):
        client_of(guard, origins=[origin])
