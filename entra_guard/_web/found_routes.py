"""What the inspection of an application finds: routes, and applications that it passes requests on to.

Imports no framework. `route_table.py` decides from it what each route requires.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.decorated import unwrapped
from entra_guard.requirement import Alternatives, requirements_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entra_guard._web.authenticator import RequestAuthenticator

WEBSOCKET: Final = "WEBSOCKET"
# The names of the methods of a class that handle requests, in Starlette and Flask.
METHOD_NAMES: Final = ("get", "head", "post", "put", "patch", "delete", "options")
# All methods: the application decides about them itself.
ANY: Final = "*"

# A parameter for everything below, as Starlette writes it.
REST: Final = "{path:path}"


@dataclass(frozen=True, slots=True)
class RouteGuard:
    """A guard on the way to a route.

    Attributes:
        authenticator: What it does with a request.
        prefix: The mount point below which it runs: its public paths are relative to it.
        is_optional: Whether a request without a token passes.
        binds: Whether `requires` sees the caller.
        also: What a layer behind it requires of all its callers: all items, of each item one alternative.
        unproven: Why it is not certain that it refuses a request without a token.
        root_path: A mount point that an application inside of it strips from the paths it routes.
        problem: Why it fails with every request: a setting that cannot work.
    """

    authenticator: RequestAuthenticator
    prefix: str = ""
    is_optional: bool = False
    binds: bool = True
    also: tuple[Alternatives, ...] = ()
    unproven: str = ""
    root_path: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """One route of a framework.

    Attributes:
        path: Its template, below the application's own mount point.
        methods: HTTP methods, 'WEBSOCKET', or '*'.
        endpoint: What the framework calls.
        decorated: What `requires` on it requires: all items, of each item one alternative.
        required: What dependencies or permission classes require.
        guards: Guards that run for this route only, such as dependencies.
        unproven: Why it is not certain that the route needs a token.
        any_slash: Whether it also responds to its path with, or without, a slash at the end.
        is_public: Whether this package responds, with what all may read.
    """

    path: str
    methods: tuple[str, ...]
    endpoint: Any
    decorated: tuple[Alternatives, ...] = ()
    required: tuple[Alternatives, ...] = ()
    guards: tuple[RouteGuard, ...] = ()
    unproven: str = ""
    any_slash: bool = False
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class FoundApp:
    """An application that requests are passed on to.

    Attributes:
        app: The next layer, or a mounted application.
        prefix: The mount point, '' for the next layer of the same application.
        guards: Guards that run before it, and see the path below the mount point.
        host: The host names for which it responds, '' for all.
    """

    app: Any
    prefix: str = ""
    guards: tuple[RouteGuard, ...] = field(default=())
    host: str = ""


Found = FoundRoute | FoundApp


def methods_shown(methods: Iterable[str] | None, *, automatic: bool = True) -> tuple[str, ...]:
    """Return methods in order, without HEAD beside GET, and without the OPTIONS that a framework adds."""
    names = {method.upper() for method in methods or ()}
    if "GET" in names:
        names -= {"HEAD"}
    if automatic and names != {"OPTIONS"}:
        names -= {"OPTIONS"}
    return tuple(sorted(names)) or (ANY,)


def methods_text(methods: Iterable[str]) -> str:
    """Return methods for a reader: 'GET POST', or 'any'."""
    return " ".join("any" if method == ANY else method for method in methods)


def by_method(view: Any, handlers: Any, methods: Iterable[str]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield methods with what handles them and what `requires` on it requires; the same are together.

    Args:
        view: What the framework calls for all methods.
        handlers: The class that has one function for each method.
        methods: The methods of the route.
    """
    common = requirements_of(view)
    groups: dict[tuple[Alternatives, ...], list[str]] = {}
    for method in methods:
        handler = getattr(handlers, method.lower(), None)
        found = [*common, *(requirements_of(handler) if handler else [])]
        groups.setdefault(tuple(dict.fromkeys(found)), []).append(method)
    for needed, names in groups.items():
        yield tuple(names), getattr(handlers, names[0].lower(), view), needed


def name_of(endpoint: Any) -> str:
    """Return the module and name of what a route calls."""
    for function in unwrapped(endpoint):
        endpoint = function
        if not hasattr(function, "__qualname__") and not isinstance(function, partial):
            break  # an object: its class has the name, not the `__call__` that the class may inherit
    named: Any = endpoint if hasattr(endpoint, "__qualname__") else type(endpoint)  # pyright: ignore[reportUnknownVariableType]
    return f"{named.__module__}.{named.__qualname__}"
