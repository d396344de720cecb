"""An application that calls an MCP server with the client credentials flow. Needs `mcp` 2.x.

AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_AUTHORITY_HOST are the client's, API_SCOPE is
'api://<the server's client id>/.default', MCP_URL the server's URL. The client needs the app
role Tasks.Write.
"""

import os

import anyio
import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from entra_guard.credentials import EnvironmentCredential


async def main() -> None:
    url = httpx2.URL(os.environ["MCP_URL"])
    auth = EnvironmentCredential().auth(os.environ["API_SCOPE"], hosts=[url.netloc.decode()])
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        streamable_http_client(str(url), http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        print([tool.name for tool in (await session.list_tools()).tools])
        print((await session.call_tool("close_task", {"number": 7})).content[0].text)


anyio.run(main)
