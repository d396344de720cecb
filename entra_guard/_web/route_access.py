"""Decide what a request to a route needs, from the guards on its way: a table of rules, the first one counts.

Pure. `route_table.py` finds the routes and the guards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from entra_guard._common.decorated import decorated
from entra_guard._web.authenticator import check_guard_supports
from entra_guard._web.decorator_order import is_also_decorated
from entra_guard._web.found_routes import REST
from entra_guard._web.route_paths import below, coverage, join, matching, other_slash
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entra_guard._web.found_routes import FoundRoute, RouteGuard
    from entra_guard._web.route_paths import Coverage
    from entra_guard.requirement import Alternatives

Access = Literal["token", "public", "partly public", "optional", "open", "unclear", "broken"]


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """What a request to a route needs: see `GuardedRoute`.

    Attributes:
        access: The kind.
        problem: What is wrong, and how to fix it; '' for most.
        open_paths: The paths that need no token, if it is not the route's own.
    """

    access: Access
    problem: str = ""
    open_paths: tuple[str, ...] = ()


class RouteCase:
    """One route with all guards on its way, the outermost first, and what each of them does.

    Args:
        route: The route.
        template: Its path with all mount points.
        guards: The guards.
        endpoints: What all routes of the application call.
    """

    def __init__(
        self, route: FoundRoute, template: str, guards: tuple[RouteGuard, ...], endpoints: list[object]
    ) -> None:
        self.route = route
        self.template = template
        self.guards = guards
        self.endpoints = endpoints
        shares = [(guard, _share_of(guard, route, template)) for guard in guards]
        # Those for which the whole route is not public.
        self.checking = [guard for guard, share in shares if share != "all"]
        # Those that also refuse a request without a token.
        self.closing = [guard for guard in self.checking if _refuses(guard)]
        self.is_closed = any(share == "none" and _refuses(guard) for guard, share in shares)

    def required(self) -> list[Alternatives]:
        """Return what the guards, decorators and dependencies require: all items."""
        everywhere = [(each,) for guard in self.closing if (each := guard.authenticator.required)]
        also = [each for guard in self.closing for each in guard.also]
        return list(dict.fromkeys([*everywhere, *also, *self.route.decorated, *self.route.required]))


def access_of(case: RouteCase) -> RouteAccess:
    """Return what a request to a route needs: the first rule that applies decides."""
    return next(found for rule in _RULES if (found := rule(case)))


def _wrong_order(case: RouteCase) -> RouteAccess | None:
    bare = decorated.bare(case.route.endpoint)
    if bare is None or is_also_decorated(bare, case.endpoints):
        return None
    problem = (
        "@requires is above the route's decorator and checks nothing: put it directly above the function"
    )
    return RouteAccess("broken" if case.guards else "open", problem)


def _without_caller(case: RouteCase) -> RouteAccess | None:
    if not case.route.decorated or any(guard.binds for guard in case.closing):
        return None
    return RouteAccess(
        "broken",
        "@requires has no caller to check, and every request gets 500: no guard runs here, or the path is "
        "public",
    )


def _not_supported(case: RouteCase) -> RouteAccess | None:
    """Find `max_age` with Entra: the innermost guard is the one whose caller is checked."""
    if not case.guards:
        return None
    of_route = (*case.route.decorated, *case.route.required)
    for required in (each for alternatives in of_route for each in alternatives):
        try:
            check_guard_supports(case.guards[-1].authenticator.guard, required)
        except ConfigurationError as error:
            return RouteAccess("broken", str(error))
    return None


def _cannot_work(case: RouteCase) -> RouteAccess | None:
    problems = (guard.problem for guard in case.guards if guard.problem)
    return next((RouteAccess("broken", problem) for problem in problems), None)


def _closed(case: RouteCase) -> RouteAccess | None:
    return RouteAccess("token") if case.is_closed else None


def _public_in_part(case: RouteCase) -> RouteAccess | None:
    if not case.closing:
        return None
    paths = _public_paths(case.route, case.template, case.checking)
    return RouteAccess("partly public", f"without a token: {', '.join(paths)}", paths)


def _not_certain(case: RouteCase) -> RouteAccess | None:
    reasons = [case.route.unproven, *(guard.unproven for guard in case.guards)]
    return next((RouteAccess("unclear", reason) for reason in reasons if reason), None)


def _optional(case: RouteCase) -> RouteAccess | None:
    return RouteAccess("optional") if any(guard.is_optional for guard in case.guards) else None


def _public(case: RouteCase) -> RouteAccess | None:
    return RouteAccess("public") if case.guards or case.route.is_public else None


def _open(_case: RouteCase) -> RouteAccess:
    return RouteAccess("open")


_RULES: Final[tuple[Callable[[RouteCase], RouteAccess | None], ...]] = (
    _wrong_order,
    _without_caller,
    _not_supported,
    _cannot_work,
    _closed,
    _public_in_part,
    _not_certain,
    _optional,
    _public,
    _open,
)


def _refuses(guard: RouteGuard) -> bool:
    return not guard.is_optional and not guard.unproven


def _share_of(guard: RouteGuard, route: FoundRoute, template: str) -> Coverage:
    """Return whether a guard lets requests to a route pass because their path is public."""
    public = guard.authenticator.public_paths
    shares: list[Coverage] = [coverage(path, public) for path in _seen_paths(guard, route, template)]
    return "some" if shares[0] == "none" and shares.count("none") < len(shares) else shares[0]


def _seen_paths(guard: RouteGuard, route: FoundRoute, template: str) -> list[str]:
    """Return the paths that a guard may see for requests to a route, the usual one first."""
    usual = below(guard.prefix, template)
    paths = [usual, other_slash(usual)] if route.any_slash else [usual]
    return [*paths, *(join(guard.root_path, path) for path in paths if guard.root_path)]


def _public_paths(route: FoundRoute, template: str, guards: Iterable[RouteGuard]) -> tuple[str, ...]:
    """Return which public paths a route may respond to."""
    found = [
        join(guard.prefix, path)
        for guard in guards
        for seen in _seen_paths(guard, route, template)
        for path in matching(seen, guard.authenticator.public_paths)
    ]
    return tuple(dict.fromkeys(found))


def shown_path(template: str) -> str:
    """Return a path as it is shown: '/files/*' for a parameter that matches everything below."""
    return f"{template.removesuffix(REST)}*" if template.endswith(f"/{REST}") else template
