"""A WebSocket that only callers with a scope may open, and that ends when their token does.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE, then: uvicorn websocket_app:app (with `websockets` installed)
A refused connection is closed before it is accepted; one whose token expires is closed with code 1008.
The token comes in the Authorization header of the handshake, which programs can send, and browsers cannot.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware


@requires(scopes=["Orders.Watch"])
async def watch(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"Hello, {websocket.user.display_name}")
    async for order in websocket.iter_text():
        await websocket.send_text(f"{order}: shipped")


app = Starlette(
    routes=[WebSocketRoute("/orders", watch)],
    middleware=[Middleware(GuardMiddleware, guard=Guard.from_env())],
)
