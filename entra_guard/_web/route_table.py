"""List every route of an application with what it requires, and find those that need no token.

Starlette, FastAPI, Flask, Quart, Django and Litestar, with mounted applications, WebSockets and middleware
around them. Imports no framework, sends no request. What it cannot look into is one route for all its paths.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import isclass, isfunction, ismethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entra_guard._common.decorated import called_object
from entra_guard._web.app_layers import (
    attributes_of,
    framework_of_layer,
    held_by,
    is_app,
    is_library_code,
    own_code_of,
)
from entra_guard._web.found_routes import ANY, REST, Found, FoundApp, FoundRoute, RouteGuard, name_of
from entra_guard._web.named_values import closure_of
from entra_guard._web.overrides import (
    authenticator_of,
    class_members,
    decides_by_itself,
    other_method_of_guard,
    replaces_framework,
)
from entra_guard._web.requirement_text import alternatives_text
from entra_guard._web.route_access import RouteCase, access_of, shown_path
from entra_guard._web.route_paths import join
from entra_guard._web.routes_django import django_layers, django_routes
from entra_guard._web.routes_flask import flask_layers, flask_routes
from entra_guard._web.routes_litestar import litestar_routes
from entra_guard._web.routes_starlette import starlette_layers, starlette_routes
from entra_guard._web.wsgi_mounts import prefixes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from entra_guard._web.route_access import Access
    from entra_guard.requirement import Requirement

_MOST_LAYERS: Final = 5000
_MOST_NESTED: Final = 100
_NEXT: Final = (
    *("app", "_app", "wsgi_app", "asgi_app", "application", "get_response", "_get_response"),
    *("func", "awaitable", "__wrapped__", "wrapped", "inner"),  # of asgiref and decorators
)


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """One route, and what a request to it needs.

    Attributes:
        path: The path with all mount points; '/*' at the end means everything below.
        methods: HTTP methods, 'WEBSOCKET', or '*' for all.
        access: 'token'; 'public' (named in `public`), 'partly public' (some of its paths are), 'optional' (a
            request without a token passes), 'open' (no guard runs), 'unclear'; or 'broken': its `requires`
            has no effect, or no request can succeed.
        requires: In words, what a token needs; all items.
        endpoint: The module and name of what the framework calls.
        problem: What is wrong, and how to fix it; '' for most.
        open_paths: The paths that need no token: the route's, or those of `public` that it may respond to.
    """

    path: str
    methods: tuple[str, ...]
    access: Access
    requires: tuple[str, ...]
    endpoint: str
    problem: str = ""
    open_paths: tuple[str, ...] = ()

    @property
    def needs_token(self) -> bool:
        """Whether every request to the route needs a valid token."""
        return self.access == "token"


class InspectedApp(NamedTuple):
    """The routes of an application, and the names of its own middleware that runs outside of a guard."""

    routes: list[GuardedRoute]
    outside: list[str]


def inspect_app(app: Any) -> InspectedApp:
    """Return all routes of an application in the order of their registration, and its outer middleware.

    Args:
        app: A Starlette, FastAPI, Flask, Quart, Django or Litestar application, also inside of middleware.
    """
    walk = _Walk()
    walk.start(app)
    endpoints = [route.endpoint for route, _prefix, _guards in walk.found]
    table = [_described(*found, endpoints) for found in walk.found]
    return InspectedApp(list(dict.fromkeys(table)), list(dict.fromkeys(map(name_of, walk.outside))))


def route_table(app: Any) -> list[GuardedRoute]:
    """Return all routes of an application: see `inspect_app`."""
    return inspect_app(app).routes


class _Walk:
    """Follows requests through middleware, applications and mounts, and collects the routes."""

    def __init__(self) -> None:
        self.found: list[tuple[FoundRoute, str, tuple[RouteGuard, ...]]] = []
        self.outside: list[object] = []  # the application's own middleware around a guard
        self._own: list[object] = []  # those on the way to the current layer
        self._seen: set[tuple[object, ...]] = set()
        self._active: set[object] = set()
        self._kept: list[object] = []  # so that no id is used twice

    def start(self, app: Any) -> None:
        """Collect all routes of an application that a server calls."""
        self._mounted(app, "", ())

    def visit(self, layer: Any, prefix: str, guards: tuple[RouteGuard, ...]) -> bool:
        """Collect the routes behind a layer; return whether it, or one behind it, is a known framework."""
        layer = called_object(layer)
        identity = _identity(layer)
        if identity in self._active:
            return False  # such as the method of a middleware that serves files itself
        if len(self._active) > _MOST_NESTED:
            return False
        key = (identity, prefix, tuple(id(guard.authenticator) for guard in guards))
        if key in self._seen or len(self._seen) > _MOST_LAYERS:
            return True
        self._seen.add(key)
        self._kept.append(layer)
        self._active.add(identity)
        own = own_code_of(layer)
        self._own += own
        try:
            return self._look_behind(layer, prefix, guards)
        finally:
            self._active.remove(identity)
            del self._own[len(self._own) - len(own) :]

    def _look_behind(self, layer: Any, prefix: str, guards: tuple[RouteGuard, ...]) -> bool:
        for path in _own_paths(layer):
            self.found.append((FoundRoute(path, ("GET",), layer, is_public=True), prefix, guards))
        if guard := guard_of(layer, prefix):
            self._note_outside(guards)
            guards = (*guards, guard)
        elif guards and (needed := _required_by(layer)):
            guards = (*guards[:-1], replace(guards[-1], also=(*guards[-1].also, needed)))
        if root_path := _root_path(layer):
            guards = tuple(replace(each, root_path=each.root_path or root_path) for each in guards)
        finder = _finder(layer)
        if finder is not None:
            if unproven := replaces_framework(layer, _kind_of(layer)) if _kind_of(layer) else "":
                own = FoundRoute(f"/{REST}", (ANY,), layer, unproven=unproven)
                self.found.append((own, prefix, guards))
            self._collect(finder(layer), prefix, guards)
            return True
        if framework_of_layer(layer):
            return False  # Falcon or Bottle
        mounts = {} if guard else prefixes_of(layer)
        for mount, app in mounts.items():
            self._mounted(app, join(prefix, mount), guards)
        usual = _inner_of(layer, mounts)
        known = [self.visit(inner, prefix, guards) for inner in usual]
        is_known = any(known)
        if mounts and not is_known:
            self._opaque(layer, prefix, guards)
        self._visit_others(layer, [*usual, *mounts.values()], prefix, guards)
        return is_known or bool(mounts)

    def _note_outside(self, guards: tuple[RouteGuard, ...]) -> None:
        """Remember what runs before the outermost guard."""
        if not guards:
            self.outside += self._own

    def _visit_others(
        self, layer: Any, visited: list[Any], prefix: str, guards: tuple[RouteGuard, ...]
    ) -> None:
        """Collect what a middleware of the application's own can call beside the next layer."""
        if is_library_code(layer):
            return
        seen = {id(each) for each in visited}
        members = class_members(layer)
        methods = {id(member) for member in members if isfunction(member)}
        for other in (*held_by(layer), *members):
            is_own = getattr(other, "__self__", None) is layer or id(other) in methods
            if id(other) in seen or _identity(other) in self._active:
                continue
            if not self.visit(other, prefix, guards) and not is_own and is_app(other, of=layer):
                self._opaque(other, prefix, guards)

    def _collect(self, found: Iterable[Found], prefix: str, guards: tuple[RouteGuard, ...]) -> None:
        for item in found:
            if isinstance(item, FoundRoute):
                own = tuple(replace(guard, prefix=prefix) for guard in item.guards)
                if own:
                    self._note_outside(guards)
                self.found.append((replace(item, guards=own), prefix, guards))
                continue
            point = f"//{item.host}{prefix}" if item.host else prefix
            if item.prefix and not item.host:
                point = join(prefix, item.prefix)
            inside = (*guards, *(replace(each, prefix=point) for each in item.guards))
            self._mounted(item.app, point, inside)

    def _mounted(self, app: Any, prefix: str, guards: tuple[RouteGuard, ...]) -> None:
        if not self.visit(app, prefix, guards):
            self._opaque(app, prefix, guards)

    def _opaque(self, app: Any, prefix: str, guards: tuple[RouteGuard, ...]) -> None:
        """Add one route for everything that an unknown application responds to."""
        while guard := guard_of(app, prefix):
            guards, app = (*guards, guard), _inner_of(app, {})[0]
        self.found.append((FoundRoute(f"/{REST}", (ANY,), app), prefix, guards))


def guard_of(layer: Any, prefix: str = "") -> RouteGuard | None:
    """Return the guard that a layer is, None if it is not one."""
    reason = other_method_of_guard(layer)
    authenticator = authenticator_of(layer.__self__ if reason else layer)
    if authenticator is None:
        return None
    return RouteGuard(authenticator, prefix, unproven=reason or decides_by_itself(layer))


def _root_path(layer: Any) -> str:
    """Return the `root_path` of a FastAPI application, which it strips from a path that has it."""
    held = attributes_of(layer).get("root_path", "")
    return held.rstrip("/") if isinstance(held, str) and _kind_of(layer) == "starlette" else ""


def _own_paths(layer: Any) -> tuple[str, ...]:
    """Return what a layer of ours responds to by itself: the metadata of `entra_guard.mcp.protect`."""
    is_ours = type(layer).__module__.startswith("entra_guard.")
    return attributes_of(layer).get("own_paths", ()) if is_ours else ()


def _required_by(layer: Any) -> tuple[Requirement, ...]:
    """Return what a layer of `entra_guard.mcp.protect` requires of all callers: one of these."""
    is_mcp = type(layer).__module__.startswith("entra_guard.mcp.")
    return attributes_of(layer).get("_required", ()) if is_mcp else ()


def _identity(layer: Any) -> object:
    return (id(layer.__self__), layer.__name__) if ismethod(layer) else id(layer)


def _finder(layer: Any) -> Callable[[Any], Iterator[Found]] | None:
    """Return what finds the routes of an application, or of the end of its middleware."""
    if ismethod(layer):
        owner = layer.__self__
        ends = {"flask": flask_routes, "quart": flask_routes, "django": django_routes}
        find = ends.get(_kind_of(owner)) or (starlette_routes if _is_router(owner) else None)
        return None if find is None else lambda _layer: find(owner)
    if _is_router(layer):
        return lambda router: iter([FoundApp(router.middleware_stack)])
    return _FINDERS.get(_kind_of(layer))


_FINDERS: Final[dict[str, Callable[[Any], Iterator[Found]]]] = {
    "starlette": starlette_layers,
    "flask": flask_layers,
    "quart": flask_layers,
    "litestar": litestar_routes,
    "django": django_layers,
}


def _kind_of(layer: Any) -> str:
    names = {(base.__module__.partition(".")[0], base.__name__) for base in type(layer).__mro__}
    return "django" if ("django", "BaseHandler") in names else framework_of_layer(layer)


def _is_router(layer: Any) -> bool:
    return any(
        base.__module__ == "starlette.routing" and base.__name__ == "Router" for base in type(layer).__mro__
    )


def _inner_of(layer: Any, mounts: dict[str, object]) -> list[Any]:
    """Return the next layers: by the names that middleware usually has for it, else all that it holds."""
    if ismethod(layer):
        return [attributes_of(layer.__self__)["app"] if other_method_of_guard(layer) else layer.__self__]
    if isfunction(layer):
        usual = [*closure_of(layer).values()]
    else:
        held = attributes_of(layer)
        usual = [held.get(name) for name in _NEXT]
    mounted = {id(app) for app in mounts.values()}
    found = [each for each in usual if callable(each) and not isclass(each)] or held_by(layer)
    return [inner for inner in found if id(inner) not in mounted]


def _described(
    route: FoundRoute, prefix: str, guards: tuple[RouteGuard, ...], endpoints: list[object]
) -> GuardedRoute:
    template = join(prefix, route.path)
    case = RouteCase(route, template, (*guards, *route.guards), endpoints)
    found, shown = access_of(case), shown_path(template)
    return GuardedRoute(
        shown,
        route.methods,
        found.access,
        tuple(map(alternatives_text, case.required())),
        name_of(route.endpoint),
        found.problem,
        () if found.access == "token" else found.open_paths or (shown,),
    )
