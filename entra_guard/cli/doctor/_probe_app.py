"""Look into an application: its routes, and the order of its middleware. Sends no request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._web.app_layers import attributes_of
from entra_guard._web.route_table import guard_of, route_table
from entra_guard.cli.doctor._facts import AppFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

_INNER: Final = ("app", "_app", "wsgi_app", "asgi_app", "application", "get_response")
_MOST_LAYERS: Final = 50


def probe_app(app: Any, name: str) -> AppFacts:
    """Return the routes of an application, and its middleware from the outside to the inside.

    Args:
        app: The application.
        name: What the user called it, such as 'main:app'.
    """
    layers = [*_layers(app)]
    names = tuple(_name(layer) for layer in layers)
    guards = tuple(number for number, layer in enumerate(layers) if _is_guard(layer))
    return AppFacts(name, tuple(route_table(app)), names, guards, _mcp_url(layers))


def _mcp_url(layers: list[Any]) -> str:
    """Return the resource that `entra_guard.mcp.protect` was given, '' if no layer is of it."""
    ours = (layer for layer in layers if type(layer).__module__.startswith("entra_guard.mcp."))
    metadata = (attributes_of(layer).get("_metadata") for layer in ours)
    return next((each.resource for each in metadata if each is not None), "")


def _layers(app: Any) -> Iterator[Any]:
    """Yield what a request passes on its way to the routes, without the application object itself."""
    seen: set[int] = set()
    layer = app
    while layer is not None and id(layer) not in seen and len(seen) < _MOST_LAYERS:
        seen.add(id(layer))
        if _is_django(layer):
            yield from _django_middleware()
            return
        if hasattr(layer, "build_middleware_stack"):  # a Starlette application, which builds it lazily
            layer = layer.middleware_stack or layer.build_middleware_stack()
            continue
        bound = getattr(layer, "__self__", None)  # Flask.wsgi_app: the end
        following = None if bound is not None else _inner_of(layer)
        if following is None:
            return
        if not hasattr(layer, "url_map"):  # the Flask application itself
            yield layer
        layer = following


def _inner_of(layer: Any) -> Any:
    return next((inner for name in _INNER if callable(inner := getattr(layer, name, None))), None)


def _is_django(layer: Any) -> bool:
    return any((base.__module__, base.__name__) == _DJANGO_HANDLER for base in type(layer).__mro__)


_DJANGO_HANDLER: Final = ("django.core.handlers.base", "BaseHandler")


def _django_middleware() -> Iterator[Any]:
    """Yield the classes or functions of settings.MIDDLEWARE, outermost first."""
    from django.conf import settings  # noqa: PLC0415
    from django.utils.module_loading import import_string  # noqa: PLC0415

    yield from map(import_string, settings.MIDDLEWARE)


def _is_guard(layer: Any) -> bool:
    module = getattr(layer, "__module__", "") or ""
    return guard_of(layer) is not None or (isinstance(layer, type) and module.startswith("entra_guard."))


def _name(layer: Any) -> str:
    return str(getattr(layer, "__name__", "") or type(layer).__name__)
