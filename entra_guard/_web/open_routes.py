"""Begin requests for routes beside a guard without a caller. Imports no framework.

A server may start a request in the context of an earlier one of its connection. uvicorn does after a large
body and for pipelined requests, and a proxy sends requests of several clients on one connection. A guard
unbinds that caller, but no guard runs for a route beside it, such as one without `EntraBearer` or beside a
mounted application. `@requires` there would check the caller of the earlier request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.principal import bind_no_principal, unbind_principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send


def begin_without_caller(scope: Mapping[str, Any]) -> None:
    """Let all later requests of the application around a guard begin without a caller.

    Only a request with a caller can leave one behind, so adapters call this with each of these.

    Args:
        scope: The request. It has the outermost router of Starlette and FastAPI, or Litestar's application.
    """
    _wrap(scope.get("router"), "middleware_stack")
    _wrap(scope.get("litestar_app"), "asgi_handler")


def _wrap(holder: object, name: str) -> None:
    app = getattr(holder, name, None)
    if app is not None and not isinstance(app, _WithoutCaller):
        setattr(holder, name, _WithoutCaller(app))


class _WithoutCaller:
    """Runs an application without the caller of an earlier request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bound = bind_no_principal(scope)
        try:
            await self.app(scope, receive, send)
        except BaseException:
            del scope  # this frame stays in the traceback, and holds the request's headers
            raise
        finally:
            unbind_principal(bound)
