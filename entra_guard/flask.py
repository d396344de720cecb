"""The guard in a Flask application, refusing through Flask's own error handlers. Translates, decides nothing.

Two parts: a function that runs before every request decides, with the path as Flask routes it; a thin
layer around `app.wsgi_app` gives each request a context of its own, so that the caller stays known
while a body is streamed and is forgotten with the request.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from flask import Response, g, has_request_context, request
from werkzeug.local import LocalProxy

from entra_guard._environ import authorization, is_preflight
from entra_guard._request import Gate, log_refusal
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.principal import Principal, bind_principal, unbind_principal
from entra_guard.principal import current_principal as _current
from entra_guard.wsgi import PRINCIPAL, run_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from flask import Flask

    from entra_guard._any_guard import AnyGuard
    from entra_guard._request import GateSettings
    from entra_guard.guard import Guard

_OWN_CONTEXT: Final = "entra_guard.own_context"


class EntraGuard:
    """The extension, for application factories: made once, and bound to applications later.

    Args:
        app: An application to bind it to at once, with its guard.
        guard: Decides.
        settings: `public`, `roles`, `scopes`, `app_only`, `users_only`, as for `init_app`.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> entra = EntraGuard()
        >>> def create_app():
        ...     app = Flask(__name__)
        ...     entra.init_app(app, Guard.from_env(), public=["/healthz"])
        ...     return app
    """

    def __init__(
        self,
        app: Flask | None = None,
        guard: Guard | AnyGuard | None = None,
        **settings: Unpack[GateSettings],
    ) -> None:
        if app is not None:
            if guard is None:
                raise ConfigurationError("EntraGuard(app) needs the guard too: EntraGuard(app, guard)")
            self.init_app(app, guard, **settings)

    def init_app(self, app: Flask, guard: Guard | AnyGuard, **settings: Unpack[GateSettings]) -> None:
        """Guard an application: the same as the function `init_app`."""
        init_app(app, guard, **settings)


def init_app(
    app: Flask,
    guard: Guard | AnyGuard,
    *,
    public: Iterable[str] = (),
    roles: Iterable[str] | str = (),
    scopes: Iterable[str] | str = (),
    app_only: bool = False,
    users_only: bool = False,
) -> None:
    """Let requests with a good token reach the views, and answer all others.

    The guard runs before all other `before_request` functions. A refusal is an `AccessError`; an
    `errorhandler(AccessError)` of the application or a blueprint answers in place of ours.

    Args:
        app: The Flask application.
        guard: Decides.
        public: Paths that need no token, such as ['/healthz', '/static/*'].
        roles: App roles that every other route asks for, all of them.
        scopes: Delegated permissions that every other route asks for.
        app_only: Let applications pass, and no users.
        users_only: Let users pass, and no applications.

    Raises:
        ConfigurationError: A setting that cannot work, or the application has a guard already.

    Example:
        >>> init_app(app, guard, public=["/healthz"])  # doctest: +SKIP
    """
    if "entra_guard" in app.extensions:
        raise ConfigurationError("this application has its guard already: call init_app once")
    gate = Gate(guard, public=public, roles=roles, scopes=scopes, app_only=app_only, users_only=users_only)
    app.extensions["entra_guard"] = guard
    app.before_request_funcs.setdefault(None, []).insert(0, lambda: _admit(gate))
    app.teardown_request(_forget)
    if AccessError not in app.error_handler_spec[None][None]:
        app.register_error_handler(AccessError, _answer)
    app.wsgi_app = _OwnContext(app.wsgi_app)  # type: ignore[method-assign]


def _admit(gate: Gate) -> None:
    environ = request.environ
    if gate.is_public(request.path) or is_preflight(environ):
        return
    try:
        principal = gate.admit(authorization(environ))
    except AccessError as error:
        _log(error)  # here, as a handler of the application's own may answer
        raise
    environ[PRINCIPAL] = principal
    environ["REMOTE_USER"] = principal.identity
    bound = bind_principal(principal)
    if _OWN_CONTEXT not in environ:
        g.entra_guard_bound = bound


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

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[_OWN_CONTEXT] = True
        return run_in(copy_context(), self.app, environ, start_response)


def _caller() -> Principal:
    """The caller of Flask's request, which lives longer than its context in `with app.test_client()`."""
    found = request.environ.get(PRINCIPAL) if has_request_context() else None
    return found or _current()


current_principal: Principal = cast("Principal", LocalProxy(_caller))
"""Who is calling, as Flask has its proxies; raises `NoPrincipalError` where nobody is known."""
