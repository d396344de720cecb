"""Find the applications that a middleware wraps, and their framework. Imports no framework."""

from __future__ import annotations

from functools import partial
from inspect import isclass, isfunction, ismethod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAMEWORK_CLASSES: Final = {
    ("starlette", "Starlette"): "starlette",
    ("litestar", "Litestar"): "litestar",
    ("quart", "Quart"): "quart",
    ("flask", "Flask"): "flask",
    ("falcon", "App"): "falcon",
    ("bottle", "Bottle"): "bottle",
}
_MOST_LAYERS: Final = 500


def layers_of(*apps: object) -> Iterator[object]:
    """Yield applications, and what their middleware wraps, outermost first.

    Middleware classes keep the inner application in an attribute, middleware functions in a closure.
    The search ends at a framework's application and is limited to 500 objects.
    """
    waiting = [app for app in apps if app is not None]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_LAYERS:
        layer = waiting.pop(0)
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting += _wrapped_by(layer)


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


def _wrapped_by(layer: Any) -> list[object]:
    if framework_of_layer(layer):
        return []
    if isinstance(layer, partial):
        return [layer.func, *layer.args, *layer.keywords.values()]
    if ismethod(layer):
        return [layer.__self__]
    if isfunction(layer):
        return _callables(_cell_values(layer))
    return _callables(getattr(layer, "__dict__", {}).values())


def _cell_values(function: Any) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the cell is empty: its variable is not assigned yet
            continue


def _callables(values: Any) -> list[object]:
    return [value for value in list(values) if callable(value) and not isclass(value)]
