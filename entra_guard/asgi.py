"""The guard before an ASGI application: Starlette, FastAPI, Litestar, Quart, or any other.

Pure ASGI, and independent of lifespan, which some hosts never send. Translates, decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._request import PublicPaths, bearer_token, log_refusal, requirement_of
from entra_guard.errors import AccessError
from entra_guard.principal import bind_principal, unbind_principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from entra_guard.guard import Guard
    from entra_guard.principal import Principal

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION: Final = 1008


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

    Args:
        app: The ASGI application.
        guard: Decides.
        public: Paths that need no token, such as ['/healthz', '/static/*'].
        roles: App roles that every other route asks for, all of them.
        scopes: Delegated permissions that every other route asks for.
        app_only: Let applications pass, and no users.
        users_only: Let users pass, and no applications.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])  # doctest: +SKIP
    """

    def __init__(
        self,
        app: App,
        *,
        guard: Guard,
        public: Iterable[str] = (),
        roles: Iterable[str] | str = (),
        scopes: Iterable[str] | str = (),
        app_only: bool = False,
        users_only: bool = False,
    ) -> None:
        self.app = app
        self.guard = guard
        self._public = PublicPaths(public)
        self._requirement = requirement_of(roles, scopes, app_only=app_only, users_only=users_only)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope):
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        bound = None
        try:
            principal = await self._admit(scope)
            bound = bind_principal(principal)
            await self.app(scope, receive, watched)
        except AccessError as error:
            if started:
                raise
            await _refuse(error, scope, send)
        finally:
            if bound is not None:
                unbind_principal(bound)

    async def _admit(self, scope: Scope) -> Principal:
        token = bearer_token([value for name, value in scope["headers"] if name == b"authorization"])
        principal = await self.guard.averify(token)
        if self._requirement is not None:
            self._requirement.check(principal)
        scope["user"] = principal
        scope["auth"] = Credentials(principal)
        return principal

    def _is_open(self, scope: Scope) -> bool:
        return self._public.cover(_routed_path(scope)) or _is_preflight(scope)


def _routed_path(scope: Scope) -> str:
    """The path below the mount point, as the application's router sees it (ASGI: root_path)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path


def _is_preflight(scope: Scope) -> bool:
    """A CORS preflight, which carries no credentials by design (Fetch standard, section 3.2)."""
    if scope.get("method") != "OPTIONS":
        return False
    names = {name for name, _value in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names


async def _refuse(error: AccessError, scope: Scope, send: Send) -> None:
    method = scope.get("method", "WEBSOCKET")
    log_refusal(error, method, scope["path"])
    prefix = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})
            return
        prefix = "websocket.http.response"
    body = b"" if method == "HEAD" else error.body
    headers = [(name.encode(), value.encode("latin-1")) for name, value in error.headers.items()]
    headers.append((b"content-length", str(len(error.body)).encode()))
    await send({"type": f"{prefix}.start", "status": error.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})
