"""Find the routes of Flask and Quart applications. Imports no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard._web.found_routes import WEBSOCKET, Found, FoundApp, FoundRoute, by_method, methods_shown
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def flask_layers(app: Any) -> Iterator[Found]:
    """Yield the layers around an application: middleware in `wsgi_app`, or in Quart's `asgi_app`."""
    yield FoundApp(app.asgi_app if hasattr(app, "asgi_app") else app.wsgi_app)


def flask_routes(app: Any) -> Iterator[Found]:
    """Yield the rules of an application, with those of its blueprints."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        path = f"//{rule.host or rule.subdomain}{rule.rule}" if rule.host or rule.subdomain else rule.rule
        any_slash = not rule.strict_slashes
        if rule.websocket:
            needed = tuple(requirements_of(view))
            yield FoundRoute(path, (WEBSOCKET,), view, needed, any_slash=any_slash)
            continue
        automatic = bool(getattr(rule, "provide_automatic_options", True))
        methods = methods_shown(rule.methods, automatic=automatic)
        for names, handler, needed in by_method(view, getattr(view, "view_class", None), methods):
            yield FoundRoute(path, names, handler, needed, any_slash=any_slash)
