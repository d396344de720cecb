"""Find routes that call a function past its `requires`, because it is above the route's own decorator.

A framework's route decorator registers the function that it gets. `@requires` above it wraps that function
too late: no request calls the wrapped one, and nothing is checked. Knows no framework.
"""

from __future__ import annotations

from functools import partial
from inspect import isclass, isroutine
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakSet

from entra_guard._common.decorated import decorated, unwrapped
from entra_guard._common.logs import get_logger
from entra_guard._web.app_layers import framework_of_layer, held_by, layers_of
from entra_guard._web.startup_check import check_endpoints, has_own_guard
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard

log: Final = get_logger("entra_guard")

_Table = tuple[Any, str, Any]  # its owner, the name of the attribute, and the table

_MOST_REMEMBERED: Final = 10_000
_reported: Final[WeakSet[Any]] = WeakSet()


class EndpointCheck:
    """Checks each endpoint once, when a request is routed to it."""

    def __init__(self) -> None:
        self._checked: dict[int, object] = {}  # by id, as endpoints need not be hashable
        self._count = -1

    def __call__(self, endpoint: object, all_endpoints: Callable[[], Iterable[object]]) -> None:
        """Raise if a route's endpoint is a function that `requires` was put on too late.

        Args:
            endpoint: What the route calls.
            all_endpoints: Returns what all routes of the application call; only called if `requires` was
                put on this endpoint somewhere.

        Raises:
            ConfigurationError: The route checks nothing.
        """
        if self._count != decorated.count or len(self._checked) > _MOST_REMEMBERED:
            self._checked, self._count = {}, decorated.count
        if id(endpoint) in self._checked:
            return
        if decorated.bare(endpoint) is not None:
            _check([endpoint], list(all_endpoints()))
        self._checked[id(endpoint)] = endpoint


class RouterCheck:
    """Checks all routes of an application before the first request, and again after a change.

    Args:
        guard: Runs before them: no route may require what none of its issuers supports.
    """

    def __init__(self, guard: Guard | CombinedGuard) -> None:
        self._guard = guard
        self._count = -1
        self._tables: list[_Table] = []

    def is_current(self) -> bool:
        """Return whether the routes were checked and have not changed since."""
        if self._count != decorated.count:
            return False
        for owner, name, seen in self._tables:  # noqa: SIM110  # each request runs this; a loop is quickest
            # Items are compared by identity first, so this is quick unless one was replaced.
            if getattr(owner, name, None) != seen:
                return False
        return True

    def check(self, *apps: object) -> None:
        """Raise if a route calls a function that `requires` was put on too late, or requires what cannot be.

        Raises:
            ConfigurationError: A route checks nothing, or no caller can meet its `requires`. Every request
                fails until it is fixed.
        """
        count = decorated.count
        tables, endpoints = _routes_of(*apps)
        _check(endpoints, endpoints)
        try:
            check_endpoints(self._guard, endpoints)
        except ConfigurationError:  # of a route with another guard, perhaps
            check_endpoints(self._guard, _routes_of(*apps, skips=has_own_guard)[1])
        self._count, self._tables = count, tables


def endpoints_of(*apps: object) -> list[object]:
    """Return what the routes of applications call, mounted applications and included routers included."""
    return _routes_of(*apps)[1]


def _check(endpoints: Iterable[object], all_endpoints: list[object]) -> None:
    for endpoint in endpoints:
        bare = decorated.bare(endpoint)
        if bare is None:
            continue
        if not is_also_decorated(bare, all_endpoints):
            raise ConfigurationError(
                f"@requires on {_name(bare)} is above the route's own decorator, so that the route checks "
                "nothing. Put @requires directly above the function, below the route's decorator. "
                f"If a route is meant to be open, register {_without(bare)}"
            )
        if bare not in _reported:
            _reported.add(bare)
            log.warning(
                "%s is registered for a route with @requires and for another one without. If that is meant, "
                "register %s for the open route, to silence this.",
                _name(bare),
                _without(bare),
            )


def is_also_decorated(bare: object, all_endpoints: list[object]) -> bool:
    """Return whether another route calls what `requires` returned for a function."""
    results = {id(result) for result in decorated.results(bare)}
    return any(id(function) in results for endpoint in all_endpoints for function in unwrapped(endpoint))


def _name(function: object) -> str:
    code = getattr(function, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))
    return f"{module}.{name}{where}"


def _without(function: object) -> str:
    return f"a function of its own that calls {getattr(function, '__name__', 'it')}"


def _routes_of(
    *apps: object, skips: Callable[[object], bool] = lambda _item: False
) -> tuple[list[_Table], list[object]]:
    """Return the tables in which routers keep their routes, and what the routes call.

    Args:
        apps: Where to begin.
        skips: Returns whether a layer or a route is not looked into.
    """
    tables: list[_Table] = []
    endpoints: list[object] = []
    waiting = list(apps)
    seen: set[int] = set()
    while waiting:
        for layer in layers_of(waiting.pop(), inner=lambda layer: [] if skips(layer) else _inner_of(layer)):
            if skips(layer):
                continue
            if isinstance(mounts := getattr(layer, "mounts", None), dict):  # werkzeug: may be filled later
                tables.append((layer, "mounts", cast("Any", mounts).copy()))
            for owner, name, table in _tables_of(layer):
                if id(table) in seen:
                    continue
                seen.add(id(table))
                tables.append((owner, name, table.copy()))
                for route in (route for route in _routes_in(table) if not skips(route)):
                    endpoints += _endpoints_of(route)
                    waiting += _applications_of(route)
    return tables, endpoints


def _inner_of(layer: Any) -> list[object]:
    """Return where a layer may pass requests on to; a router passes them on to its routes."""
    return [] if framework_of_layer(layer) or any(True for _ in _tables_of(layer)) else held_by(layer)


def _routes_in(table: Any) -> list[Any]:
    return list(cast("dict[str, Any]", table).values() if isinstance(table, dict) else table)


def _tables_of(layer: Any) -> Iterator[_Table]:
    """Yield where an application, router or dispatcher keeps its routes: Starlette, Flask, Quart, Bottle.

    Starlette's `routes` is a property that reads those of its router: `is_current` reads these directly.
    """
    for owner in (getattr(layer, "router", None), layer, getattr(layer, "original_router", None)):
        for name in ("routes", "view_functions"):
            table = getattr(owner, name, None)
            if isinstance(table, (list, dict)):
                yield owner, name, cast("Any", table)


def _endpoints_of(route: Any) -> list[object]:
    if isroutine(route) or isinstance(route, partial):  # in Flask's table
        return [route]
    found = [getattr(route, name, None) for name in ("endpoint", "callback")]
    return [endpoint for endpoint in found if endpoint is not None]


def _applications_of(route: Any) -> list[object]:
    """Return the applications that a route passes requests on to: mounts, hosts, routers, endpoints."""
    mounted = getattr(route, "config", {}).get("mountpoint.target")  # Bottle
    if mounted is not None:
        return [mounted]
    if isroutine(route) or isinstance(route, partial):
        return []
    endpoint = getattr(route, "endpoint", None)
    if endpoint is not None:
        return [] if isroutine(endpoint) or isclass(endpoint) or isinstance(endpoint, partial) else [endpoint]
    return [inner for name in ("original_router", "app") if (inner := getattr(route, name, None)) is not None]
