"""WSGI middleware that guards any application (PEP 3333)."""

from __future__ import annotations

from contextvars import Context, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from entra_guard._common.arguments import known_arguments
from entra_guard._common.boundary import clear_own_frames
from entra_guard._web.adapter_arguments import check_app, check_guard
from entra_guard._web.app_layers import framework_of
from entra_guard._web.authenticator import SETTING_NAMES, RequestAuthenticator, health_response
from entra_guard._web.cors_check import warn_if_cors_inside
from entra_guard._web.decisions import ACCEPTED, AcceptedRequest, is_observed, log_refusal
from entra_guard._web.decorator_order import RouterCheck
from entra_guard._web.http_errors import REFUSAL, converter_for, is_about_body
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.wsgi_environ import authorization, routed_path, whole_path
from entra_guard.errors import AccessError
from entra_guard.principal import PRINCIPAL, bind_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
    from typing import Unpack
    from wsgiref.types import StartResponse, WSGIApplication

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._web.authenticator import AuthenticatorSettings
    from entra_guard.guard import Guard
    from entra_guard.principal import Principal

    Environ = dict[str, Any]
    Write = Callable[[bytes], object]


class GuardMiddleware:
    """Passes requests with a valid token to the application, and refuses all others.

    The application gets the `Principal` as `environ["entra_guard.principal"]`, and its object id as
    REMOTE_USER. `current_principal()` works too, also while a body is streamed. Each request has a separate
    context, so that nothing remains on the thread.

    Put CORS handling outside of the guard. A CORS preflight has no token and gets 401, like any other
    request.

    A refusal by `@requires` is also the HTTP error of Flask or Falcon: handlers for that, or for
    `AccessError`, respond in place of the guard.

    Args:
        app: The WSGI application.
        guard: Verifies the tokens.
        settings: The settings of all adapters, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only`, `guests` for all others;
            `close_at_expiry`: True to end a streamed body when the token expires.

    Raises:
        ConfigurationError: A setting is not valid. For requests: the `@requires` of a route is above the
            route's own decorator, so that it checks nothing.

    Example:
        >>> app = GuardMiddleware(app, guard=guard, public=["/healthz"])
    """

    @known_arguments(*SETTING_NAMES)
    def __init__(
        self, app: WSGIApplication, *, guard: Guard | CombinedGuard, **settings: Unpack[AuthenticatorSettings]
    ) -> None:
        check_app(app)
        self.app = app
        self._authenticator = RequestAuthenticator(guard, **settings).on_threads()
        self._routes = RouterCheck(guard)
        warn_if_cors_inside(app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            if not self._routes.is_current():
                self._routes.check(self.app)
            if self._authenticator.is_public(routed_path(environ)):
                return self.app(environ, start_response)
            return self._serve(environ, start_response)
        except BaseException as error:
            del environ  # this frame stays in the traceback
            clear_own_frames(error)
            raise

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            principal = self._authenticator.authenticate(authorization(environ))
        except AccessError as error:
            if is_preflight_environ(environ):
                log_refused_preflight("wsgi")
            return refuse(error, environ, start_response)
        set_environ_identity(principal, environ)
        if is_observed():
            observe(principal, environ, self._authenticator)
        context = copy_context()
        context.run(bind_principal, principal, self._to_http_error, environ)
        return run_in(context, self._authenticator, self.app, environ, start_response)

    def _to_http_error(self, error: AccessError, environ: MutableMapping[str, Any]) -> AccessError:
        return self._authenticator.linked(converter_for(framework_of(self.app))(error, environ))


def observe(
    principal: Principal, environ: Environ, authenticator: RequestAuthenticator, route: str | None = None
) -> None:
    """Keep what is known of a request with a valid token, until it is clear whether its route refuses it."""
    method, path = environ["REQUEST_METHOD"], whole_path(environ)
    with_user = authenticator.guard.trace_users
    environ[ACCEPTED] = AcceptedRequest(principal, environ, method, path, with_user=with_user, route=route)


def set_environ_identity(principal: Principal, environ: Environ) -> None:
    """Store the caller in the environ (RFC 3875 sections 4.1.1 and 4.1.11)."""
    environ[PRINCIPAL] = principal
    environ["REMOTE_USER"] = principal.identity
    environ["AUTH_TYPE"] = "Bearer"


def run_in(
    context: Context,
    authenticator: RequestAuthenticator,
    app: WSGIApplication,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Run an application and its body in a context, and respond to an `AccessError` that leaves either."""
    response = _Response(authenticator, environ, start_response)
    try:
        body = context.run(app, environ, response.start)
    except AccessError as error:
        return response.refuse(error)
    if response.hidden:
        return response.replace(context, body)
    return body if _is_complete(body, environ) else _Body(context, body, response)


class _Response:
    """Passes the application's response on, except for a 500 that hides a refusal: then responds with that.

    A layer inside of the guard that responds with 500 to every exception hides a refusal by `@requires`.
    """

    def __init__(
        self, authenticator: RequestAuthenticator, environ: Environ, start_response: StartResponse
    ) -> None:
        self._authenticator = authenticator
        self._environ = environ
        self._start_response = start_response
        self._started = False
        # A body of a declared length is sent whole: without its end, the client gets a broken response.
        self._is_stream = False
        self._kept: list[tuple[str, str]] = []
        # Whether the application has begun a 500 after a refusal.
        self.hidden = False

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Write:
        """Begin the application's response, or hold it back."""
        self.hidden = not self._started and status.startswith("500") and REFUSAL in self._environ
        self._record(status)
        if self.hidden:
            self._kept = [(n, v) for n, v in headers if not is_about_body(n.lower().encode("latin-1"))]
            return _ignore
        self._started = True
        self._is_stream = all(name.lower() != "content-length" for name, _value in headers)
        return self._start_response(status, headers, *exc_info)

    def _record(self, status: str) -> None:
        """Record that the request was accepted, or that the application responds to a refusal itself."""
        error: AccessError | None = self._environ.get(REFUSAL)
        if error is not None and status.startswith(str(error.status)):
            log_refusal(error, self._environ["REQUEST_METHOD"], whole_path(self._environ), self._environ)
        elif not self.hidden:
            finish(self._environ)

    def refuse(self, error: AccessError) -> Iterable[bytes]:
        """Respond with a refusal that the application raised."""
        if self._started:
            raise error
        return refuse(error, self._environ, self._start_response)

    def replace(self, context: Context, body: Iterable[bytes]) -> Iterable[bytes]:
        """Close the body of a 500, and respond with the refusal behind it."""
        close = getattr(body, "close", None)
        if close is not None:
            context.run(close)
        return refuse(self._environ[REFUSAL], self._environ, self._start_response, self._kept)

    def is_over(self) -> bool:
        """Return whether the body is a stream that has outlived the caller's token, and must end."""
        return self._is_stream and self._authenticator.is_over(self._environ.get(PRINCIPAL))


def finish(environ: Environ) -> None:
    """Record that a request was accepted, if requests are observed and this one was not refused."""
    accepted: AcceptedRequest | None = environ.pop(ACCEPTED, None)
    if accepted is not None:
        accepted.finish()


def _ignore(_data: bytes) -> None:
    """Discard what an application writes for a response that is replaced."""


def _is_complete(body: Iterable[bytes], environ: Environ) -> bool:
    """Return whether iterating over a body runs no code of the application, so it needs no context."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (isinstance(wrapper, type) and isinstance(body, wrapper))


class _Body:
    """A body whose every step runs in the request's context."""

    def __init__(self, context: Context, body: Iterable[bytes], response: _Response) -> None:
        self._context = context
        self._body = body
        self._response = response
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._response.is_over():
            raise StopIteration
        try:
            if self._chunks is None:
                self._chunks = self._context.run(iter, self._body)
            chunk = self._context.run(next, self._chunks, None)
        except AccessError as error:
            return self._instead(self._response.refuse(error))
        if self._response.hidden:
            replaced, self._body = self._body, ()
            return self._instead(self._response.replace(self._context, replaced))
        if chunk is None or self._response.is_over():  # the token may have ended while the body waited
            raise StopIteration
        return chunk

    def _instead(self, chunks: Iterable[bytes]) -> bytes:
        self._response.hidden = False
        self._chunks = iter(chunks)
        return next(self._chunks)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def refuse(
    error: AccessError,
    environ: Environ,
    start_response: StartResponse,
    more_headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    """Log a refusal and respond with it."""
    log_refusal(error, environ["REQUEST_METHOD"], whole_path(environ), environ)
    return _send_response(
        environ, start_response, error.status, error.headers, error.body, more_headers=more_headers
    )


def _send_response(
    environ: Environ,
    start_response: StartResponse,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    more_headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    fields = [*headers.items(), ("content-length", str(len(body))), *more_headers]
    start_response(f"{status} {HTTPStatus(status).phrase}", fields)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def health_app(guard: Guard | CombinedGuard) -> WSGIApplication:
    """Return a WSGI application for readiness probes: 200 or 503, and the guard's health as JSON.

    Mount it on a public path. The response has the state and age of the keys, and the step that failed
    last. It names no host and no caller.

    Example:
        >>> app = DispatcherMiddleware(app, {"/readyz": health_app(guard)})
    """
    check_guard(guard)

    def health(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return _send_response(environ, start_response, *health_response(guard))

    return health
