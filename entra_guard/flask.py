"""The guard in a Flask application, refusing through Flask's own error handlers. Translates, decides nothing.

Two parts: a function that runs before every request decides, with the path as Flask routes it; a thin
layer around `app.wsgi_app` gives each request a context of its own, so that the caller stays known
while a body is streamed and is forgotten with the request.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from flask import Response, current_app, g, has_request_context, request
from werkzeug.local import LocalProxy

from entra_guard._web.authenticator import Gate, log_refusal
from entra_guard._web.preflight import ask_wsgi, is_preflight_environ
from entra_guard._web.wsgi_environ import authorization
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.principal import Principal, bind_principal, unbind_principal
from entra_guard.principal import current_principal as _current
from entra_guard.wsgi import PRINCIPAL, introduce, run_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from flask import Flask

    from entra_guard._combined_guard import AnyGuard
    from entra_guard._web.authenticator import GateSettings
    from entra_guard.guard import Guard

_OWN_CONTEXT: Final = "entra_guard.own_context"


class EntraGuard:
    """The extension, for application factories: made once, and bound to applications later.

    Args:
        app: An application to bind it to at once.
        guard: Decides; or given to `init_app`.
        settings: As for the function `init_app`; what its method `init_app` is given wins.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> entra = EntraGuard(public=["/healthz"])
        >>> def create_app():
        ...     app = Flask(__name__)
        ...     entra.init_app(app, Guard.from_env())
        ...     return app
    """

    def __init__(
        self,
        app: Flask | None = None,
        guard: Guard | AnyGuard | None = None,
        **settings: Unpack[GateSettings],
    ) -> None:
        self._guard = guard
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask, guard: Guard | AnyGuard | None = None, **settings: Unpack[GateSettings]
    ) -> None:
        """Guard an application, as the function `init_app` does.

        Raises:
            ConfigurationError: No guard was given, here or before, or as there.
        """
        guard = guard or self._guard
        if guard is None:
            raise ConfigurationError(
                "EntraGuard needs a guard: EntraGuard(app, guard), or init_app(app, guard)"
            )
        merged: GateSettings = {**self._settings, **settings}
        init_app(app, guard, **merged)


def init_app(app: Flask, guard: Guard | AnyGuard, **settings: Unpack[GateSettings]) -> None:
    """Let requests with a good token reach the views, and answer all others.

    The guard runs before all functions of the application's own that run before requests. A refusal is
    an `AccessError`; an `errorhandler(AccessError)` of the application or a blueprint answers in place
    of ours.

    Args:
        app: The Flask application.
        guard: Decides.
        settings: What every adapter understands, see `Gate`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only` for all other routes;
            `close_at_expiry`: True to end a streamed body before its first chunk after the token's end.

    Raises:
        ConfigurationError: A setting that cannot work, or the application has a guard already.

    Example:
        >>> init_app(app, guard, public=["/healthz"])  # doctest: +SKIP
    """
    if "entra_guard" in app.extensions:
        raise ConfigurationError("this application has its guard already: call init_app once")
    gate = Gate(guard, **settings)
    app.extensions["entra_guard"] = guard
    # Flask runs these first, before all that is called before_request.
    app.url_value_preprocessors.setdefault(None, []).insert(0, lambda _endpoint, _values: _admit(gate))
    app.before_request_funcs.setdefault(None, []).insert(0, _answer_preflight)
    app.teardown_request(_forget)
    if AccessError not in app.error_handler_spec[None][None]:
        app.register_error_handler(AccessError, _answer)
    app.wsgi_app = _OwnContext(app.wsgi_app, gate)  # type: ignore[method-assign]


def _admit(gate: Gate) -> None:
    environ = request.environ
    if gate.is_public(request.path) or _is_preflight():
        return
    try:
        principal = gate.admit(authorization(environ))
    except AccessError as error:
        _log(error)  # here, as a handler of the application's own may answer
        raise
    introduce(principal, environ)
    bound = bind_principal(principal)
    if _OWN_CONTEXT not in environ:
        g.entra_guard_bound = bound


def _is_preflight() -> bool:
    """Whether a preflight came through our layer, which lets nothing out but its answer."""
    return is_preflight_environ(request.environ) and _OWN_CONTEXT in request.environ


def _answer_preflight() -> Response | None:
    """Answer as Flask does for a view without OPTIONS of its own, before other code asks who is calling."""
    if _is_preflight() and getattr(request.url_rule, "provide_automatic_options", False):
        return current_app.make_default_options_response()
    return None


def _forget(_error: BaseException | None = None) -> None:
    """Where a request has no context of its own, undo its binding with it: `app.test_request_context`."""
    if bound := g.pop("entra_guard_bound", None):
        unbind_principal(bound)


def _answer(error: AccessError) -> Response:
    _log(error)
    return Response(error.body, error.status, error.headers)


def _log(error: AccessError) -> None:
    log_refusal(error, request.method, request.script_root + request.path)


class _OwnContext:
    """Runs each request, its body included, in a context that ends with it."""

    def __init__(self, app: WSGIApplication, gate: Gate) -> None:
        self.app = app
        self._gate = gate

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[_OWN_CONTEXT] = True
        if is_preflight_environ(environ):
            return ask_wsgi(self.app, environ, start_response)
        return run_in(copy_context(), self._gate, self.app, environ, start_response)


def _caller() -> Principal:
    """The caller of Flask's request, which lives longer than its context in `with app.test_client()`."""
    found = request.environ.get(PRINCIPAL) if has_request_context() else None
    return found or _current()


current_principal: Principal = cast("Principal", LocalProxy(_caller))
"""Who is calling, as Flask has its proxies; raises `NoPrincipalError` where nobody is known."""
