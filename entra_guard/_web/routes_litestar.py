"""Find the routes of Litestar applications. Imports no framework."""

from __future__ import annotations

from functools import partial
from inspect import isroutine
from typing import TYPE_CHECKING, Any

from entra_guard._web.found_routes import WEBSOCKET, Found, FoundApp, FoundRoute, RouteGuard, methods_shown
from entra_guard._web.overrides import authenticator_of, decides_by_itself
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def litestar_routes(app: Any) -> Iterator[Found]:
    """Yield the handlers of an application, its routers and controllers, and mounted applications."""
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None)
        for handler in handlers if handlers is not None else [route.route_handler]:
            yield from _found(route, handler)


def _found(route: Any, handler: Any) -> Iterator[Found]:
    guards = _guards(handler)
    function = getattr(handler.fn, "value", handler.fn)
    if getattr(handler, "is_mount", False):
        yield FoundApp(function, route.path, guards)
        return
    names = getattr(handler, "http_methods", None)
    if names == {"OPTIONS"} and getattr(function, "__module__", "").startswith("litestar."):
        return  # Litestar's own
    is_socket = "WebSocket" in type(route).__name__
    methods = (WEBSOCKET,) if is_socket else methods_shown(names)
    path = route.path if ":path}" in route.path else route.path_format
    needed = tuple(requirements_of(function))
    yield FoundRoute(path, methods, function, needed, guards=guards, any_slash=True)


def _guards(handler: Any) -> tuple[RouteGuard, ...]:
    """Return the guards among a handler's middleware, which Litestar builds for each handler."""
    built = [_built(middleware) for middleware in handler.resolve_middleware()]
    found = [(layer, authenticator_of(layer)) for layer in built]
    return tuple(
        RouteGuard(authenticator, unproven=decides_by_itself(layer))
        for layer, authenticator in found
        if authenticator is not None
    )


def _built(middleware: Any) -> object | None:
    """Return one of our guards as Litestar would build it, None for any other middleware.

    A function is called, because only what it returns says whether it is a guard.
    """
    kind = getattr(middleware, "middleware", middleware)  # in Litestar's DefineMiddleware
    while isinstance(kind, partial):
        kind = kind.func
    bases = getattr(kind, "__mro__", ())
    if not isroutine(kind) and not any(base.__module__ == "entra_guard.asgi" for base in bases):
        return None
    built: object = middleware(app=_nothing)
    return built


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Do nothing: only the layers around the application are needed."""
