"""The guard in a Flask application, refusing through Flask's own error handlers. Translates, decides nothing.

Two parts: a function that runs before every request decides, with the path as Flask routes it; a thin
layer around `app.wsgi_app` gives each request a context of its own, so that the caller stays known
while a body is streamed and is forgotten with the request.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from flask import Response, current_app, g, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from entra_guard._web.authenticator import RequestAuthenticator
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.refusal_log import log_refusal
from entra_guard._web.wsgi_environ import authorization
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.principal import Principal, bind_principal, unbind_principal
from entra_guard.principal import current_principal as _current
from entra_guard.wsgi import PRINCIPAL, run_in, set_environ_identity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from flask import Flask

    from entra_guard._combined_guard import CombinedGuard
    from entra_guard._web.authenticator import AuthenticatorSettings
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
        guard: Guard | CombinedGuard | None = None,
        **settings: Unpack[AuthenticatorSettings],
    ) -> None:
        self._guard = guard
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        guard: Guard | CombinedGuard | None = None,
        **settings: Unpack[AuthenticatorSettings],
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
        merged: AuthenticatorSettings = {**self._settings, **settings}
        init_app(app, guard, **merged)


def init_app(app: Flask, guard: Guard | CombinedGuard, **settings: Unpack[AuthenticatorSettings]) -> None:
    """Let requests with a good token reach the views, and answer all others.

    The guard runs before all functions of the application's own that run before requests. A refusal is
    an `AccessError`; an `errorhandler(AccessError)` of the application or a blueprint answers in place
    of ours.

    The guard answers a CORS preflight itself, as Flask does for a route that does not list OPTIONS: no
    view and no function that runs before requests is called, and `after_request` functions such as
    Flask-CORS's add their headers. A route that lists OPTIONS needs a token for it.

    Args:
        app: The Flask application.
        guard: Decides.
        settings: What every adapter understands, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only` for all other routes;
            `close_at_expiry`: True to end a streamed body before its first chunk after the token's end.

    Raises:
        ConfigurationError: A setting that cannot work, or the application has a guard already.

    Example:
        >>> init_app(app, guard, public=["/healthz"])  # doctest: +SKIP
    """
    if "entra_guard" in app.extensions:
        raise ConfigurationError("this application has its guard already: call init_app once")
    gate = RequestAuthenticator(guard, **settings)
    app.extensions["entra_guard"] = guard
    layer = _OwnContext(app, gate)
    layer.put_guard_first()
    app.register_error_handler(_PreflightResponse, HTTPException.get_response)  # with TRAP_HTTP_EXCEPTIONS
    app.teardown_request(_forget)
    if AccessError not in app.error_handler_spec[None][None]:
        app.register_error_handler(AccessError, _answer)
    app.wsgi_app = layer  # type: ignore[method-assign]


def _admit(gate: RequestAuthenticator) -> None:
    environ = request.environ
    if gate.is_public(request.path):
        return
    _answer_preflight()
    try:
        principal = gate.authenticate(authorization(environ))
    except AccessError as error:
        _log(error)  # here, as a handler of the application's own may answer
        if is_preflight_environ(environ):
            log_refused_preflight("flask")
        raise
    set_environ_identity(principal, environ)
    bound = bind_principal(principal)
    if _OWN_CONTEXT not in environ:
        g.entra_guard_bound = bound


class _PreflightResponse(HTTPException):
    """Ends a request with a response, before any other code of the application runs."""


def _answer_preflight() -> None:
    """Raise the response that Flask itself has for OPTIONS, where the route does not list OPTIONS."""
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    if automatic and is_preflight_environ(request.environ):
        raise _PreflightResponse(response=current_app.make_default_options_response())


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

    def __init__(self, app: Flask, gate: RequestAuthenticator) -> None:
        self.app: WSGIApplication = app.wsgi_app
        self._preprocessors = app.url_value_preprocessors
        self._gate = gate

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[_OWN_CONTEXT] = True
        self.put_guard_first()
        return run_in(copy_context(), self._gate, self.app, environ, start_response)

    def put_guard_first(self) -> None:
        """Make the guard the first function that Flask runs, whatever was registered since.

        Flask runs `url_value_preprocessors` before all `before_request` functions.
        """
        functions = self._preprocessors[None]
        if not functions or functions[0] != self._admit:
            # A new list: a request in another thread may be running through the present one.
            others = [function for function in functions if function != self._admit]
            self._preprocessors[None] = [self._admit, *others]

    def _admit(self, _endpoint: str | None, _values: dict[str, Any] | None) -> None:
        _admit(self._gate)


def _caller() -> Principal:
    """The caller of Flask's request, which lives longer than its context in `with app.test_client()`."""
    found = request.environ.get(PRINCIPAL) if has_request_context() else None
    return found or _current()


current_principal: Principal = cast("Principal", LocalProxy(_caller))
"""Who is calling, as Flask has its proxies; raises `NoPrincipalError` where nobody is known."""
