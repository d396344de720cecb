"""Find the routes of Starlette and FastAPI applications. Imports no framework."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from inspect import isclass, isroutine
from typing import TYPE_CHECKING, Any, cast

from entra_guard._common.decorated import called_object
from entra_guard._web.app_layers import layers_in_route
from entra_guard._web.found_routes import (
    ANY,
    METHOD_NAMES,
    REST,
    WEBSOCKET,
    Found,
    FoundApp,
    FoundRoute,
    RouteGuard,
    by_method,
    methods_shown,
)
from entra_guard._web.overrides import around_a_guard, authenticator_of, decides_by_itself, overridden
from entra_guard._web.route_paths import join
from entra_guard.errors import ConfigurationError
from entra_guard.requirement import Alternatives, Requirement, requirements_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def starlette_layers(app: Any) -> Iterator[Found]:
    """Yield the middleware of an application, as it is built for its first request.

    It is built and not kept: an application that keeps it refuses more middleware.
    """
    yield FoundApp(app.middleware_stack or app.build_middleware_stack())


def starlette_routes(router: Any) -> Iterator[Found]:
    """Yield the routes, mounts and hosts of a router, and those of included routers."""
    for route in _effective(router.routes):
        yield from _found(route)
    for group in _frontends(router):
        yield from group
    default = getattr(router, "default", None)
    module = getattr(getattr(default, "__func__", None), "__module__", "")
    if default is not None and module != "starlette.routing":
        yield FoundApp(default)  # for the paths of no route


def _effective(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes with the prefix and dependencies of `include_router` in them."""
    for route in routes:
        if not hasattr(route, "effective_route_contexts"):
            yield route
            continue
        for context in route.effective_route_contexts():
            yield getattr(context, "starlette_route", None) or context


def _found(route: Any) -> Iterator[Found]:
    if host := getattr(route, "host", None):
        yield FoundApp(route.app, host=host)
    elif not hasattr(route, "endpoint"):
        if hasattr(route, "app"):
            yield FoundApp(route.app, getattr(route, "path", ""))
        else:  # a class of the application's own
            yield FoundRoute(getattr(route, "path", f"/{REST}"), (ANY,), route)
    elif not hasattr(route, "methods"):
        yield from _websocket(route)
    elif _is_app(route.endpoint) and not hasattr(route, "dependant"):
        yield FoundRoute(route.path, methods_shown(route.methods), route.endpoint, guards=_in_route(route))
    else:
        yield from _http(route)


def _is_app(endpoint: Any) -> bool:
    while isinstance(endpoint, partial):  # as Starlette looks through it
        endpoint = endpoint.func
    return not isclass(endpoint) and not isroutine(endpoint)


def _websocket(route: Any) -> Iterator[Found]:
    required, guards, unproven = _dependencies(route)
    endpoint = route.endpoint
    needed, guards = tuple(requirements_of(endpoint)), (*_in_route(route), *guards)
    yield FoundRoute(route.path, (WEBSOCKET,), endpoint, needed, required, guards, unproven)


def _http(route: Any) -> Iterator[Found]:
    required, guards, unproven = _dependencies(route)
    guards = (*_in_route(route), *guards)
    methods = methods_shown(route.methods)
    if isclass(route.endpoint):
        methods = methods_shown(method for method in METHOD_NAMES if hasattr(route.endpoint, method))
        for names, handler, needed in by_method(route.endpoint, route.endpoint, methods):
            yield FoundRoute(route.path, names, handler, needed, guards=guards)
        return
    needed = tuple(requirements_of(route.endpoint))
    yield FoundRoute(route.path, methods, route.endpoint, needed, required, guards, unproven)


def _in_route(route: Any) -> tuple[RouteGuard, ...]:
    """Return the guards in a route's own middleware: `Route(..., middleware=[...])`."""
    return tuple(
        RouteGuard(authenticator, unproven=decides_by_itself(layer))
        for layer in layers_in_route(route)
        if (authenticator := authenticator_of(layer)) is not None
    )


def _dependencies(route: Any) -> tuple[tuple[Alternatives, ...], tuple[RouteGuard, ...], str]:
    """Return what FastAPI's dependencies require, their guards, and why these may not verify a token."""
    required: list[Alternatives] = []
    guards: list[RouteGuard] = []
    doubts: list[str] = []
    provider = getattr(route, "dependency_overrides_provider", None)
    overrides: dict[Any, Any] = getattr(provider, "dependency_overrides", {})
    for dependant in _all_dependants(getattr(route, "dependant", None)):
        call = dependant.call
        if overrides and call in overrides:  # as tests do
            replaced = f"{_kind(overrides[call])} replaces {_kind(call)} by dependency_overrides"
            doubts.append(f"{replaced}, and does not verify a token")
            continue
        authenticator = authenticator_of(call)
        if authenticator is not None:
            scopes = _scopes(dependant)
            is_optional = not (called_object(call).auto_error or scopes)
            unproven = decides_by_itself(call) or _own_handler(route)
            needed, problem = _required_scopes(scopes)
            guards.append(
                RouteGuard(authenticator, is_optional=is_optional, unproven=unproven, problem=problem)
            )
            required += needed
        elif type(call).__module__.startswith("fastapi.security"):
            doubts.append(f"{_kind(call)} reads a token, but does not verify it")
        elif reason := around_a_guard(call):
            doubts.append(reason)
        required += requirements_of(call)
    is_optional = all(guard.is_optional for guard in guards)
    if guards and is_optional and (required or requirements_of(getattr(route, "endpoint", None))):
        guards = [replace(guard, is_optional=False) for guard in guards]  # it refuses a missing token then
    return tuple(dict.fromkeys(required)), tuple(guards), doubts[0] if doubts and not guards else ""


def _required_scopes(scopes: tuple[str, ...]) -> tuple[list[Alternatives], str]:
    """Return what `Security(scopes=...)` requires, and why that cannot work, which each request shows."""
    try:
        return [(Requirement(scopes=scopes),)] if scopes else [], ""
    except ConfigurationError as error:
        return [], f"every request with a valid token gets 500: {error}"


def _own_handler(route: Any) -> str:
    """Return why FastAPI may not run the dependencies of a route: its class handles requests itself."""
    original: object = getattr(route, "original_route", route)
    found = overridden(type(original), "fastapi", ("get_route_handler", "handle", "matches"))
    return f"{found} runs before the dependencies, and decides by itself" if found else ""


def _kind(call: Any) -> str:
    return str(getattr(call, "__name__", type(call).__name__))


def _all_dependants(dependant: Any) -> Iterator[Any]:
    for inner in getattr(dependant, "dependencies", ()):
        yield inner
        yield from _all_dependants(inner)


def _scopes(dependant: Any) -> tuple[str, ...]:
    """Return the scopes of `Security(...)` on the way to a dependency."""
    for name in ("oauth_scopes", "security_scopes"):
        if scopes := getattr(dependant, name, None):
            return tuple(cast("Iterable[str]", scopes))
    parents, own = (getattr(dependant, f"{which}_oauth_scopes", None) for which in ("parent", "own"))
    return tuple(dict.fromkeys([*(parents or ()), *(own or ())]))


def _frontends(router: Any) -> Iterator[list[Found]]:
    """Yield the static front ends of FastAPI: they have dependencies, but are not among the routes."""
    groups = [("", group) for group in getattr(router, "_low_priority_routes", ())]
    for route in router.routes:
        if hasattr(route, "effective_low_priority_routes"):
            groups += [
                (context.frontend_prefix, context) for context in route.effective_low_priority_routes()
            ]
    for prefix, group in groups:
        required, guards, unproven = _dependencies(group)
        yield [
            FoundRoute(join(join(prefix, each.path), REST), ("GET",), each, (), required, guards, unproven)
            for each in getattr(getattr(group, "original_route", group), "routes", ())
        ]
