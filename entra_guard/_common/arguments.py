"""Check the arguments of public functions: misspelt names and wrong types fail with what to write instead."""

from __future__ import annotations

import functools
import inspect
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SEPARATORS: Final = re.compile(r"[\W_]+")
_OTHER_NAMES: Final = {"clientid": "audience", "appclientid": "audience"}  # what other packages call it
_LONGEST: Final = 1e9  # seconds, some thirty years: no sum with a clock overflows
P = ParamSpec("P")
R = TypeVar("R")


class UnknownArgumentError(ConfigurationError, TypeError):
    """An argument that the function does not have: the TypeError of Python, with a suggestion."""


def known_arguments(*more: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function refuse unknown keyword arguments by its own name, with the nearest one it has.

    For functions that pass `**settings` on, whose error would otherwise name the function they call.

    Args:
        more: Names of arguments that the function takes as `**settings`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = (*parameter_names(function), *more)
        called = function.__qualname__.removesuffix(".__init__").rpartition("<locals>.")[2]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            check_names(f"{called}()", "argument", kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorate


def parameter_names(function: Callable[..., object]) -> tuple[str, ...]:
    """Return the names of a function's arguments that can be given by keyword."""
    named = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    return tuple(item.name for item in parameters if item.kind in named and item.name not in ("self", "cls"))


def check_names(where: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are not known.

    Args:
        where: What the user called or wrote.
        kind: What the names are.
        names: The names to check.
        known: All that there are.

    Raises:
        UnknownArgumentError: One is not known; the text has the nearest, or all.
    """
    known = sorted(set(known))
    by_letters = {letters_of(name): name for name in known}
    for name in names:
        if name not in known:
            letters = letters_of(name)
            near = [other for other in (_OTHER_NAMES.get(letters),) if other in by_letters]
            near = near or get_close_matches(letters, by_letters, n=1, cutoff=0.5)
            hint = f"Did you mean {by_letters[near[0]]!r}?" if near else f"It has: {', '.join(known)}."
            raise UnknownArgumentError(f"{where} has no {kind} {name!r}. {hint}")


def letters_of(name: str) -> str:
    """Return the letters and digits of a name, in lower case: `clientId` and `client_id` have the same."""
    return _SEPARATORS.sub("", name.lower())


def check_seconds(name: str, value: object, *, least: float = 0.0, most: float = _LONGEST) -> None:
    """Refuse what is not a number of seconds between two bounds.

    Raises:
        ConfigurationError: It is not a number, or out of bounds.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(
            f"{name} must be seconds (a number), from {least:g} to {most:g}, got {value!r}"
        )


def check_count(name: str, value: object) -> None:
    """Refuse what is not a whole number, 0 or more.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{name} must be a whole number, 0 or more, got {value!r}")


def check_flags(**flags: object) -> None:
    """Refuse flags that are not True or False: 'false' from an environment variable would mean True.

    Raises:
        ConfigurationError: One is of another type.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigurationError(f"{name} must be True or False, got {value!r}")


def check_callables(**functions: object) -> None:
    """Refuse functions that cannot be called.

    Raises:
        ConfigurationError: One is of another type.
    """
    for name, value in functions.items():
        if not callable(value):
            raise ConfigurationError(f"{name} must be a function, got {value!r}")
