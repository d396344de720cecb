"""The guard before an ASGI application: Starlette, FastAPI, Litestar, Quart, or any other.

Pure ASGI, and independent of lifespan, which some hosts never send. Translates, decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._web.asgi_layers import packages_of
from entra_guard._web.authenticator import RequestAuthenticator, health_answer
from entra_guard._web.cors_check import warn_if_cors_inside
from entra_guard._web.preflight import (
    framework_of,
    is_cors_middleware,
    is_preflight,
    log_refused_preflight,
    send_preflight_response,
)
from entra_guard._web.refusal_log import log_refusal
from entra_guard._web.stream_expiry import POLICY_VIOLATION, run_for
from entra_guard.errors import AccessError
from entra_guard.principal import bind_principal, unbind_principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from typing import Unpack

    from entra_guard._combined_guard import CombinedGuard
    from entra_guard._web.authenticator import AuthenticatorSettings
    from entra_guard.guard import Guard
    from entra_guard.principal import Principal

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Credentials:
    """What Starlette's own `@requires` looks at: 'authenticated', and the scopes of a signed-in user."""

    __slots__ = ("_principal",)

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @property
    def scopes(self) -> list[str]:
        """'authenticated' and the delegated permissions. App roles are asked for with our `requires`."""
        return ["authenticated", *self._principal.scopes]


class GuardMiddleware:
    """Lets requests with a good token reach the application, and answers all others.

    Handlers find the `Principal` as `request.user`, and `current_principal()` works anywhere below.

    Put CORS handling outside of the guard. A CORS preflight is a request without a token and gets 401,
    as any other. One exception: where `app` is Starlette's own CORSMiddleware, that middleware answers
    preflights, and nothing inside of it runs.

    Litestar, Quart and Falcon answer every exception themselves: for `@requires` in them, register a
    handler for `AccessError` that answers with its `status`, `headers` and `body`.

    Args:
        app: The ASGI application.
        guard: Decides.
        settings: What every adapter understands, see `RequestAuthenticator`: `public` paths such as
            ['/healthz', '/static/*']; `roles`, `scopes`, `app_only`, `users_only` for all other routes;
            `close_at_expiry`: None for WebSockets, True for streamed responses too, False for neither.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])  # doctest: +SKIP
    """

    def __init__(
        self, app: App, *, guard: Guard | CombinedGuard, **settings: Unpack[AuthenticatorSettings]
    ) -> None:
        self.app = app
        self._gate = RequestAuthenticator(guard, **settings)
        # Falcon routes the path with the mount point in it (ASGI: root_path), and all others without.
        self._routed_path = _whole_path if "falcon" in packages_of(app) else _routed_path
        warn_if_cors_inside(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan" or self._gate.is_public(self._routed_path(scope)):
            await self.app(scope, receive, send)
            return
        preflight = is_preflight(scope)
        if preflight and is_cors_middleware(self.app):
            await send_preflight_response(self.app, scope, receive, send)
            return
        begun = ""

        def watched(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = message["type"]
            return send(message)

        bound = None
        try:
            principal = await self._gate.authenticate_async(authorization(scope))
            scope["user"] = principal
            scope["auth"] = Credentials(principal)
            bound = bind_principal(principal)
            if self._gate.ends[kind]:
                await run_for(self._gate.guard.seconds_left(principal), self.app, scope, receive, watched)
            else:
                await self.app(scope, receive, watched)
        except AccessError as error:
            if begun not in _REFUSABLE:
                raise
            if preflight:
                log_refused_preflight(framework_of(self.app, scope))
            await refuse(error, scope, send, accepted=bool(begun))
        finally:
            if bound is not None:
                unbind_principal(bound)


_REFUSABLE: Final = frozenset({"", "websocket.accept", "websocket.send"})
"""What may have been sent last, when a refusal comes, for it still to be told to the client."""


def authorization(scope: Mapping[str, Any]) -> list[bytes]:
    """The values of all Authorization headers."""
    return [value for name, value in scope["headers"] if name == b"authorization"]


def _whole_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path


def _routed_path(scope: Scope) -> str:
    """The path below the mount point, as the application's router sees it (ASGI: root_path)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root in {"", "/"}:
        return path
    if path == root:
        return "/"
    if path.startswith(f"{root}/"):
        return path[len(root) :]
    return path if root not in path else _UNCLEAR


_UNCLEAR: Final = "//"
"""A path that is never public, for one in which frameworks do not agree where the mount point is: some
route '/static/api/orders' below '/api' as '/orders', others as it stands."""


async def refuse(error: AccessError, scope: Scope, send: Send, *, accepted: bool = False) -> None:
    """Answer a request that must not pass, and tell the operator why.

    A WebSocket is closed before it is accepted, with the whole answer where the server can send one
    (ASGI: "WebSocket Denial Response"). One that the application has `accepted` is closed with 1008.
    """
    method = scope.get("method", "WEBSOCKET")
    log_refusal(error, method, scope["path"])
    prefix = "http.response"
    if scope["type"] == "websocket":
        if accepted or "websocket.http.response" not in (scope.get("extensions") or ()):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.reason})
            return
        prefix = "websocket.http.response"
    await _answer(send, prefix, error.status, error.headers, error.body, head=method == "HEAD")


async def _answer(
    send: Send, prefix: str, status: int, headers: Mapping[str, str], body: bytes, *, head: bool
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": f"{prefix}.start", "status": status, "headers": raw})
    await send({"type": f"{prefix}.body", "body": b"" if head else body})


def health_app(guard: Guard | CombinedGuard) -> App:
    """Make an ASGI application for readiness probes: 200 or 503, and the guard's health as JSON.

    Route it where the guard lets everybody in. It tells the issuer and the ids of its public keys, and
    what failed last; nothing about callers.

    Example:
        >>> Route("/readyz", health_app(guard))  # doctest: +SKIP
    """
    return _Health(guard)


class _Health:
    """An object and no function: so Starlette's routes take it for an application, and not for a handler."""

    def __init__(self, guard: Guard | CombinedGuard) -> None:
        self._guard = guard

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            status, headers, body = health_answer(self._guard)
            head = scope["method"] == "HEAD"
            await _answer(send, "http.response", status, headers, body, head=head)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
