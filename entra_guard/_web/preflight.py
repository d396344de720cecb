"""Recognize CORS preflights. Only Starlette's CORSMiddleware may respond to one without a token.

Browsers send preflights without a token (Fetch standard, section 3.2.2), and so can anyone else. An
application that does not check the method would handle a preflight like any request.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.middleware.cors import CORSMiddleware
    from starlette.types import Receive, Send

log: Final = get_logger("entra_guard")

_SETTINGS: Final = 'allow_origins=[...], allow_headers=["Authorization"], expose_headers=["WWW-Authenticate"]'

# The two lines that put CORS handling outside of the guard, by framework.
CORS_FIRST: Final = {
    "starlette": (
        "app.add_middleware(GuardMiddleware, guard=guard)",
        f"app.add_middleware(CORSMiddleware, {_SETTINGS})  # added last, runs first",
    ),
    "fastapi": (
        "from fastapi.middleware.cors import CORSMiddleware",
        f"app.add_middleware(CORSMiddleware, {_SETTINGS})",
    ),
    "litestar": (
        "app = Litestar(..., middleware=[DefineMiddleware(GuardMiddleware, guard=guard)],",
        "               cors_config=CORSConfig(allow_origins=[...]))",
    ),
    "quart": (
        "app.asgi_app = GuardMiddleware(app.asgi_app, guard=guard)",
        f"app.asgi_app = CORSMiddleware(app.asgi_app, {_SETTINGS})  # starlette.middleware.cors",
    ),
    "asgi": (
        "app = GuardMiddleware(app, guard=guard)",
        f"app = CORSMiddleware(app, {_SETTINGS})  # starlette.middleware.cors",
    ),
    "wsgi": (
        "app = GuardMiddleware(app, guard=guard)",
        "app = YourCORSMiddleware(app)  # around the guard: it responds to preflights",
    ),
    "flask": (
        '@app.route("/orders", methods=["GET"])  # without "OPTIONS": the guard responds to preflights',
        'CORS(app, origins=[...], allow_headers=["Authorization"])  # flask_cors adds the headers',
    ),
    "django": (
        'MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware",',
        '              "entra_guard.django.GuardMiddleware", ...]',
    ),
}

_logged: Final[set[str]] = set()


def is_preflight(scope: Mapping[str, Any]) -> bool:
    """Return whether an ASGI request is a CORS preflight."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name for name, _value in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names


def is_preflight_environ(environ: Mapping[str, Any]) -> bool:
    """Return whether a request is a CORS preflight, by its WSGI environ or Django's META."""
    return (
        environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def is_cors_middleware(app: object) -> bool:
    """Return whether an object is Starlette's CORSMiddleware itself.

    A subclass is not: it may call the application inside of it for a preflight.
    """
    module = sys.modules.get("starlette.middleware.cors")
    return module is not None and type(app) is module.CORSMiddleware


async def send_preflight_response(app: object, scope: Any, receive: Receive, send: Send) -> None:
    """Send the response of Starlette's CORSMiddleware to a preflight.

    Only its method for preflights is called, so that the application inside cannot run.
    """
    from starlette.datastructures import Headers  # noqa: PLC0415  # loaded with CORSMiddleware

    headers = Headers(raw=list(scope["headers"]))
    response = cast("CORSMiddleware", app).preflight_response(request_headers=headers)
    await response(scope, receive, send)


def log_refused_preflight(framework: str) -> None:
    """Log the first refused preflight of this process, with the two lines that fix the order."""
    if framework in _logged:
        return
    _logged.add(framework)
    first, second = CORS_FIRST.get(framework, CORS_FIRST["asgi"])
    log.warning(
        "A CORS preflight was refused: it carries no token, and the guard runs before CORS handling. "
        "If pages on other origins call this application, handle CORS first. "
        "This is logged once per process.\n    %s\n    %s",
        first,
        second,
    )
