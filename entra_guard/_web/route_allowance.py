"""Compare the open routes of an application with those that its owner allows. Knows no framework."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._web.found_routes import methods_text
from entra_guard._web.route_table import route_table
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from entra_guard._web.route_table import GuardedRoute

_MOST_SHOWN: Final = 20


def checked_allowance(allow: object) -> tuple[str, ...]:
    """Return the paths that may be open.

    Raises:
        ConfigurationError: They are not a list of paths, or allow everything.
    """
    if isinstance(allow, (str, bytes)) or not isinstance(allow, Iterable):
        raise ConfigurationError(f"allow must be a list of paths such as ['/healthz'], got {allow!r}")
    paths = tuple(cast("Iterable[object]", allow))
    for path in paths:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigurationError(
                f"allow must contain paths as `entra-guard routes` shows them, such as '/healthz' or "
                f"'/static/*', got {path!r}"
            )
        if path == "/*":
            raise ConfigurationError("allow '/*' allows every route to be open. Name the open paths")
    return cast("tuple[str, ...]", paths)


def not_allowed(routes: Iterable[GuardedRoute], allow: Iterable[str]) -> list[GuardedRoute]:
    """Return the routes that need no token and are not allowed, and those whose `requires` has no effect.

    Args:
        routes: The routes of an application.
        allow: Paths that may be open, exactly as shown; '/static/*' allows everything below '/static/'.
    """
    paths = tuple(allow)
    return [route for route in routes if not route.needs_token and not _is_allowed(route, paths)]


def unused(routes: Iterable[GuardedRoute], allow: Iterable[str]) -> list[str]:
    """Return what is allowed but not open in any route, such as a path that was renamed."""
    open_paths = [path for route in routes for path in route.open_paths]
    return [each for each in allow if not any(_covers(each, path) for path in open_paths)]


def _is_allowed(route: GuardedRoute, allow: tuple[str, ...]) -> bool:
    if route.access == "broken":
        return False
    return all(any(_covers(each, path) for each in allow) for path in route.open_paths)


def _covers(allowed: str, path: str) -> bool:
    return allowed == path or (allowed.endswith("/*") and path.startswith(allowed[:-1]))


def check_routes(app: Any, allow: Iterable[str] = ()) -> str:
    """Return what is wrong with the routes of an application, line by line; '' if nothing is."""
    paths = checked_allowance(allow)
    routes = route_table(app)
    if not routes:
        return "the application has no routes, so that there is nothing to check"
    found = not_allowed(routes, paths)
    lines = [route_line(route) for route in found[:_MOST_SHOWN]]
    if len(found) > _MOST_SHOWN:
        lines.append(f"... and {len(found) - _MOST_SHOWN} more")
    return "\n".join(lines)


def route_line(route: GuardedRoute) -> str:
    """Return one route in one line: 'GET /orders: open (orders.list_orders)'."""
    problem = f": {route.problem}" if route.problem else ""
    return f"{methods_text(route.methods)} {route.path} is {route.access}{problem} ({route.endpoint})"
