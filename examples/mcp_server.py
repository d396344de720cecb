"""An MCP server for callers with a token of Entra only: `uvicorn mcp_server:app`. Needs `mcp` 2.x.

ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE are the API's; MCP_URL is the URL that clients use.
"""

import os

from mcp.server.mcpserver import MCPServer

from entra_guard import Guard, current_principal, requires
from entra_guard.mcp import protect

server = MCPServer("Tasks")


@server.tool()
def whoami() -> str:
    """Return the object id of the caller."""
    return current_principal().object_id


@server.tool()
@requires(roles=["Tasks.Write"])
def close_task(number: int) -> str:
    """Close a task."""
    return f"closed task {number}"


app = protect(server, Guard.from_env(), url=os.environ["MCP_URL"], scopes=["access_as_user"], hide=True)
