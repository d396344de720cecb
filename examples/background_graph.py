"""An API whose background task calls Microsoft Graph as the application itself.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE for the callers; AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_SECRET for the application, which needs Graph's permission User.Read.All.
"""

import os

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.credentials import EnvironmentCredential

GRAPH = os.environ.get("GRAPH_URL", "https://graph.microsoft.com")
itself = EnvironmentCredential()
people: list[str] = []


async def read_people() -> None:
    """The task outlives the caller's request, so it acts with a token of its own."""
    async with httpx.AsyncClient(auth=itself.auth("https://graph.microsoft.com/.default")) as graph:
        answer = await graph.get(f"{GRAPH}/v1.0/users?$select=displayName")
        people[:] = [user["displayName"] for user in answer.raise_for_status().json()["value"]]


@requires(roles=["People.Sync"])
async def sync(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "started"}, status_code=202, background=BackgroundTask(read_people))


app = Starlette(routes=[Route("/sync", sync, methods=["POST"])])
app.add_middleware(GuardMiddleware, guard=Guard.from_env())
