"""Delegate a method of one object to a part of it, with signature and docstring."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from entra_guard.emulator._tokens.keyword_hints import suggest_keywords

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
Part = TypeVar("Part")
Whole = TypeVar("Whole")
Result = TypeVar("Result")


def delegate_to(
    method: Callable[Concatenate[Part, P], Result],
) -> Callable[[Callable[[Whole], Part]], Callable[Concatenate[Whole, P], Result]]:
    """Turn a method that returns a part into one that calls `method` of this part.

    Its error for a misspelt argument suggests the right one.
    """
    method = suggest_keywords(method)

    def decorate(get_part: Callable[[Whole], Part]) -> Callable[Concatenate[Whole, P], Result]:
        @functools.wraps(method)
        def call(self: Whole, /, *args: P.args, **keywords: P.kwargs) -> Result:
            return method(get_part(self), *args, **keywords)

        return call

    return decorate
