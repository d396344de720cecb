"""Suggest the right name for a misspelt keyword argument."""

from __future__ import annotations

import functools
import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def suggest_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Make a method's TypeError for an unknown keyword suggest the nearest one and list all.

    A method that takes any keyword is returned as it is.
    """
    parameters = inspect.signature(function).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return function
    known = [name for name in parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                hint = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, known, n=1))
                raise TypeError(
                    f"{function.__name__}() has no argument {name!r}.{hint} It has: {', '.join(known)}."
                )
        return function(*args, **keywords)

    return call
