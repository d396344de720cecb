"""Print why `protect` refuses a server of SDK 1.x with tasks and without sessions."""

from __future__ import annotations

import sys

from mcp.server.fastmcp import FastMCP

from entra_guard import ConfigurationError, Guard
from entra_guard.mcp import protect

server = FastMCP("tasks", stateless_http=True)
server._mcp_server.experimental.enable_tasks()
try:
    protect(server, Guard.from_env(), url="https://tasks.example/mcp")
except ConfigurationError as error:
    sys.stdout.write(str(error))
