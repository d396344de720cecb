"""The MCP SDK's own client: signed in as a user through discovery, and as an application. Needs `mcp` 2.x."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import ClientSession
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from entra_guard.cli.demo._mcp_server import REDIRECT
from entra_guard.credentials import ClientSecretCredential

if TYPE_CHECKING:
    from entra_guard.cli.demo._mcp_server import McpFixture


class SentRequest(NamedTuple):
    """A request that the client sent, the status of its response, and the JSON-RPC method in it."""

    method: str
    url: str
    status: int
    message: str = ""


@dataclass(slots=True)
class ClientRun:
    """What a client did and found.

    Attributes:
        requests: Its requests, in order.
        tools: The tools that it may use.
        result: What the tool returned that it called.
    """

    requests: list[SentRequest] = field(default_factory=list[SentRequest])
    tools: list[str] = field(default_factory=list[str])
    result: str = ""


async def run_as_user(fixture: McpFixture, user: str) -> ClientRun:
    """Sign a user in with the authorization code flow and PKCE, and call a tool."""
    run = ClientRun()
    browser = _Browser(user, run)
    auth = OAuthClientProvider(
        fixture.url,
        OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT)], token_endpoint_auth_method="none"),  # noqa: S106
        _Storage(fixture.desktop.client_id),
        redirect_handler=browser.open,
        callback_handler=browser.redirected,
    )
    await _run(fixture.url, auth, run, "whoami", {})
    return run


async def run_as_application(fixture: McpFixture) -> ClientRun:
    """Get a token with client credentials, and call a tool."""
    run, entra = ClientRun(), fixture.entra
    credential = ClientSecretCredential(
        entra.tenant_id, fixture.daemon.client_id, fixture.secret.value, authority=entra.url
    )
    host = urlsplit(fixture.url).netloc
    auth: Any = credential.auth(f"api://{fixture.api.client_id}/.default", hosts=[host])
    with credential:
        await _run(fixture.url, auth, run, "close_task", {"number": 7})
    return run


async def _run(url: str, auth: Any, run: ClientRun, tool: str, arguments: dict[str, Any]) -> None:
    async def record(response: httpx2.Response) -> None:
        request = response.request
        is_message = request.method == "POST" and str(request.url) == url
        message = str(json.loads(request.content).get("method", "")) if is_message else ""
        run.requests.append(SentRequest(request.method, str(request.url), response.status_code, message))

    hooks: Any = {"response": [record]}
    async with (
        httpx2.AsyncClient(auth=auth, follow_redirects=True, event_hooks=hooks, trust_env=False) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        run.tools = [each.name for each in (await session.list_tools()).tools]
        content: Any = (await session.call_tool(tool, arguments)).content[0]
        run.result = str(content.text)


class _Browser:
    """The user's browser, in which the user is signed in already: it follows one URL."""

    def __init__(self, user: str, run: ClientRun) -> None:
        self._user = user
        self._run = run
        self._location = ""

    async def open(self, url: str) -> None:
        signed_in = httpx2.URL(url).copy_merge_params({"prompt": "none", "login_hint": self._user})
        async with httpx2.AsyncClient(trust_env=False) as client:
            response = await client.get(signed_in)
        self._run.requests.append(SentRequest("GET", url, response.status_code))
        self._location = response.headers.get("location", "")

    async def redirected(self) -> AuthorizationCodeResult:
        values = {name: value[0] for name, value in parse_qs(urlsplit(self._location).query).items()}
        return AuthorizationCodeResult(code=values["code"], state=values.get("state"), iss=values.get("iss"))


class _Storage:
    """The storage of a client that an administrator has registered: Entra has no dynamic registration."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._tokens: Any = None

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        return OAuthClientInformationFull(
            client_id=self._client_id,
            redirect_uris=[AnyUrl(REDIRECT)],
            token_endpoint_auth_method="none",  # noqa: S106
        )

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep nothing: the registration is Entra's."""
