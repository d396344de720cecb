"""Errors as they leave a public function: with a new traceback, and no frame that holds a token or secret.

Error trackers send the local variables of every frame that an error reaches by its traceback, its cause or
its context. The frames below a public function hold tokens, secrets and requests, so they end here.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from entra_guard.errors import EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")

# Packages whose finished frames are emptied. Frames of the user's own functions stay as they are.
_CLEARED: Final = frozenset(
    {"entra_guard", "httpx", "httpcore", "httpx2", "httpcore2", "h11", "h2", "anyio", "jwt", "concurrent"}
    | {"azure", "msal", "msal_extensions", "requests", "urllib3", "contextlib"}
)
_OWN: Final = frozenset({"entra_guard"})


def detach(error: BaseException) -> None:
    """Cut the frames off an error that hold what the public function was given.

    Errors of this package get a new traceback and lose their context. All other errors are bugs or come
    from the user's own functions: their tracebacks keep files and lines, and lose the local variables.

    Example:
        >>> try:
        ...     parse(token)
        ... except BaseException as error:
        ...     token = ""  # this frame may stay in the traceback
        ...     detach(error)
        ...     raise
    """
    if isinstance(error, EntraGuardError):
        error.__traceback__ = None
        error.__context__ = None
        if error.__cause__ is None:
            return
    for each in _chain(error):
        _clear_frames(each, _CLEARED)


def clear_own_frames(error: BaseException) -> None:
    """Empty our frames in an application's error that passes through us: they hold the request's headers."""
    for each in _chain(error):
        _clear_frames(each, _OWN)


def public(function: F) -> F:
    """Decorate a public function or method, so that every error leaves it detached."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def entry_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                args, kwargs = (), {}  # this frame may stay in the traceback
                detach(error)
                raise

        return cast("F", entry_async)

    @wraps(function)
    def entry(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            args, kwargs = (), {}
            detach(error)
            raise

    return cast("F", entry)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it leads to, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions


def _clear_frames(error: BaseException, packages: frozenset[str]) -> None:
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            with suppress(RuntimeError):  # it still runs
                frame.clear()
        trace = trace.tb_next
