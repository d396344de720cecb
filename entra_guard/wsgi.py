"""The guard before a WSGI application: any that PEP 3333 knows. Translates, decides nothing."""

from __future__ import annotations

from contextvars import Context, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.arguments import known_arguments
from entra_guard._common.boundary import clear_own_frames
from entra_guard._web.app_layers import framework_of
from entra_guard._web.authenticator import SETTING_NAMES, RequestAuthenticator, health_answer
from entra_guard._web.cors_check import warn_if_cors_inside
from entra_guard._web.decorator_order import RouterCheck
from entra_guard._web.http_errors import REFUSAL, converter_for, is_about_body
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.refusal_log import log_refusal
from entra_guard._web.wsgi_environ import authorization, routed_path, whole_path
from entra_guard.errors import AccessError
from entra_guard.principal import bind_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
    from typing import Unpack
    from wsgiref.types import StartResponse, WSGIApplication

    from entra_guard._combined_guard import CombinedGuard
    from entra_guard._web.authenticator import AuthenticatorSettings
    from entra_guard.guard import Guard
    from entra_guard.principal import Principal

    Environ = dict[str, Any]
    Write = Callable[[bytes], object]

PRINCIPAL: Final = "entra_guard.principal"
"""Where in the environ the caller is."""


class GuardMiddleware:
    """Lets requests with a good token reach the application, and answers all others.

    Below, `environ["entra_guard.principal"]` is the `Principal`, REMOTE_USER its object id, and
    `current_principal()` works, also while a streamed body is made. Each request runs in a context of
    its own, so that nothing stays behind on the thread.

    Put CORS handling outside of the guard. A CORS preflight is a request without a token and gets 401,
    as any other.

    A refusal by `@requires` is also the HTTP error of Flask or Falcon: handlers for that, or for
    `AccessError`, respond in place of the guard.

    Args:
        app: The WSGI application.
        guard: Decides.
        settings: What every adapter understands, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only`, `guests` for all others;
            `close_at_expiry`: True to end a streamed body before its first chunk after the token's end.

    Raises:
        ConfigurationError: A setting that cannot work. On requests: a route's `@requires` is above the
            route's own decorator and checks nothing.

    Example:
        >>> app = GuardMiddleware(app, guard=guard, public=["/healthz"])  # doctest: +SKIP
    """

    @known_arguments(*SETTING_NAMES)
    def __init__(
        self, app: WSGIApplication, *, guard: Guard | CombinedGuard, **settings: Unpack[AuthenticatorSettings]
    ) -> None:
        self.app = app
        self._gate = RequestAuthenticator(guard, **settings).on_threads()
        self._routes = RouterCheck()
        warn_if_cors_inside(app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._routes.is_current():
            self._routes.check(self.app)
        if self._gate.is_public(routed_path(environ)):
            return self.app(environ, start_response)
        try:
            principal = self._gate.authenticate(authorization(environ))
        except AccessError as error:
            if is_preflight_environ(environ):
                log_refused_preflight("wsgi")
            return refuse(error, environ, start_response)
        set_environ_identity(principal, environ)
        context = copy_context()
        context.run(bind_principal, principal, self._to_http_error, environ)
        try:
            return run_in(context, self._gate, self.app, environ, start_response)
        except BaseException as error:
            del environ  # this frame stays in the traceback
            clear_own_frames(error)
            raise

    def _to_http_error(self, error: AccessError, environ: MutableMapping[str, Any]) -> AccessError:
        return converter_for(framework_of(self.app))(error, environ)


def set_environ_identity(principal: Principal, environ: Environ) -> None:
    """Tell a caller to all who look at the environ (RFC 3875 sections 4.1.1 and 4.1.11)."""
    environ[PRINCIPAL] = principal
    environ["REMOTE_USER"] = principal.identity
    environ["AUTH_TYPE"] = "Bearer"


def run_in(
    context: Context,
    gate: RequestAuthenticator,
    app: WSGIApplication,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Run an application and its body in a context, and respond to an `AccessError` that leaves either."""
    response = _Response(gate, environ, start_response)
    try:
        body = context.run(app, environ, response.start)
    except AccessError as error:
        return response.refuse(error)
    if response.hidden:
        return response.replace(context, body)
    return body if _is_at_hand(body, environ) else _Body(context, body, response)


class _Response:
    """What the application responds, with a 500 that it made of a refusal turned back into the refusal.

    A catch-all inside of the application, such as a layer that responds with 500 to every exception,
    hides a refusal by `@requires` from us.
    """

    def __init__(self, gate: RequestAuthenticator, environ: Environ, start_response: StartResponse) -> None:
        self._gate = gate
        self._environ = environ
        self._start_response = start_response
        self._started = False
        self._kept: list[tuple[str, str]] = []
        self.hidden = False
        """Whether the application has begun a 500 after a refusal."""

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Write:
        """Begin the application's response, or hold it back."""
        self.hidden = not self._started and status.startswith("500") and REFUSAL in self._environ
        if self.hidden:
            self._kept = [(n, v) for n, v in headers if not is_about_body(n.lower().encode("latin-1"))]
            return _ignore
        self._started = True
        return self._start_response(status, headers, *exc_info)

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
        """Return whether the body has outlived the caller's token, and must end."""
        return self._gate.is_over(self._environ.get(PRINCIPAL))


def _ignore(_data: bytes) -> None:
    """Discard what an application writes for a response that is replaced."""


def _is_at_hand(body: Iterable[bytes], environ: Environ) -> bool:
    """Whether no code of the application runs for the body: a server may then send it its own way."""
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
        if chunk is None:
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
    log_refusal(error, environ["REQUEST_METHOD"], whole_path(environ))
    return _answer(
        environ, start_response, error.status, error.headers, error.body, more_headers=more_headers
    )


def _answer(
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
    """Make a WSGI application for readiness probes: 200 or 503, and the guard's health as JSON.

    Mount it where the guard lets everybody in. It tells the issuer and the ids of its public keys, and
    what failed last; nothing about callers.

    Example:
        >>> app = DispatcherMiddleware(app, {"/readyz": health_app(guard)})  # doctest: +SKIP
    """

    def health(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return _answer(environ, start_response, *health_answer(guard))

    return health
