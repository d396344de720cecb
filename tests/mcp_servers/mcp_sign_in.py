"""Connect the MCP SDK's own client to a server: discovery, authorization code with PKCE, one call of a tool.

Run by a test in the environment of each SDK line; prints the text that the tool returns. The browser is a
request with `prompt=none`, as of a user who is signed in already.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

try:
    import httpx2
    from mcp.client.auth import AuthorizationCodeResult
except ImportError:  # the first line
    import httpx as httpx2

    AuthorizationCodeResult = None

REDIRECT = "http://localhost:3030/callback"


class Registered:
    """Storage of a client that an administrator has registered in Entra."""

    tokens: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        return OAuthClientInformationFull(
            client_id=os.environ["CLIENT_ID"], redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
        )

    async def set_client_info(self, client_info: Any) -> None:
        raise AssertionError(client_info)


async def main() -> None:
    url = os.environ["MCP_URL"]
    location = ""

    async def browse(authorize: str) -> None:
        nonlocal location
        signed_in = httpx2.URL(authorize).copy_merge_params({"prompt": "none", "login_hint": "alice"})
        async with httpx2.AsyncClient() as browser:
            response = await browser.get(signed_in)
        location = response.headers.get("location", response.text)

    async def code() -> Any:
        values = {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}
        assert "code" in values, location
        if AuthorizationCodeResult is None:
            return values["code"], values.get("state")
        return AuthorizationCodeResult(code=values["code"], state=values.get("state"), iss=values.get("iss"))

    metadata = OAuthClientMetadata(redirect_uris=[REDIRECT], token_endpoint_auth_method="none")
    auth = OAuthClientProvider(url, metadata, Registered(), redirect_handler=browse, callback_handler=code)
    async with (
        httpx2.AsyncClient(auth=auth, follow_redirects=True) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        sys.stdout.write((await session.call_tool("whoami", {})).content[0].text)


anyio.run(main)
