"""The template of the route that a request was routed to, such as '/orders/{id}'. Imports no framework.

Never the path of the request: metrics would have a value for each path that a client tries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


def asgi_route(scope: Mapping[str, Any]) -> str | None:
    """Return the template as Starlette, FastAPI and Litestar leave it in the scope; None if there is none."""
    litestar = scope.get("path_template")
    if isinstance(litestar, str):
        return litestar or None
    route = scope.get("route")
    inner = scope.get("fastapi")
    if isinstance(inner, dict):  # with the prefixes of included routers
        route = cast("dict[str, Any]", inner).get("effective_route_context") or route
    path = getattr(route, "path", None)
    if not isinstance(path, str):
        return None
    if _names(scope.get("path_params")) - _names(getattr(route, "param_convertors", None)):
        return None  # of a mount with parameters only the values are known, in `root_path`
    is_mount = hasattr(route, "routes")
    return path if is_mount else f"{_mounts(scope)}{path}"


def _names(parameters: object) -> set[str]:
    return set(cast("dict[str, Any]", parameters)) if isinstance(parameters, dict) else set()


def _mounts(scope: Mapping[str, Any]) -> str:
    """Return the prefix of the mounts that the route is in; the server's own prefix is not one."""
    root_path: str = scope.get("root_path", "")
    return root_path.removeprefix(scope.get("app_root_path", root_path))


def django_route(request: Any) -> str | None:
    """Return the template of Django's resolver; None if nothing matched."""
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    return f"/{route}" if isinstance(route, str) and route else None


def flask_route(request: Any) -> str | None:
    """Return the template of Flask's URL map; None if nothing matched."""
    rule = getattr(getattr(request, "url_rule", None), "rule", None)
    return rule if isinstance(rule, str) else None
