"""The guard before a WSGI application: any that PEP 3333 knows. Translates, decides nothing."""

from __future__ import annotations

from contextvars import Context, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from entra_guard._web.authenticator import RequestAuthenticator, health_answer
from entra_guard._web.cors_check import warn_if_cors_inside
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.refusal_log import log_refusal
from entra_guard._web.wsgi_environ import authorization, routed_path, whole_path
from entra_guard.errors import AccessError
from entra_guard.principal import bind_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
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

    Falcon and others answer every exception themselves: for `@requires` in them, register a handler for
    `AccessError` that answers with its `status`, `headers` and `body`.

    Args:
        app: The WSGI application.
        guard: Decides.
        settings: What every adapter understands, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only` for all other routes;
            `close_at_expiry`: True to end a streamed body before its first chunk after the token's end.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> app = GuardMiddleware(app, guard=guard, public=["/healthz"])  # doctest: +SKIP
    """

    def __init__(
        self, app: WSGIApplication, *, guard: Guard | CombinedGuard, **settings: Unpack[AuthenticatorSettings]
    ) -> None:
        self.app = app
        self._gate = RequestAuthenticator(guard, **settings)
        warn_if_cors_inside(app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
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
        context.run(bind_principal, principal)
        return run_in(context, self._gate, self.app, environ, start_response)


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
    """Run an application and its body in a context, and answer an `AccessError` that leaves either."""
    started = False

    def watched(*args: Any) -> Write:
        nonlocal started
        started = True
        return start_response(*args)

    def refused(error: AccessError) -> Iterable[bytes]:
        if started:
            raise error
        return refuse(error, environ, start_response)

    def is_over() -> bool:
        return gate.is_over(environ.get(PRINCIPAL))

    try:
        body = context.run(app, environ, watched)
    except AccessError as error:
        return refused(error)
    return body if _is_at_hand(body, environ) else _Body(context, body, refused, is_over)


def _is_at_hand(body: Iterable[bytes], environ: Environ) -> bool:
    """Whether no code of the application runs for the body: a server may then send it its own way."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (isinstance(wrapper, type) and isinstance(body, wrapper))


class _Body:
    """A body whose every step runs in the request's context."""

    def __init__(
        self,
        context: Context,
        body: Iterable[bytes],
        refused: Callable[[AccessError], Iterable[bytes]],
        is_over: Callable[[], bool],
    ) -> None:
        self._context = context
        self._body = body
        self._refused = refused
        self._is_over = is_over
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_over():
            raise StopIteration
        try:
            if self._chunks is None:
                self._chunks = self._context.run(iter, self._body)
            return self._context.run(next, self._chunks)
        except AccessError as error:
            self._chunks = iter(self._refused(error))
            return next(self._chunks)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def refuse(error: AccessError, environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer a request that must not pass, and tell the operator why."""
    log_refusal(error, environ["REQUEST_METHOD"], whole_path(environ))
    return _answer(environ, start_response, error.status, error.headers, error.body)


def _answer(
    environ: Environ, start_response: StartResponse, status: int, headers: Mapping[str, str], body: bytes
) -> list[bytes]:
    fields = [*headers.items(), ("content-length", str(len(body)))]
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
