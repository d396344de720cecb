"""Keywords that do not exist, answered with those that do. Knows no function in particular."""

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
    """Let a method answer a misspelt keyword with its own, and its name as people call it."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def called(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                meant = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, known, n=1))
                raise TypeError(
                    f"{function.__name__}() has no argument {name!r}.{meant} It has: {', '.join(known)}."
                )
        return function(*args, **keywords)

    return called
