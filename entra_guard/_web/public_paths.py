"""Match the paths of an application that need no token. Imports no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from entra_guard.errors import ConfigurationError

# What frameworks write parameters with, and regular expressions their classes and ends.
_PARAMETERS: Final = "{}<>[]^|"


class PublicPaths:
    """Paths that need no token.

    They are compared with the path that the framework routes: decoded by the server, below the mount point.
    '/static/*' covers everything below '/static/', but not '/static/' itself. '/items' does not cover
    '/items/', as an application may route them differently. A path that is not in its normal form is never
    public, because a server behind this one may read it in another way.

    An ASGI application below a mount point (`root_path`) must route the path without it, as Starlette,
    FastAPI, Litestar, Quart and Django do. Falcon does not, so there the whole path is compared.

    Args:
        patterns: Paths such as '/healthz', or '/static/*'.

    Raises:
        ConfigurationError: A pattern that could never match, or would match everything.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, (str, bytes)) or not isinstance(patterns, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"public must be a list of paths, got {patterns!r}. Write public=['/healthz']"
            )
        whole: list[str] = []
        below: list[str] = []
        for pattern in map(_checked, patterns):
            (below if pattern.endswith("/*") else whole).append(pattern)
        # The patterns as they were given.
        self.patterns: Final = (*whole, *below)
        self._whole: Final = frozenset(whole)
        self._below: Final = tuple(path.removesuffix("*") for path in below)
        # Returns whether a routed, decoded path is public.
        self.cover: Final[Callable[[str], bool]] = (
            self._cover if self._below else self._whole.__contains__  # every request pays for this call
        )

    def _cover(self, path: str) -> bool:
        if path in self._whole:
            return True
        if not path.startswith(self._below):
            return False
        below = any(path.startswith(prefix) and path != prefix for prefix in self._below)
        return below and _is_normal(path)


def _checked(pattern: object) -> str:
    if not isinstance(pattern, str):
        raise ConfigurationError(f"public must be a list of paths such as '/healthz', got {pattern!r} in it")
    path = pattern.removesuffix("/*")
    if not pattern.startswith("/") or not _is_normal(pattern.removesuffix("*")) or path != path.strip():
        raise ConfigurationError(
            f"public path {pattern!r} must be a decoded path such as '/healthz', or end in '/*'"
        )
    if "*" in path:
        raise ConfigurationError(
            f"public path {pattern!r} has a '*' that is not a whole last segment, so it would match nothing. "
            f"Use '/*' at the end, such as {_above(path, '*')!r}, or name the paths one by one"
        )
    if not set(pattern).isdisjoint(_PARAMETERS) or "/:" in pattern:
        raise ConfigurationError(
            f"public path {pattern!r} has a parameter or a pattern. Name the path above it, with '/*'"
        )
    if pattern == "/*":
        raise ConfigurationError(
            "public=['/*'] makes every path public. Name the public paths, or remove the guard"
        )
    return pattern


def _above(path: str, character: str) -> str:
    """Return the pattern for everything that a misplaced '*' may have meant."""
    literal = path[: path.index(character)].rstrip("/")
    return f"{literal or '/static'}/*"


def _is_normal(path: str) -> bool:
    """Return whether a path has no empty, dot or encoded segment, no backslash, and no odd character.

    U+FFFD is in place of bytes that are not UTF-8. Bottle omits these: to it, '/static/%ff' is '/static/'.
    """
    if "//" in path or not path.isprintable() or not set(path).isdisjoint("\\;%?#\ufffd"):
        return False
    return not any(segment in (".", "..") for segment in path.split("/"))
