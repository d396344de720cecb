"""Warn if CORS handling is inside of the guard, where browsers cannot read the guard's refusals.

The refusals then have no Access-Control-Allow-Origin, so a page on another origin gets a network error
instead of 401 (Fetch standard, section 4.9). CORS handling is recognized by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

log: Final = get_logger("entra_guard")

_MAX_DEPTH: Final = 50

ADVICE: Final = (
    "The guard runs before CORS handling, so that pages on other origins cannot read its refusals. "
    "Let %s run first. In Starlette and FastAPI, add CORSMiddleware after the guard."
)


def warn_if_cors_inside(app: object) -> None:
    """Warn if an application handles CORS inside of the guard."""
    warn_if_cors_among(_class_names(app))


def warn_if_cors_among(names: Iterable[str]) -> None:
    """Warn if one of these middleware classes, which run inside of the guard, handles CORS."""
    for name in names:
        if "cors" in name.lower():
            log.warning(ADVICE, name)
            return


def _class_names(app: Any) -> list[str]:
    """Return the names of the classes that every request passes inside of an application."""
    names: list[str] = []
    while app is not None and len(names) < _MAX_DEPTH:
        names.append(type(app).__name__)
        added: list[Any] = getattr(app, "user_middleware", [])  # of a Starlette application
        names += [getattr(entry.cls, "__name__", "") for entry in added]
        app = getattr(app, "app", None)
    return names
