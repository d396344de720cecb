"""Notices a guard that stands outside of CORS handling, where a browser cannot read its answers.

The guard's refusals then carry no Access-Control-Allow-Origin, and a page on another origin sees a
network error instead of 401 (Fetch standard, section 4.9). Decides nothing; knows names only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

log: Final = get_logger("entra_guard")

_MAX_DEPTH: Final = 50

ADVICE: Final = (
    "the guard stands outside of CORS handling, so that a browser on another origin cannot read a refusal: "
    "let requests pass %s first (Starlette and FastAPI: add CORSMiddleware after the guard)"
)


def warn_if_cors_inside(app: object) -> None:
    """Warn if an application that is to be guarded handles CORS itself."""
    notice_names(_class_names(app))


def notice_names(inside: Iterable[str]) -> None:
    """Warn if one of the layers inside of the guard, by its name, handles CORS."""
    for name in inside:
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
