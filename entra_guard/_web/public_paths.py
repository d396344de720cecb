"""Match the paths of an application that need no token. Knows no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


class PublicPaths:
    """Paths that need no token.

    Compared with the path that the framework routes: decoded by the server, below the mount point.
    '/static/*' covers everything below '/static/'. A slash at the end makes a difference, as it may to
    the application: '/items' opens no '/items/'. A path that is not in its normal form is never public:
    what a server behind would make of it is not known here.

    Args:
        patterns: Paths such as '/healthz', or '/static/*'.

    Raises:
        ConfigurationError: A pattern that could never match, or would match everything.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise ConfigurationError("public is a list of paths: public=['/healthz']")
        whole: list[str] = []
        below: list[str] = []
        for pattern in patterns:
            (below if pattern.endswith("/*") else whole).append(_checked(pattern))
        self._whole: Final = frozenset(whole)
        self._below: Final = tuple(path.removesuffix("*") for path in below)

    def cover(self, path: str) -> bool:
        """Tell whether a routed, decoded path is public."""
        if path in self._whole:
            return True
        return bool(self._below) and path.startswith(self._below) and _is_normal(path)


def _checked(pattern: str) -> str:
    if not pattern.startswith("/") or not _is_normal(pattern.removesuffix("*")) or "*" in pattern[:-1]:
        raise ConfigurationError(
            f"public path {pattern!r} must be a decoded path such as '/healthz', or end in '/*'"
        )
    if not set(pattern).isdisjoint("{}<>"):
        raise ConfigurationError(
            f"public path {pattern!r} has a parameter: name the path above it, with '/*'"
        )
    if pattern == "/*":
        raise ConfigurationError("public=['/*'] would guard nothing: leave the guard away, or name paths")
    return pattern


def _is_normal(path: str) -> bool:
    """No empty, dot, parameter or still encoded segments, no backslash, no control characters."""
    if "//" in path or not path.isprintable() or not set(path).isdisjoint("\\;%?#"):
        return False
    return not any(segment in (".", "..") for segment in path.split("/"))
