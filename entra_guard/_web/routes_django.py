"""Find the routes of Django projects, and what REST framework's views require. Imports no framework."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard._web.found_routes import (
    ANY,
    Found,
    FoundApp,
    FoundRoute,
    RouteGuard,
    by_method,
    methods_shown,
)
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLOSED: Final = {"IsAuthenticated", "IsAdminUser", "DjangoModelPermissions", "DjangoObjectPermissions"}
_OPEN: Final = {"AllowAny"}
_READING: Final = ("GET", "HEAD", "OPTIONS")
_FORMAT: Final = r"\.(?P<format>"


def django_layers(handler: Any) -> Iterator[Found]:
    """Yield the middleware of a project's handler."""
    yield FoundApp(handler._middleware_chain)  # noqa: SLF001  # Django has no public name for it


def django_routes(_handler: Any) -> Iterator[Found]:
    """Yield the URL patterns of the project, with those that it includes."""
    from django.urls import get_resolver  # noqa: PLC0415  # it is loaded: the application is Django's

    yield from _below(get_resolver(), "/")


def _below(resolver: Any, prefix: str) -> Iterator[Found]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern).removeprefix("^")
        if hasattr(pattern, "url_patterns"):
            yield from _below(pattern, path)
        elif _FORMAT not in path:  # REST framework repeats each route with a suffix
            yield from _view(pattern.callback, path.removesuffix("$").removesuffix(r"\Z"))


def _view(view: Any, path: str) -> Iterator[Found]:
    handlers = getattr(view, "cls", None) or getattr(view, "view_class", None)
    actions: dict[str, str] = getattr(view, "actions", None) or {}
    if actions:
        yield from _viewset(view, handlers, actions, path)
        return
    if handlers is None:
        yield FoundRoute(path, (ANY,), view, tuple(requirements_of(view)))
        return
    names = [name for name in getattr(handlers, "http_method_names", ()) if hasattr(handlers, name)]
    for methods, handler, needed in by_method(view, handlers, methods_shown(names)):
        yield from _rest(handlers, FoundRoute(path, methods, handler, needed))


def _viewset(view: Any, handlers: Any, actions: dict[str, str], path: str) -> Iterator[Found]:
    for method, action in actions.items():
        if method == "head":
            continue
        handler = getattr(handlers, action)
        needed = (*requirements_of(view), *requirements_of(handler))
        permissions = getattr(handler, "kwargs", {}).get("permission_classes")
        yield from _rest(handlers, FoundRoute(path, (method.upper(),), handler, needed), permissions)


def _rest(view: Any, route: FoundRoute, permissions: Any = None) -> Iterator[Found]:
    """Yield a route with the guard and permissions of REST framework, if it is one of its views."""
    drf: Any = sys.modules.get("entra_guard.drf")
    classes = getattr(view, "authentication_classes", None)
    if (
        drf is None
        or classes is None
        or not any(issubclass(each, drf.EntraAuthentication) for each in classes)
    ):
        yield route
        return
    authenticator = drf.authenticator()
    allowed = view.permission_classes if permissions is None else permissions
    closed = _any_closes(allowed, lambda name: name in _CLOSED)
    needed = tuple(each.required for each in allowed if hasattr(each, "required"))
    unclear = [each for each in _leaves(allowed) if not _is_known(each)]
    if closed is False and "IsAuthenticatedOrReadOnly" in {_name(each) for each in allowed}:
        yield from _writing(route, authenticator, needed)
        return
    unproven = f"{_name(unclear[0])} decides by itself" if not closed and unclear else ""
    guard = RouteGuard(authenticator, is_optional=not closed, binds=False)
    yield replace(route, required=needed, guards=(guard,), unproven=unproven)


def _writing(route: FoundRoute, authenticator: Any, needed: Any) -> Iterator[Found]:
    """Yield two routes for IsAuthenticatedOrReadOnly: reading needs no token."""
    for is_read in (True, False):
        if methods := tuple(each for each in route.methods if (each in _READING) == is_read):
            guard = RouteGuard(authenticator, is_optional=is_read, binds=False)
            yield replace(route, methods=methods, required=needed, guards=(guard,))


def _any_closes(classes: Any, is_closed: Callable[[str], bool]) -> bool:
    """Return whether a request without a token is certainly refused; all classes must allow a request."""
    return any(_closes(each, is_closed) for each in classes)


def _closes(permission: Any, is_closed: Callable[[str], bool]) -> bool:
    operator = getattr(getattr(permission, "operator_class", None), "__name__", "")
    if operator in {"AND", "OR"}:
        parts = [_closes(part, is_closed) for part in (permission.op1_class, permission.op2_class)]
        return all(parts) if operator == "OR" else any(parts)
    return hasattr(permission, "required") or is_closed(_name(permission))


def _leaves(classes: Any) -> Iterator[Any]:
    for each in classes:
        if hasattr(each, "op1_class"):
            yield from _leaves(
                [part for name in ("op1_class", "op2_class") if (part := getattr(each, name, None))]
            )
        else:
            yield each


def _is_known(permission: Any) -> bool:
    name = _name(permission)
    return name in _CLOSED | _OPEN | {"IsAuthenticatedOrReadOnly"} or hasattr(permission, "required")


def _name(permission: Any) -> str:
    return getattr(permission, "__name__", type(permission).__name__)
