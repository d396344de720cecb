"""Find the classes that a request passes inside of an application, as far as they can be found."""

from __future__ import annotations

from typing import Any, Final, cast

_MAX_DEPTH: Final = 50


def layers_of(app: Any) -> list[Any]:
    """Return the classes (or factories) of an application and of the layers inside of it, in order."""
    found: list[Any] = []
    depth = 0
    while app is not None and depth < _MAX_DEPTH:
        found.append(type(getattr(app, "__self__", app)))  # quart: `app.asgi_app` is a bound method
        middleware = cast("list[Any]", getattr(app, "user_middleware", []))  # of a Starlette application
        found += [entry.cls for entry in middleware]
        app = getattr(app, "app", None)
        depth += 1
    return found


def packages_of(app: Any) -> set[str]:
    """Return the top-level packages of the layers' classes, base classes included."""
    classes = [base for layer in layers_of(app) if isinstance(layer, type) for base in layer.__mro__]
    return {base.__module__.partition(".")[0] for base in classes}
