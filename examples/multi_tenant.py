"""A service sold to many organizations: tokens of each are accepted, and each sees only its own rows.

Set ENTRA_GUARD_AUDIENCE, then: uvicorn multi_tenant:app
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from entra_guard import Guard, Tenants, requires
from entra_guard.asgi import GuardMiddleware

guard = Guard(
    tenant=Tenants.organizations(
        "sold to any organization: tenants without a subscription are refused below"
    ),
    audience=os.environ["ENTRA_GUARD_AUDIENCE"],
    authority=os.environ.get("ENTRA_GUARD_AUTHORITY", "public"),
)
subscriptions: dict[str, list[str]] = {}  # orders by tenant id: a table in a real service


@requires(scopes=["Orders.Read"])
async def orders(request: Request) -> JSONResponse:
    """Return the caller's rows: by tenant and object id, never by name or mail address."""
    rows = subscriptions.get(request.user.tenant_id)
    if rows is None:
        return JSONResponse({"error": "your organization has no subscription"}, status_code=402)
    return JSONResponse(rows)


app = Starlette(routes=[Route("/orders", orders)])
app.add_middleware(GuardMiddleware, guard=guard)
