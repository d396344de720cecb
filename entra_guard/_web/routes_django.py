"""Find the routes of Django projects, and what REST framework's views require. Imports no framework."""

from __future__ import annotations

import sys
from dataclasses import replace
from inspect import isclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.decorated import called_object
from entra_guard._web.found_routes import (
    ANY,
    Found,
    FoundApp,
    FoundRoute,
    RouteGuard,
    by_method,
    methods_shown,
)
from entra_guard._web.overrides import overridden
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLOSED: Final = {"IsAuthenticated", "IsAdminUser", "DjangoModelPermissions", "DjangoObjectPermissions"}
# What a REST framework view decides with, before its handler runs.
_DECIDING: Final = (
    *("dispatch", "initial", "initialize_request", "perform_authentication", "check_permissions"),
    *("get_permissions", "get_authenticators", "permission_denied", "handle_exception"),
)

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
        path = prefix + _template(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _below(pattern, path)
        elif _FORMAT not in path:  # REST framework repeats each route with a suffix
            yield from _view(pattern.callback, path + _open_end(pattern.pattern))


def _template(pattern: Any) -> str:
    """Return what a pattern matches; a regular expression without '^' matches anything before it.

    Django matches the whole path by the expression of a view that ends in '$'.
    """
    text = str(pattern)
    if not _is_expression(pattern):
        return text
    is_whole = pattern._is_endpoint and text.endswith("$")  # noqa: SLF001  # as Django decides
    start = "" if is_whole or text.startswith(("^", r"\A")) or not text else ".*"
    return start + text.removeprefix("^").removesuffix("$").removesuffix(r"\Z")


def _open_end(pattern: Any) -> str:
    """Return what a regular expression without '$' matches after it."""
    return ".*" if _is_expression(pattern) and not str(pattern).endswith(("$", r"\Z")) else ""


def _is_expression(pattern: Any) -> bool:
    return any(base.__name__ == "RegexPattern" for base in type(pattern).__mro__)


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
        yield from _rest(view, handlers, FoundRoute(path, methods, handler, needed))


def _viewset(view: Any, handlers: Any, actions: dict[str, str], path: str) -> Iterator[Found]:
    for method, action in actions.items():
        if method == "head":
            continue
        handler = getattr(handlers, action)
        needed = (*requirements_of(view), *requirements_of(handler))
        yield from _rest(view, handlers, FoundRoute(path, (method.upper(),), handler, needed), handler)


def _rest(view: Any, handlers: Any, route: FoundRoute, action: Any = None) -> Iterator[Found]:
    """Yield a route with the guard and permissions of REST framework, if it is one of its views."""
    drf: Any = sys.modules.get("entra_guard.drf")
    classes = _setting("authentication_classes", view, handlers, action)
    if drf is None or not any(
        isclass(each) and issubclass(each, drf.EntraAuthentication) for each in classes
    ):
        yield route
        return
    authenticator = drf.authenticator()
    allowed = _setting("permission_classes", view, handlers, action)
    ours = _any_closes(allowed, _is_needs)
    others = [each for each in classes if not isclass(each) or overridden(each, "entra_guard")]
    closed = ours or (_any_closes(allowed, _is_closed) and not others)
    needed = tuple(each.required for each in allowed if _is_needs(each))
    unproven = _own_decision(handlers) or ("" if closed else _unclear(allowed, others))
    if not closed and not unproven and "IsAuthenticatedOrReadOnly" in {_name(each) for each in allowed}:
        yield from _writing(route, authenticator, needed)
        return
    guard = RouteGuard(authenticator, is_optional=not closed, binds=False, unproven=unproven)
    yield replace(route, required=needed, guards=(guard,), unproven=unproven)


def _setting(name: str, view: Any, handlers: Any, action: Any) -> Any:
    """Return the classes that a view uses: those of its action, of `as_view(...)`, or of its class."""
    given = (
        getattr(action, "kwargs", {}),
        getattr(view, "initkwargs", {}),
        {name: getattr(handlers, name, ())},
    )
    found = next(each[name] for each in given if name in each) or ()
    return [called_object(each) for each in found]


def _own_decision(handlers: Any) -> str:
    """Return why a view may let a request without a token pass, whatever its permission classes are."""
    found = overridden(handlers, "rest_framework", _DECIDING)
    return f"{found} decides by itself" if found else ""


def _unclear(allowed: Any, others: list[Any]) -> str:
    if unknown := [each for each in _leaves(allowed) if not _is_known(each)]:
        return f"{_name(unknown[0])} decides by itself"
    if others and _any_closes(allowed, _is_closed):
        return f"{_name(others[0])} may accept a request without a token"
    return ""


def _writing(route: FoundRoute, authenticator: Any, needed: Any) -> Iterator[Found]:
    """Yield two routes for IsAuthenticatedOrReadOnly: reading needs no token."""
    for is_read in (True, False):
        if methods := tuple(each for each in route.methods if (each in _READING) == is_read):
            guard = RouteGuard(authenticator, is_optional=is_read, binds=False)
            yield replace(route, methods=methods, required=needed, guards=(guard,))


def _any_closes(classes: Any, is_closed: Callable[[Any], bool]) -> bool:
    """Return whether a request without a token is certainly refused; all classes must allow a request."""
    return any(_closes(each, is_closed) for each in classes)


def _closes(permission: Any, is_closed: Callable[[Any], bool]) -> bool:
    operator = getattr(getattr(permission, "operator_class", None), "__name__", "")
    if operator in {"AND", "OR"}:
        parts = [_closes(part, is_closed) for part in (permission.op1_class, permission.op2_class)]
        return all(parts) if operator == "OR" else any(parts)
    return is_closed(permission)


def _leaves(classes: Any) -> Iterator[Any]:
    for each in classes:
        if hasattr(each, "op1_class"):
            yield from _leaves(
                [part for name in ("op1_class", "op2_class") if (part := getattr(each, name, None))]
            )
        else:
            yield each


def _is_known(permission: Any) -> bool:
    return _is_needs(permission) or (
        _name(permission) in _CLOSED | _OPEN | {"IsAuthenticatedOrReadOnly"} and _is_frameworks(permission)
    )


def _is_closed(permission: Any) -> bool:
    return _name(permission) in _CLOSED and _is_frameworks(permission)


def _is_frameworks(permission: Any) -> bool:
    return getattr(permission, "__module__", "") == "rest_framework.permissions"


def _is_needs(permission: Any) -> bool:
    """Return whether it is a class of `entra_guard.drf.needs`."""
    return getattr(permission, "__module__", "") == "entra_guard.drf" and hasattr(permission, "required")


def _name(permission: Any) -> str:
    return getattr(permission, "__name__", type(permission).__name__)
