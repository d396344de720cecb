"""Compare the template of a route with public paths: are all, some or none of its requests public?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from entra_guard._web.public_paths import PublicPaths

Coverage = Literal["all", "some", "none"]

_PARAMETER: Final = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_EXPRESSION: Final = re.compile(r"[\\()\[\]*+?^$|]")
# Parameters that match no slash. Converters of an application and regular expressions may match one.
_ONE_SEGMENT: Final = re.compile(
    r"\{\w+\}|\{\w+:(?:str|int|float|uuid|decimal|date|datetime|time|timedelta)\}"  # Starlette, Litestar
    r"|<\w+>|<(?:string|int|float|uuid|str|slug)(?:\([\w=, ]*\))?:\w+>"  # Flask, Quart, Django
)

_BEGINNING: Final = re.compile(r"[{<\\()\[\]*+?^$|]|\.[*+?]")
_ONE, _REST = "\0one", "\0rest"


def join(prefix: str, path: str) -> str:
    """Return a path below a mount point."""
    return f"{prefix.rstrip('/')}/{path.lstrip('/')}" if prefix and path else path or prefix or "/"


def below(prefix: str, path: str) -> str:
    """Return a path as an application at a mount point sees it, without the host for which it is."""
    prefix, path = _without_host(prefix), _without_host(path)
    return path[len(prefix) :] or "/" if prefix and path.startswith(prefix) else path


def _without_host(path: str) -> str:
    return f"/{path[2:].partition('/')[2]}" if path.startswith("//") else path


def other_slash(path: str) -> str:
    """Return a path without the slash at its end, or with one if it has none."""
    return path.rstrip("/") or path if path.endswith("/") else f"{path}/"


def coverage(template: str, public: PublicPaths) -> Coverage:
    """Return whether the requests to a route are public.

    Args:
        template: The path of the route, with parameters as frameworks write them.
        public: The paths that need no token.
    """
    if not _has_parameters(template):
        return "all" if public.cover(template) else "none"
    literal = _literal(template)
    if any(pattern.endswith("/*") and literal.startswith(pattern[:-1]) for pattern in public.patterns):
        return "all"
    return "some" if matching(template, public) else "none"


def matching(template: str, public: PublicPaths) -> list[str]:
    """Return the public paths that a route may respond to."""
    segments, literal = _segments(template), _literal(template)
    return [
        pattern
        for pattern in public.patterns
        if _can_match(segments, _segments(pattern))
        and (pattern.startswith(literal) or (pattern.endswith("/*") and literal.startswith(pattern[:-1])))
    ]


def _literal(template: str) -> str:
    """Return the beginning of a template that all of its paths have."""
    if not _has_parameters(template):
        return template.removesuffix("*") if template.endswith("/*") else template
    literal = _BEGINNING.split(template, maxsplit=1)[0]
    rest = template[len(literal) :]
    return literal[:-1] if rest.startswith(("?", "*", "{0", "{,")) else literal


def _has_parameters(template: str) -> bool:
    return bool(_PARAMETER.search(template) or _EXPRESSION.search(template))


def _segments(template: str) -> list[str]:
    """Return the segments: literals, `_ONE` for a parameter, `_REST` for what may contain slashes."""
    if template.endswith("/*"):
        return [*template[1:-2].split("/"), _REST]
    found: list[str] = []
    for segment in template.removeprefix("/").split("/"):
        if not _has_parameters(segment):
            found.append(segment)
        elif _has_parameters(_ONE_SEGMENT.sub("", segment)):
            return [*found, _REST]
        else:
            found.append(_ONE)
    return found


def _can_match(one: list[str], other: list[str]) -> bool:
    """Return whether some path fits both."""
    for index in range(max(len(one), len(other))):
        mine = one[index] if index < len(one) else None
        theirs = other[index] if index < len(other) else None
        if _REST in {mine, theirs}:
            return mine is not None and theirs is not None
        if mine is None or theirs is None:
            return False
        if mine != theirs and _ONE not in {mine, theirs}:
            return False
    return True
