"""Respond to refusals in Starlette and FastAPI, where the application has no handler for them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from entra_guard._web.asgi_response import send_refusal
from entra_guard._web.asgi_scope import STARLETTE_HANDLERS
from entra_guard._web.decisions import log_refusal
from entra_guard._web.route_template import asgi_route
from entra_guard._web.stream_expiry import POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from entra_guard.errors import AccessError


async def access_error_handler(connection: Request | WebSocket, error: AccessError) -> Response | None:
    """Respond to a refusal: an exception handler for Starlette and FastAPI.

    The guard adds it where an application has no handler for refusals and HTTP errors.

    Example:
        >>> app = FastAPI(exception_handlers={AccessError: access_error_handler})
    """
    if isinstance(connection, Request):
        _log(error, connection.method, connection.scope)
        body = b"" if connection.method == "HEAD" else error.body
        return Response(body, error.status, error.headers)
    if connection.application_state is WebSocketState.CONNECTING:
        await send_refusal(error, connection.scope, connection.send)
    elif connection.application_state is WebSocketState.CONNECTED:
        _log(error, "WEBSOCKET", connection.scope)
        await connection.close(POLICY_VIOLATION, error.reason)
    else:
        raise copy(error)  # the plain class, which no handler of an outer application gets
    return None


def _log(error: AccessError, method: str, scope: MutableMapping[str, Any]) -> None:
    log_refusal(error, method, scope["path"], scope, asgi_route(scope))


def ensure_handler(scope: Mapping[str, Any], kind: type[AccessError]) -> None:
    """Let the innermost application respond to refusals of this class with our response.

    An application's own handler is kept: for this class, for `AccessError`, for the framework's
    HTTPException, or for any class between.
    """
    handlers = scope.get(STARLETTE_HANDLERS)
    if not handlers:
        return
    by_class: dict[type, Any] = handlers[0]
    chosen = next((by_class[base] for base in kind.__mro__ if base in by_class), None)
    if chosen is None or _is_default(chosen):
        by_class[kind] = access_error_handler


def _is_default(handler: object) -> bool:
    """Return whether a handler is the one that Starlette or FastAPI registers for its HTTPException."""
    return getattr(handler, "__module__", "") in {
        "starlette.middleware.exceptions",
        "fastapi.exception_handlers",
    }
