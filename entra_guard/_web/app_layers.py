"""Find the applications that a middleware wraps, and their framework. Imports no framework."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from inspect import isclass, isfunction, ismethod, isroutine
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.decorated import called_object, own_call
from entra_guard._web.named_values import closure_of, values_named_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FRAMEWORK_CLASSES: Final = {
    ("starlette", "Starlette"): "starlette",
    ("litestar", "Litestar"): "litestar",
    ("quart", "Quart"): "quart",
    ("flask", "Flask"): "flask",
    ("falcon", "App"): "falcon",
    ("bottle", "Bottle"): "bottle",
}
# Packages whose functions name no application in a global.
_LIBRARIES: Final = frozenset(
    {"starlette", "fastapi", "litestar", "quart", "flask", "werkzeug", "falcon", "bottle", "entra_guard"}
)

# Packages whose objects hold much, and pass requests on to the next layer only.
_PLUMBING: Final = frozenset({"django", "rest_framework", "asgiref", "builtins", "functools", "contextlib"})

_MOST_LAYERS: Final = 500


def layers_of(*apps: object, inner: Callable[[Any], list[object]] | None = None) -> Iterator[object]:
    """Yield applications, and what their middleware wraps, outermost first.

    Middleware classes keep the inner application in an attribute, middleware functions in a closure.
    The search ends at a framework's application and is limited to 500 objects. `inner` returns what to
    search in a layer instead.
    """
    waiting = [app for app in apps if app is not None]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_LAYERS:
        layer = waiting.pop(0)
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting += (inner or _wrapped_by)(layer)


def framework_of(*apps: object) -> str:
    """Return the name of the framework of the first of these applications that has one; '' if none has."""
    for layer in layers_of(*apps):
        if name := framework_of_layer(layer):
            return name
    return ""


def framework_of_layer(layer: object) -> str:
    """Return the framework whose application an object is, '' if it is not one."""
    for base in type(layer).__mro__:
        name = _FRAMEWORK_CLASSES.get((base.__module__.partition(".")[0], base.__name__))
        if name:
            return name
    return ""


def litestar_mount(app: object) -> str | None:
    """Return the path at which Litestar mounts what is behind a layer of its middleware; '' for a route.

    None if the layer is not in Litestar's middleware, also if it is in an application that Litestar mounts.
    """
    for layer in layers_of(app):
        if type(layer).__module__.startswith("litestar.routes.") and (path := getattr(layer, "path", None)):
            handler = getattr(layer, "route_handler", None)
            return str(path).rstrip("/") if getattr(handler, "is_mount", False) else ""
    return None


def _wrapped_by(layer: Any) -> list[object]:
    if framework_of_layer(layer):
        return []
    if isinstance(layer, partial):
        return [layer.func, *layer.args, *layer.keywords.values()]
    if ismethod(layer):
        return [layer.__self__]
    if isfunction(layer):
        return _callables(closure_of(layer).values())
    return _callables(attributes_of(layer).values())


def held_by(layer: Any) -> list[object]:
    """Return all that a layer may call: as middleware, as a function that names a global, or from a table."""
    if ismethod(layer):
        return [layer.__self__, layer.__func__]  # the object itself need not be callable
    if isinstance(layer, partial):
        held = [layer.func, *layer.args, *layer.keywords.values()]
    elif isfunction(layer):
        held = list(named_by(layer).values())
    else:
        held = [*attributes_of(layer).values(), own_call(layer)]
    return _callables(item for value in held for item in items_of(value))


def is_library_code(layer: Any) -> bool:
    """Return whether a layer is a framework's or ours: it calls what it has under a usual name only."""
    named = layer if isfunction(layer) or isclass(layer) else cast("Any", type(layer))
    module: str = named.__module__ or ""
    return module.partition(".")[0] in _LIBRARIES | _PLUMBING


def layers_in_route(route: object) -> Iterator[object]:
    """Yield the layers of a route's own middleware: `Route(..., middleware=[...])`."""
    layer = getattr(route, "app", None)
    while layer is not None and not isroutine(layer := called_object(layer)):
        yield layer
        layer = attributes_of(layer).get("app")


def own_code_of(layer: Any) -> list[object]:
    """Return what is a middleware of the application's own in a layer: the layer, or Starlette's `dispatch`.

    Methods belong to their object.
    """
    found = attributes_of(layer).get("dispatch_func", layer) if is_library_code(layer) else layer
    if framework_of_layer(found) or is_library_code(found) or ismethod(found):
        return []
    class_name = getattr(found, "__qualname__", "").rpartition(".")[0]
    return [] if isfunction(found) and class_name and not class_name.endswith("<locals>") else [found]


def is_app(value: Any, *, of: object) -> bool:
    """Return whether a value that a layer holds can be an application, by the names of its parameters.

    The layer's own `__call__` is not one.
    """
    call = value if isfunction(value) else getattr(value, "__func__", None) or own_call(value)
    code = getattr(call, "__code__", None)
    if code is None or call is own_call(of):
        return False
    names = [name.strip("_") for name in code.co_varnames[: code.co_argcount]]
    return names[-3:] == ["scope", "receive", "send"] or names[-2:] == ["environ", "start_response"]


def items_of(value: Any, depth: int = 3) -> Iterator[object]:
    """Yield a value, or the items of the tables and lists in it."""
    if depth and isinstance(value, dict):
        for item in list(cast("dict[object, object]", value).values()):
            yield from items_of(item, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for item in list(cast("list[object]", value)):
            yield from items_of(item, depth - 1)
    else:
        yield value


def attributes_of(layer: Any) -> dict[str, Any]:
    """Return an object's attributes, also those in slots, without running its code.

    Proxies have code for `__dict__`.
    """
    try:
        found: object = object.__getattribute__(layer, "__dict__")
    except (AttributeError, RuntimeError):  # RuntimeError: a LocalProxy outside of a request
        found = {}
    held = dict(cast("dict[str, Any]", found)) if isinstance(found, dict) else {}
    for base in type(layer).__mro__:
        for name, member in vars(base).items():
            if isinstance(member, MemberDescriptorType):
                with suppress(AttributeError):  # the slot is empty
                    held[name] = member.__get__(layer)
    return held


def named_by(layer: Any) -> dict[str, Any]:
    """Return what a function names outside of itself, or an object's attributes, by name."""
    if not isfunction(layer):
        return attributes_of(layer)
    package = (layer.__module__ or "").partition(".")[0]
    is_known = package in _LIBRARIES or package in sys.stdlib_module_names
    return closure_of(layer) if is_known else values_named_by(layer)


def _callables(values: Any) -> list[object]:
    return [value for value in list(values) if callable(value) and not isclass(value)]
