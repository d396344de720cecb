"""A Starlette API: one guard before everything, and a role that one route requires.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE, then: uvicorn starlette_app:app
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware, health_app

guard = Guard.from_env()


async def orders(request: Request) -> JSONResponse:
    return JSONResponse({"orders": [], "for": request.user.display_name})


@requires(roles=["Orders.Write"])
async def place_order(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"placed by {request.user.app_id}", status_code=201)


app = Starlette(
    routes=[
        Route("/orders", orders),
        Route("/orders", place_order, methods=["POST"]),
        Route("/readyz", health_app(guard)),
    ],
    middleware=[Middleware(GuardMiddleware, guard=guard, public=["/readyz"])],
)
