"""@requires: what one route asks of its caller, for sync and async handlers of every framework."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from entra_guard.errors import ConfigurationError
from entra_guard.principal import current_principal
from entra_guard.requirement import Requirement, check_any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Handler = TypeVar("Handler", bound="Callable[..., Any]")


def requires(
    *alternatives: Requirement,
    roles: Iterable[str] | str = (),
    scopes: Iterable[str] | str = (),
    app_only: bool = False,
    users_only: bool = False,
) -> Callable[[Handler], Handler]:
    """Ask roles, scopes, an application or a user of whoever calls a route. All that is named is required.

    It stands below the route's own decorator: above it, the framework has registered the bare handler
    already, and nothing is asked.

    On a public path, or with no guard before it, a route so decorated raises `NoPrincipalError` (a 500):
    it was declared open and closed at once, which no caller can mend.

    Args:
        alternatives: Requirements of which one must hold, in place of the other arguments.
        roles: App roles, of the application or of the user.
        scopes: Delegated permissions; only tokens that act for a user have them.
        app_only: Refuse tokens that act for a user.
        users_only: Refuse app-only tokens.

    Raises:
        ConfigurationError: Nothing is asked for, or nobody could meet it.

    Example:
        >>> @app.get("/orders")  # doctest: +SKIP
        ... @requires(roles=["Orders.Read"])
        ... async def orders(): ...
        >>> @requires(Requirement(scopes=["Orders.Read"]), Requirement(roles=["Orders.Read.All"]))
        ... def all_orders(): ...
    """
    asked = alternatives_of(
        alternatives, roles=roles, scopes=scopes, app_only=app_only, users_only=users_only
    )

    def decorate(handler: Handler) -> Handler:
        if not inspect.isroutine(handler):
            raise ConfigurationError(
                "@requires goes on a function or method, below the route's own decorator"
            )
        guarded = _async(handler, asked) if inspect.iscoroutinefunction(handler) else _sync(handler, asked)
        return cast("Handler", guarded)

    return decorate


def alternatives_of(
    alternatives: tuple[Requirement, ...],
    *,
    roles: Iterable[str] | str,
    scopes: Iterable[str] | str,
    app_only: bool,
    users_only: bool,
) -> tuple[Requirement, ...]:
    """Read what a route asks: alternatives as they are, or the one requirement that is spelt out.

    Raises:
        ConfigurationError: Both, or neither.
    """
    if not alternatives:
        return (Requirement(roles=roles, scopes=scopes, app_only=app_only, users_only=users_only),)
    if not all(isinstance(asked, Requirement) for asked in alternatives):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "requires takes names by keyword: @requires(roles=['Orders.Read']) or @requires(scopes=[...])"
        )
    if roles or scopes or app_only or users_only:
        raise ConfigurationError("give alternatives, or roles, scopes, app_only and users_only, not both")
    return alternatives


def _async(handler: Callable[..., Any], asked: tuple[Requirement, ...]) -> Callable[..., Any]:
    @wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        check_any(asked, current_principal())
        return await handler(*args, **kwargs)

    return guarded


def _sync(handler: Callable[..., Any], asked: tuple[Requirement, ...]) -> Callable[..., Any]:
    @wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        check_any(asked, current_principal())
        return handler(*args, **kwargs)

    return guarded
