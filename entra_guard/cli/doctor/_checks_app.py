"""Checks of an application: which routes need no token, and the order of its middleware. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from entra_guard._web.found_routes import methods_text
from entra_guard._web.route_allowance import route_line
from entra_guard.cli.doctor._commands import command
from entra_guard.cli.doctor._finding import Check, Finding, counted, failure, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard._web.route_table import GuardedRoute
    from entra_guard.cli.doctor._facts import AppFacts, Facts

_MOST_SHOWN: Final = 5
_MOST_ROUTES: Final = 100
_MEANT: Final = frozenset({"token", "public", "partly public"})
_GUARD_FIX: Final = "Put the guard around the application, as docs/frameworks.md shows for each framework."
_CORS_FIX: Final = (
    "Starlette and FastAPI: call app.add_middleware(CORSMiddleware, ...) after the guard is added.",
    "Others: put the CORS middleware around the guard, or above it in settings.MIDDLEWARE.",
)


def _routes(facts: Facts) -> Finding | None:
    """Report routes whose `requires` has no effect, and routes that are open without being named public."""
    app = facts.app
    return None if app is None else replace(_summary(app), details=_table(app.routes))


def _table(routes: tuple[GuardedRoute, ...]) -> tuple[str, ...]:
    """Return one line for each route: methods, path, and what it requires."""
    rows = [(methods_text(route.methods), route.path, _needed(route)) for route in routes[:_MOST_ROUTES]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    more = (f"and {len(routes) - _MOST_ROUTES} more",) if len(routes) > _MOST_ROUTES else ()
    return (*(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows), *more)


def _needed(route: GuardedRoute) -> str:
    required = "; ".join(route.requires)
    if route.access == "token":
        return required or "any valid token"
    return f"{route.access.upper() if route.access != 'public' else 'public'} {required}".rstrip()


def _summary(app: AppFacts) -> Finding:
    closed = sum(route.needs_token for route in app.routes)
    counts = f"{counted(len(app.routes), 'route')}, {closed} need a token"
    fix = (f"{command('entra-guard', 'routes', app.name)}  # lists all routes",)
    if not app.routes:
        return failure(f"{app.name} has no routes, so that there is nothing to check", *fix)
    if broken := [route for route in app.routes if _has_no_effect(route)]:
        return failure(f"{counts}; {_listed(broken)}", *fix)
    if not closed:
        return failure(f"{counts}: no guard runs in {app.name}", *fix, _GUARD_FIX)
    if open_routes := [route for route in app.routes if route.access not in _MEANT]:
        return warning(
            f"{counts}; not named in `public`, and open: {_listed(open_routes)}",
            *fix,
            "Name these paths in `public` of the guard if they are meant to be open, or guard them.",
        )
    public = [path for route in app.routes for path in route.open_paths]
    return ok(f"{counts}; public: {_shown(public)}")


def _has_no_effect(route: GuardedRoute) -> bool:
    """Return whether a `requires` checks nothing: behind a guard, or on a route that is open by that."""
    return route.access == "broken" or (route.access == "open" and bool(route.problem))


def _listed(routes: list[GuardedRoute]) -> str:
    return _shown(map(route_line, routes), "; ")


def _shown(texts: Iterable[str], between: str = ", ") -> str:
    found = [*dict.fromkeys(texts)]
    more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return between.join([*found[:_MOST_SHOWN], *more]) or "none"


def _order(facts: Facts) -> Finding | None:
    """Check that CORS handling is outside of the guard: else browsers cannot read its refusals."""
    app = facts.app
    if app is None or not app.middleware:
        return None
    found = f"{' > '.join(app.middleware)}, from the outside to the inside"
    inside = app.middleware[app.guards[0] + 1 :] if app.guards else ()
    if cors := [name for name in inside if "cors" in name.lower()]:
        return failure(
            f"{found}: {cors[0]} is inside of the guard, so that pages on other origins cannot read a 401",
            *_CORS_FIX,
        )
    return ok(found)


CHECKS: Final = (Check("application", "routes", _routes), Check("application", "middleware", _order))
