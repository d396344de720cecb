"""ASGI middleware that guards an application: Starlette, FastAPI, Litestar, Quart, Falcon, or any other.

Pure ASGI, and independent of lifespan events, which some hosts never send.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.authentication import AuthCredentials

from entra_guard._common.arguments import check_flags, known_arguments
from entra_guard._common.boundary import clear_own_frames, detach
from entra_guard._common.telemetry import TELEMETRY
from entra_guard._web.adapter_arguments import check_app, check_guard
from entra_guard._web.app_layers import framework_of, litestar_mount
from entra_guard._web.asgi_response import send_response
from entra_guard._web.asgi_scope import STARLETTE_HANDLERS, quart_path, read_headers, routed_path, whole_path
from entra_guard._web.authenticator import SETTING_NAMES, RequestAuthenticator, bearer_token, health_response
from entra_guard._web.cors_check import warn_if_cors_inside
from entra_guard._web.decisions import LEVELS
from entra_guard._web.decorator_order import RouterCheck
from entra_guard._web.guarded_response import GuardedResponse, ObservedResponse
from entra_guard._web.http_errors import converter_for
from entra_guard._web.mcp_sessions import (
    SESSION_NOT_FOUND,
    McpSessions,
    drop_resumption,
    log_not_found,
)
from entra_guard._web.open_routes import begin_without_caller
from entra_guard._web.preflight import (
    is_cors_middleware,
    is_preflight,
    log_refused_preflight,
    send_preflight_response,
)
from entra_guard._web.startup_check import run_lifespan
from entra_guard._web.stream_expiry import POLICY_VIOLATION, always, never, run_for
from entra_guard._web.websocket_token import hide_token, keep_tokens_from_server_logs, take_token
from entra_guard.errors import AccessError
from entra_guard.principal import bind_no_principal, bind_principal, unbind_principal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._web.authenticator import AuthenticatorSettings
    from entra_guard.guard import Guard
    from entra_guard.principal import Principal


class GuardMiddleware:
    """Passes requests with a valid token to the application, and refuses all others.

    Handlers get the `Principal` as `request.user`; `current_principal()` works in every function they call.

    Put CORS handling outside of the guard. A CORS preflight has no token and gets 401, like any other
    request. One exception: if `app` is Starlette's own CORSMiddleware, that middleware responds to
    preflights, and nothing inside of it runs.

    A refusal by `@requires` is also the HTTPException of Starlette, FastAPI, Litestar, Quart or Falcon:
    handlers for that, or for `AccessError`, respond in place of the guard.

    Args:
        app: The ASGI application.
        guard: Verifies the tokens.
        subprotocol: Accept the token of a WebSocket in `Sec-WebSocket-Protocol`, as browsers can send it:
            `authorization.bearer.<token>`, or `bearer` and `<token>`.
        settings: The settings of all adapters, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only`, `guests` for all others;
            `close_at_expiry`: None ends WebSockets with their token, True streamed responses too, False
            neither.

    Raises:
        ConfigurationError: A setting is not valid. For requests: the `@requires` of a route is above the
            route's own decorator, so that it checks nothing.

    Example:
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])
    """

    # Whether each response may be a stream of events, whatever the client accepts.
    _expects_events = False

    @known_arguments(*SETTING_NAMES)
    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Guard | CombinedGuard,
        subprotocol: bool = False,
        **settings: Unpack[AuthenticatorSettings],
    ) -> None:
        check_flags(subprotocol=subprotocol)
        check_app(app)
        self.app = app
        self._subprotocol = subprotocol
        if subprotocol:
            keep_tokens_from_server_logs()
        self._authenticator = RequestAuthenticator(guard, **settings)
        # Falcon routes the path with the mount point in it (ASGI: root_path), all others without. Litestar's
        # own middleware gets the path that was routed, and only the rest of it before a mounted application.
        mount = litestar_mount(app)
        paths = {"falcon": whole_path, "quart": quart_path}
        self._routed_path = paths.get(framework_of(app), routed_path) if mount is None else whole_path
        # What each request needs, looked up once.
        self._is_public: Callable[[str], bool] = self._authenticator.is_public
        if mount:
            self._is_public = lambda path: self._authenticator.is_public(f"{mount}{path}")
        self._ends = self._authenticator.ends
        self._http_error = self._to_http_error
        # The kinds of requests whose response nothing ends, unless the request's headers say otherwise.
        self._ordinary = () if self._ends["http"] or self._expects_events else ("http",)
        self._ends_mcp_streams = settings.get("close_at_expiry") is not False
        seconds_left = guard.seconds_left if self._ends_mcp_streams else None
        self._sessions = McpSessions(seconds_left=seconds_left, is_revoked=guard.is_revoked)
        self._routes = RouterCheck(guard)
        warn_if_cors_inside(app)

    async def __call__(  # noqa: C901, PLR0912  # one line of steps: each request pays for each call
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        response = bound = None
        values: list[bytes] = []
        try:
            if scope["type"] == "lifespan":
                check = partial(self._routes.check, scope.get("app"), self.app)
                await run_lifespan(check, self.app, scope, receive, send)
                return
            if not self._routes.is_current():
                self._routes.check(scope.get("app"), self.app)
            if self._is_public(self._routed_path(scope) if scope.get("root_path") else scope["path"]):
                bound = bind_no_principal(scope)
                if self._subprotocol and scope["type"] == "websocket":
                    send = hide_token(scope, send)
                await self.app(scope, receive, send)
                return
            if scope.get("method") == "OPTIONS" and is_cors_middleware(self.app) and is_preflight(scope):
                await send_preflight_response(self.app, scope, receive, send)
                return
            is_observed = TELEMETRY.is_on or LEVELS.get(_DEBUG, True)  # the function, without a call
            response = (ObservedResponse if is_observed else GuardedResponse)(scope, send, self._sessions)
            values, names_session, wants_events = read_headers(scope)
            if self._subprotocol and scope["type"] == "websocket":
                response.subprotocol = take_token(scope, values)
            principal = await self._authenticator.guard.averify(bearer_token(values))
            if self._authenticator.required is not None:
                self._authenticator.required.check(principal)
            if is_observed:
                response.accept(principal, with_user=self._authenticator.guard.trace_users)
            scope["user"] = principal
            scope["auth"] = _Credentials(principal)
            if "router" in scope or "litestar_app" in scope:  # and so routes beside this guard
                begin_without_caller(scope)
            bound = bind_principal(principal, self._http_error, scope)
            may_be_stream = names_session or wants_events or self._sessions.has_streams
            if scope["type"] in self._ordinary and not may_be_stream:
                await self.app(scope, receive, response.send)
            else:
                await self._run_stream(
                    scope,
                    receive,
                    response,
                    principal,
                    names_session=names_session,
                    wants_events=wants_events,
                )
        except BaseException as error:
            if isinstance(error, AccessError) and response is not None and response.can_refuse:
                await self._refuse(error, scope, response)
                return
            del scope, values  # this frame stays in the traceback
            clear_own_frames(error)
            raise
        finally:
            if bound is not None:
                unbind_principal(bound)
            if response is not None:
                response.end()

    async def _refuse(self, error: AccessError, scope: Scope, response: GuardedResponse) -> None:
        if is_preflight(scope):
            log_refused_preflight(framework_of(scope.get("app"), self.app) or "asgi")
        detach(error)  # its frames hold the request's headers
        await response.refuse(self._authenticator.linked(error))

    async def _run_stream(
        self,
        scope: Scope,
        receive: Receive,
        response: GuardedResponse,
        principal: Principal,
        *,
        names_session: bool,
        wants_events: bool,
    ) -> None:
        """Run the application, if an MCP session that is named is the caller's, and end its stream in time.

        A revocation ends WebSockets and event streams whatever `close_at_expiry` says.
        """
        kind, wants_events = scope["type"], wants_events or self._expects_events
        if kind == "http" and not self._sessions.may_use(scope, principal):
            await _send_session_not_found(scope, response.pass_on)
            return
        is_session = names_session and kind == "http" and scope["method"] == "GET"
        if is_session:
            drop_resumption(scope)
        applies: Callable[[Message], bool] | None = always if self._ends[kind] else None
        if applies is None and self._ends_mcp_streams and kind == "http":
            # The stream of a session is one whatever the client accepts: '*/*' does, too.
            if is_session:
                applies = always
            elif wants_events:
                applies = response.is_mcp_stream
        if applies is None and kind == "http" and not wants_events:
            await self.app(scope, receive, response.send)
            return
        guard = self._authenticator.guard
        await run_for(
            guard.seconds_left(principal),
            self.app,
            scope,
            receive,
            response.send,
            applies=applies or never,  # a revocation ends it anyway
            watch=partial(guard.watch, principal),
        )

    def _to_http_error(self, error: AccessError, scope: Scope) -> AccessError:
        innermost = "starlette" if STARLETTE_HANDLERS in scope else framework_of(scope.get("app"), self.app)
        return self._authenticator.linked(converter_for(innermost)(error, scope))


class _Credentials(AuthCredentials):
    """What Starlette's own `@requires` reads: 'authenticated', and the scopes."""

    def __init__(self, principal: Principal) -> None:
        # What the base class does, without a second list.
        self.scopes = ["authenticated", *principal.verified.scopes]


_DEBUG: Final = logging.DEBUG


async def _send_session_not_found(scope: Scope, send: Send) -> None:
    log_not_found(scope)
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    is_head = scope["method"] == "HEAD"
    await send_response(send, "http.response", 404, headers, SESSION_NOT_FOUND, head=is_head)


def health_app(guard: Guard | CombinedGuard) -> ASGIApp:
    """Return an ASGI application for readiness probes: 200 or 503, and the guard's health as JSON.

    Route it as a public path. The response has the state and age of the keys, and the step that failed
    last. It names no host and no caller.

    Example:
        >>> route = Route("/readyz", health_app(guard))
    """
    check_guard(guard)
    return _Health(guard)


class _Health:
    """An object, because Starlette's `Route` takes a function for a handler with a request argument."""

    def __init__(self, guard: Guard | CombinedGuard) -> None:
        self._guard = guard

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            status, headers, body = health_response(self._guard)
            head = scope["method"] == "HEAD"
            await send_response(send, "http.response", status, headers, body, head=head)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
