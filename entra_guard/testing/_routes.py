"""An assertion about the routes of an application: each needs a token, except for those that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard._web.adapter_arguments import check_app
from entra_guard._web.route_allowance import check_routes

if TYPE_CHECKING:
    from collections.abc import Iterable


def assert_no_public_routes(app: Any, *, allow: Iterable[str] = ()) -> None:
    """Assert that every route of an application needs a valid token, except for the paths in `allow`.

    It looks at the application's own tables: middleware, dependencies, mounted applications, WebSockets.
    No request is sent. `entra-guard routes module:app` shows the same table.

    Args:
        app: A Starlette, FastAPI, Flask, Quart, Django or Litestar application; None for the Django project.
        allow: Paths that may be open, as the table shows them; '/static/*' means all below '/static/'.

    Raises:
        AssertionError: A route is open, or its `requires` has no effect.
        ConfigurationError: `app` is not an application, or `allow` is not a list of paths.

    Example:
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])
        >>> assert_no_public_routes(app, allow=["/healthz"])
    """
    __tracebackhide__ = True
    if app is None:
        from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415

        app = WSGIHandler()
    check_app(app)
    problems = check_routes(app, allow)
    if problems:
        raise AssertionError(
            f"these routes need no token, and allow={list(allow)} does not name them:\n{problems}"
        )
