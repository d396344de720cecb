"""Find, when an application starts, what its guard's issuers do not support: `max_age` with Entra."""

from __future__ import annotations

from inspect import isclass
from typing import TYPE_CHECKING, Any

from entra_guard._web.app_layers import layers_in_route
from entra_guard._web.authenticator import check_guard_supports
from entra_guard._web.found_routes import METHOD_NAMES
from entra_guard._web.overrides import authenticator_of
from entra_guard.errors import ConfigurationError
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard


def check_endpoints(guard: Guard | CombinedGuard, endpoints: Iterable[object]) -> None:
    """Raise if `requires` on what a route calls requires what no issuer of its guard supports.

    Raises:
        ConfigurationError: Such as `max_age` with Entra.
    """
    for function in (each for endpoint in endpoints for each in _functions_of(endpoint)):
        for required in (each for alternatives in requirements_of(function) for each in alternatives):
            try:
                check_guard_supports(guard, required)
            except ConfigurationError as error:
                name = getattr(function, "__qualname__", type(function).__name__)
                raise ConfigurationError(f"@requires of {name}: {error}") from None


def _functions_of(endpoint: Any) -> Iterator[object]:
    """Yield what a route calls, and the functions of its class for each method."""
    yield endpoint
    kind = endpoint if isclass(endpoint) else getattr(endpoint, "view_class", getattr(endpoint, "cls", None))
    if kind is not None:
        yield from filter(None, (getattr(kind, name, None) for name in (*METHOD_NAMES, "dispatch")))


def has_own_guard(item: object) -> bool:
    """Return whether an item is a guard, or an application or route that has one."""
    in_route = layers_in_route(item) if hasattr(item, "endpoint") else ()
    inside = (item, *in_route, *_dependencies_of(item))
    return any(authenticator_of(each) is not None for each in inside) or _is_guarded(item)


def _is_guarded(app: Any) -> bool:
    """Return whether an application got a guard by Starlette's `add_middleware`, or by Flask's `init_app`."""
    kinds = [getattr(each.cls, "func", each.cls) for each in getattr(app, "user_middleware", ())]
    bases = [base for kind in kinds for base in getattr(kind, "__mro__", ())]
    is_flask = "entra_guard" in (getattr(app, "extensions", None) or {})
    return is_flask or any(base.__module__.startswith("entra_guard.") for base in bases)


def _dependencies_of(route: Any) -> Iterator[object]:
    """Yield what FastAPI calls before a route."""
    waiting = [getattr(route, "dependant", None)]
    while waiting:
        dependant = waiting.pop()
        yield getattr(dependant, "call", None)
        waiting += getattr(dependant, "dependencies", ())


async def run_lifespan(
    check: Callable[[], None], app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Check an application, then let it start; a server does not start one whose check fails.

    Raises:
        ConfigurationError: The check failed.
    """
    try:
        check()
    except ConfigurationError as error:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    await app(scope, receive, send)
