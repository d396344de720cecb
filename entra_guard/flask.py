"""Guard a Flask application.

It has two parts. A function that runs before each request authenticates it, with the path as Flask routes
it; refusals go through Flask's error handlers. A layer around `app.wsgi_app` gives each request a separate
context, so that the caller is known while a body is streamed, and not after the request.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from flask import Flask, Response, current_app, g, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from entra_guard._common.arguments import known_arguments
from entra_guard._common.boundary import clear_own_frames
from entra_guard._web.adapter_arguments import check_guard, is_guard
from entra_guard._web.authenticator import SETTING_NAMES, AuthenticatorSettings, RequestAuthenticator
from entra_guard._web.decisions import is_observed, log_refusal
from entra_guard._web.decorator_order import EndpointCheck
from entra_guard._web.http_errors import werkzeug_error, werkzeug_errors
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.route_template import flask_route
from entra_guard._web.startup_check import check_endpoints
from entra_guard._web.wsgi_environ import authorization
from entra_guard._web.wsgi_mounts import checked_prefixes, find_dispatchers, normal, prefixes_of
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.principal import PRINCIPAL, Principal, bind_principal, unbind_principal
from entra_guard.principal import current_principal as _current
from entra_guard.wsgi import GuardMiddleware, finish, observe, run_in, set_environ_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard

_OWN_CONTEXT: Final = "entra_guard.own_context"


class FlaskSettings(AuthenticatorSettings, total=False):
    """The settings of all adapters, and those of Flask: see `init_app`."""

    mounts: Iterable[str]


class EntraGuard:
    """The Flask extension, for application factories: created once, and bound to applications later.

    Args:
        app: An application to guard now.
        guard: Verifies the tokens; it can be passed to `init_app` instead.
        settings: The settings of the function `init_app`; those of the method `init_app` override them.

    Raises:
        ConfigurationError: A setting is not valid.

    Example:
        >>> entra = EntraGuard(public=["/healthz"])
        >>> def create_app():
        ...     app = Flask(__name__)
        ...     entra.init_app(app, Guard.from_env())
        ...     return app
    """

    @known_arguments(*FlaskSettings.__annotations__)
    def __init__(
        self,
        app: Flask | None = None,
        guard: Guard | CombinedGuard | None = None,
        **settings: Unpack[FlaskSettings],
    ) -> None:
        if guard is not None:
            check_guard(guard)
        if app is not None:
            _check_flask(app)
        self._guard = guard
        self._settings = settings
        if app is not None:
            self.init_app(app)

    @known_arguments(*FlaskSettings.__annotations__)
    def init_app(
        self,
        app: Flask,
        guard: Guard | CombinedGuard | None = None,
        **settings: Unpack[FlaskSettings],
    ) -> None:
        """Guard an application, as the function `init_app` does.

        Raises:
            ConfigurationError: There is no guard, or as the function `init_app` does.
        """
        _check_flask(app)
        guard = self._guard if guard is None else guard
        if guard is None:
            raise ConfigurationError(
                "EntraGuard needs a guard. Use EntraGuard(app, guard), or init_app(app, guard)"
            )
        merged: FlaskSettings = {**self._settings, **settings}
        init_app(app, guard, **merged)


@known_arguments(*SETTING_NAMES)
def init_app(
    app: Flask,
    guard: Guard | CombinedGuard,
    *,
    mounts: Iterable[str] = (),
    **settings: Unpack[AuthenticatorSettings],
) -> None:
    """Pass requests with a valid token to the views, and refuse all others.

    The guard runs before all other `before_request` functions and URL value preprocessors. Only receivers
    of Flask's signals, the loading of the session and the matching of the URL come before it: the last runs
    the `to_python` of URL converters, and functions in `redirect_to`. Where these must not run without a
    token, put `entra_guard.wsgi.GuardMiddleware` around `app.wsgi_app` instead.

    A refusal is an `AccessError` and a werkzeug `HTTPException`: an `errorhandler` of the application or a
    blueprint for either, or for the status, responds in place of the guard. An `errorhandler(Exception)`
    does not.

    The guard responds to a CORS preflight as Flask does for a route that does not list OPTIONS. No view and
    no `before_request` function runs; `after_request` functions such as Flask-CORS's add their headers. A
    route that lists OPTIONS needs a token for it.

    Applications that middleware such as werkzeug's DispatcherMiddleware mounts beside the Flask application
    are not guarded. Put `entra_guard.wsgi.GuardMiddleware` around `app.wsgi_app`, or name the prefix in
    `mounts` to leave it open.

    Args:
        app: The Flask application.
        guard: Verifies the tokens.
        mounts: Prefixes such as '/metrics' that stay open, although middleware serves them beside Flask.
        settings: The settings of all adapters, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only`, `guests` for all others;
            `close_at_expiry`: True to end a streamed body when the token expires.

    Raises:
        ConfigurationError: A setting is not valid, the application has a guard already, or an application
            is mounted beside it that `mounts` does not name. If it is mounted later, all requests fail.
            For requests: the `@requires` of a view is above the route's decorator and checks nothing.

    Example:
        >>> app = Flask("orders")
        >>> init_app(app, guard, public=["/healthz"])
    """
    _check_flask(app)
    if "entra_guard" in app.extensions:
        raise ConfigurationError("This application has a guard already. Call init_app once.")
    authenticator = RequestAuthenticator(guard, **settings).on_threads()
    check_endpoints(guard, app.view_functions.values())
    check_mounts = _MountCheck(app, mounts)
    check_mounts()
    app.extensions["entra_guard"] = guard
    layer = _OwnContext(app, authenticator)
    layer.put_guard_first()
    app.register_error_handler(_PreflightResponse, HTTPException.get_response)  # with TRAP_HTTP_EXCEPTIONS
    app.teardown_request(_forget)
    for kind in werkzeug_errors():
        app.register_error_handler(kind, _respond)
    if AccessError not in app.error_handler_spec[None][None]:
        app.register_error_handler(AccessError, _respond)
    app.wsgi_app = layer  # type: ignore[method-assign]
    _run_before_each_call(app, check_mounts)


def _check_flask(app: object) -> None:
    """Refuse what is not a Flask application, such as its `wsgi_app`."""
    if is_guard(app):
        raise ConfigurationError("app is the guard: the application comes first, as in init_app(app, guard)")
    if not isinstance(app, Flask):
        raise ConfigurationError(
            f"app must be a Flask application, got {type(app).__name__}. Give the application, not its "
            "wsgi_app; for other WSGI applications use entra_guard.wsgi.GuardMiddleware"
        )


def _authenticate(authenticator: RequestAuthenticator) -> None:
    environ = request.environ
    if authenticator.is_public(request.path):
        return
    _respond_to_preflight()
    try:
        principal = authenticator.authenticate(authorization(environ))
    except AccessError as error:
        refused = error
    else:
        _bind(principal, environ)
        if is_observed():
            observe(principal, environ, authenticator, flask_route(request))
        return
    _log(refused)  # now, because a handler of the application may respond
    if is_preflight_environ(environ):
        log_refused_preflight("flask")
    refused = werkzeug_error(refused, environ)
    del environ  # this frame stays in the traceback
    raise refused


def _bind(principal: Principal, environ: dict[str, Any]) -> None:
    set_environ_identity(principal, environ)
    bound = bind_principal(principal, werkzeug_error, environ)
    if _OWN_CONTEXT not in environ:
        g.entra_guard_bound = bound


class _PreflightResponse(HTTPException):
    """Ends a request with a response before other code of the application runs."""


def _respond_to_preflight() -> None:
    """Raise Flask's own response to OPTIONS, if the route does not list OPTIONS."""
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    if automatic and is_preflight_environ(request.environ):
        raise _PreflightResponse(response=current_app.make_default_options_response())


def _forget(_error: BaseException | None = None) -> None:
    """Record the decision, and unbind the caller of a request without a separate context.

    `app.test_request_context` makes such a request.
    """
    if bound := g.pop("entra_guard_bound", None):
        unbind_principal(bound)
    finish(request.environ)


def _respond(error: AccessError) -> Any:
    """Respond to a refusal, with the application's own handler if it has one.

    Flask itself would prefer a blueprint's `errorhandler(Exception)` to any handler of the application.
    """
    _log(error)
    own = _own_handler(error)
    if own is not None:
        return current_app.ensure_sync(own)(error)
    return Response(error.body, error.status, error.headers)


def _own_handler(error: AccessError) -> Callable[..., Any] | None:
    """Find a handler as Flask does, without those for all exceptions and those of the guard."""
    spec = current_app.error_handler_spec
    for status in (error.status, None):
        for name in (*request.blueprints, None):
            handlers = spec[name][status]
            for kind in type(error).__mro__:
                handler = handlers.get(kind)
                if handler is None or handler is _respond or kind in {Exception, BaseException}:
                    continue
                return handler
    return None


def _log(error: AccessError) -> None:
    if url := getattr(current_app.extensions["entra_guard"], "reasons_url", ""):
        error.reasons_url = url
    log_refusal(
        error, request.method, request.script_root + request.path, request.environ, flask_route(request)
    )


class _MountCheck:
    """Refuses middleware around Flask that serves prefixes without a token."""

    def __init__(self, app: Flask, mounts: Iterable[str]) -> None:
        self._app = app
        self._named = checked_prefixes(mounts)
        self._outermost: object = None
        self._dispatchers: list[object] = []

    def __call__(self) -> None:
        """Check new middleware, and new mounts of the middleware that was found before.

        Raises:
            ConfigurationError: A prefix is open that `mounts` does not name.
        """
        outermost = self._app.wsgi_app
        if outermost is not self._outermost:
            self._dispatchers = [*self._dispatchers, *find_dispatchers(outermost, _ends)]
            self._outermost = outermost
        found = [item for layer in self._dispatchers for item in prefixes_of(layer).items()]
        open_ = [
            prefix for prefix, app in found if normal(prefix) not in self._named and not _is_guarded(app)
        ]
        if open_:
            raise ConfigurationError(
                f"app.wsgi_app mounts {open_} beside the Flask application, where the guard of init_app does "
                "not run. Put entra_guard.wsgi.GuardMiddleware around the whole: "
                "app.wsgi_app = GuardMiddleware(app.wsgi_app, guard=guard). "
                f"If it is meant to be open: init_app(app, guard, mounts={open_})"
            )


def _ends(layer: object) -> bool:
    return isinstance(layer, (Flask, GuardMiddleware))


def _is_guarded(app: object) -> bool:
    if isinstance(app, Flask):
        return "entra_guard" in app.extensions
    return isinstance(app, (GuardMiddleware, _OwnContext))


def _run_before_each_call(app: Flask, check: Callable[[], None]) -> None:
    """Run a check whenever a server calls the application.

    Only `Flask.__call__` gets every request: middleware that is put around `app.wsgi_app` later does not
    pass on the requests that it handles. Python looks `__call__` up on the class, so the application gets
    a subclass of the same name.
    """
    base = type(app)

    def call(self: Flask, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        check()
        try:
            return base.__call__(self, environ, start_response)
        except BaseException:
            del environ  # this frame stays in the traceback
            raise

    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    app.__class__ = type(base.__name__, (base,), {**names, "__call__": call})


class _OwnContext:
    """Runs each request, with its body, in a separate context."""

    def __init__(self, app: Flask, authenticator: RequestAuthenticator) -> None:
        self.app: WSGIApplication = app.wsgi_app
        self._flask = app
        self._authenticator = authenticator
        self._check_endpoint = EndpointCheck()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[_OWN_CONTEXT] = True
        self.put_guard_first()
        try:
            return run_in(copy_context(), self._authenticator, self.app, environ, start_response)
        except BaseException as error:
            del environ  # this frame stays in the traceback
            clear_own_frames(error)
            raise

    def put_guard_first(self) -> None:
        """Make the guard the first function that Flask runs, before functions that were registered later.

        Flask runs `url_value_preprocessors` before all `before_request` functions.
        """
        preprocessors = self._flask.url_value_preprocessors
        functions = preprocessors[None]
        if not functions or functions[0] != self._run_guard:
            # A new list, because a request in another thread may be iterating over the old one.
            others = [function for function in functions if function != self._run_guard]
            preprocessors[None] = [self._run_guard, *others]

    def _run_guard(self, endpoint: str | None, _values: dict[str, Any] | None) -> None:
        view_functions = current_app.view_functions
        if endpoint in view_functions:
            self._check_endpoint(view_functions[endpoint], view_functions.values)
        _authenticate(self._authenticator)


def _caller() -> Principal:
    """Return the caller of Flask's request, also where Flask preserves it: `with app.test_client()`."""
    found = request.environ.get(PRINCIPAL) if has_request_context() else None
    return found or _current()


current_principal: Principal = cast("Principal", LocalProxy(_caller))
"""The caller, as a proxy like `flask.request`; raises `NoPrincipalError` if there is none."""
