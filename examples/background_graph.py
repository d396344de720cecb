"""An API whose background task calls Microsoft Graph as the application itself.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE for the callers; AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_SECRET for the application, which needs Graph's permission User.Read.All.
Then: uvicorn background_graph:app
"""

import os

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.credentials import EnvironmentCredential
from entra_guard.graph import GraphClient

SCOPE = "https://graph.microsoft.com/.default"
itself = EnvironmentCredential()
people: list[str] = []


async def read_people() -> None:
    """Read the people with the application's own token: the task may outlive the caller's."""
    async with GraphClient(itself, base_url=os.environ.get("GRAPH_URL"), scope=SCOPE) as graph:
        users = graph.aiterate("/users", {"$select": "displayName"})
        people[:] = [user["displayName"] async for user in users]


@requires(roles=["People.Sync"])
async def sync(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "started"}, status_code=202, background=BackgroundTask(read_people))


app = Starlette(routes=[Route("/sync", sync, methods=["POST"])])
app.add_middleware(GuardMiddleware, guard=Guard.from_env())
