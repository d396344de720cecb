"""Notices a guard that stands outside of CORS handling, where a browser cannot read its answers.

The guard's refusals then carry no Access-Control-Allow-Origin, and a page on another origin sees a
network error instead of 401 (Fetch standard, section 4.9). Decides nothing; knows names only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

log: Final = get_logger("entra_guard")

_DEEP_ENOUGH: Final = 50

ADVICE: Final = (
    "the guard stands outside of CORS handling, so that a browser on another origin cannot read a refusal: "
    "let requests pass %s first (Starlette and FastAPI: add CORSMiddleware after the guard)"
)


def warn_if_cors_inside(app: object) -> None:
    """Warn if an application that is to be guarded handles CORS itself."""
    notice_names(_layers(app))


def notice_names(inside: Iterable[str]) -> None:
    """Warn if one of the layers inside of the guard, by its name, handles CORS."""
    for name in inside:
        if "cors" in name.lower():
            log.warning(ADVICE, name)
            return


def _layers(app: Any) -> list[str]:
    """The names of the classes that a request passes inside of an application, as far as one can see."""
    names: list[str] = []
    while app is not None and len(names) < _DEEP_ENOUGH:
        names.append(type(app).__name__)
        middleware = cast("list[Any]", getattr(app, "user_middleware", []))  # of a Starlette application
        names += [getattr(entry.cls, "__name__", "") for entry in middleware]
        app = getattr(app, "app", None)
    return names
