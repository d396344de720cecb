"""The guard as a FastAPI dependency, and in FastAPI's OpenAPI document. Translates, decides nothing.

For a whole application `asgi.GuardMiddleware` is enough. `EntraBearer` is for routes, routers and
sub-applications with policies of their own; `document` makes Swagger UI's Authorize button log in.
"""

# No annotations from the future here: FastAPI cannot resolve them on an object that is called.
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI, Request, Response, Security, WebSocket
from fastapi.exceptions import HTTPException
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketState

from entra_guard._combined_guard import CombinedGuard
from entra_guard._web.authenticator import RequestAuthenticator
from entra_guard._web.openapi import add_security, full_name, scheme_of
from entra_guard._web.preflight import is_preflight, log_refused_preflight
from entra_guard._web.public_paths import PublicPaths
from entra_guard._web.refusal_log import log_refusal
from entra_guard._web.stream_expiry import POLICY_VIOLATION
from entra_guard.asgi import authorization, refuse
from entra_guard.errors import AccessError, KeysUnavailableError
from entra_guard.guard import Guard
from entra_guard.principal import Principal, acting
from entra_guard.requirement import Requirement, alternatives_of, check_any

SCHEME: Final = "EntraBearer"
"""The name of the security scheme in the OpenAPI document."""

# Where Starlette keeps the exception handlers of the (sub-)application that handles a request.
_HANDLERS: Final = "starlette.exception_handlers"


class EntraBearer(SecurityBase):
    """A dependency that gives the caller's `Principal`, and refuses whoever must not pass.

    Inside of it `current_principal()` and `@requires` work, too. Refusals are `AccessError`s: an
    exception handler of the application's own answers in place of ours.

    It stands before the routes that it is given to, by `dependencies=` to all of an application or a
    router; but as FastAPI has it, not before mounted applications, static files or /docs. The middleware
    stands before everything; it also ends WebSockets with their token. Both together are no waste: the
    second look at a token costs a microsecond.

    Args:
        guard: Decides.
        scheme_name: Its name in the OpenAPI document; two of one application need two names.
        description: For readers of the document.
        auto_error: False gives None in place of a refusal, for routes that serve anybody. An outage is
            still answered with 503: it says nothing about the caller.

    Example:
        >>> entra = EntraBearer(guard)  # doctest: +SKIP
        >>> @app.get("/orders")  # doctest: +SKIP
        ... async def orders(caller: Annotated[Principal, Security(entra, scopes=["Orders.Read"])]): ...
    """

    def __init__(
        self,
        guard: Guard | CombinedGuard,
        *,
        scheme_name: str = SCHEME,
        description: str = "",
        auto_error: bool = True,
    ) -> None:
        self.guard = guard
        self._gate = RequestAuthenticator(guard)
        self.scheme_name = scheme_name
        self.auto_error = auto_error
        self.model = SecurityModel(**scheme_of(guard, description=description))

    async def __call__(
        self, connection: HTTPConnection, asked: SecurityScopes
    ) -> AsyncIterator[Principal | None]:
        """Decide about a request, for FastAPI."""
        principal = await self._admitted(connection, tuple(asked.scopes))
        if principal is None:
            yield None
            return
        with acting(principal):
            yield principal

    def requires(
        self,
        *alternatives: Requirement,
        roles: Iterable[str] | str = (),
        scopes: Iterable[str] | str = (),
        app_only: bool = False,
        users_only: bool = False,
    ) -> Callable[..., Awaitable[Principal | None]]:
        """Make a dependency that asks more of the caller: as `entra_guard.requires` does.

        With `auto_error=False` it gives None in place of a refusal: then look at what it gives.

        Raises:
            ConfigurationError: Nothing is asked for, or nobody could meet it.

        Example:
            >>> @app.delete("/orders", dependencies=[Depends(entra.requires(roles=["Orders.Delete"]))])
            ... async def delete_orders(): ...  # doctest: +SKIP
        """
        needed = alternatives_of(
            alternatives, roles=roles, scopes=scopes, app_only=app_only, users_only=users_only
        )
        shown = list(needed[0].scopes) if len(needed) == 1 else []

        async def permitted(
            connection: HTTPConnection,
            principal: Principal | None = Security(self, scopes=shown),  # noqa: B008  # FastAPI's way
        ) -> Principal | None:
            try:
                if principal is not None:
                    check_any(needed, principal)
            except AccessError as error:
                self._refused(error, connection)
                return None
            return principal

        return permitted

    async def _admitted(self, connection: HTTPConnection, scopes: tuple[str, ...]) -> Principal | None:
        _see_to_answers(connection)  # now, as `@requires` may refuse further in
        try:
            principal = await self._gate.authenticate_async(authorization(connection.scope))
            if scopes:
                _requirement(scopes).check(principal)
        except AccessError as error:
            self._refused(error, connection)
            return None
        return principal

    def _refused(self, error: AccessError, connection: HTTPConnection) -> None:
        """Raise the refusal, and see to it that it is answered; or let the route serve anybody."""
        scope = connection.scope
        log_refusal(error, scope.get("method", "WEBSOCKET"), scope["path"])
        if is_preflight(scope):
            log_refused_preflight("fastapi")
        if not self.auto_error and not isinstance(error, KeysUnavailableError):
            return
        if not _see_to_answers(connection):
            raise HTTPException(error.status, error.reason, error.headers) from error
        raise error


def _see_to_answers(connection: HTTPConnection) -> bool:
    """Have refusals answered by the application at hand, where it has no handler for them; tell if it is."""
    handlers = connection.scope.get(_HANDLERS)
    if handlers and handlers[0].keys().isdisjoint(AccessError.__mro__):
        handlers[0][AccessError] = answer
    return bool(handlers)


@lru_cache(maxsize=1024)
def _requirement(scopes: tuple[str, ...]) -> Requirement:
    return Requirement(scopes=scopes)


def acting_as(principal: Principal) -> Callable[..., AsyncIterator[Principal]]:
    """Make a stand-in for an `EntraBearer` that knows its caller without a token: for tests.

    The scopes that routes ask for, `@requires` and `current_principal()` hold as for a caller with a token.

    Args:
        principal: Who is calling: `entra.principal(roles=[...], user="alice")` with the pytest plugin.

    Example:
        >>> app.dependency_overrides[bearer] = acting_as(principal)  # doctest: +SKIP
    """

    async def stand_in(connection: HTTPConnection, asked: SecurityScopes) -> AsyncIterator[Principal]:
        _see_to_answers(connection)
        if asked.scopes:
            _requirement(tuple(asked.scopes)).check(principal)
        with acting(principal):
            yield principal

    return stand_in


async def answer(connection: Request | WebSocket, error: AccessError) -> Response | None:
    """Answer a refusal: an exception handler, which `EntraBearer` adds where the application has none.

    Example:
        >>> app = FastAPI(exception_handlers={AccessError: answer})  # doctest: +SKIP
    """
    if isinstance(connection, Request):
        log_refusal(error, connection.method, connection.scope["path"])
        body = b"" if connection.method == "HEAD" else error.body
        return Response(body, error.status, error.headers)
    if connection.application_state is WebSocketState.CONNECTING:
        await refuse(error, connection.scope, connection.send)
    else:
        await connection.close(POLICY_VIOLATION, error.reason)
    return None


def document(
    app: FastAPI,
    guard: Guard | CombinedGuard,
    *,
    client_id: str = "",
    scopes: Iterable[str] = (),
    public: Iterable[str] | None = None,
    scheme_name: str = SCHEME,
) -> None:
    """Write what the guard asks into the application's OpenAPI, and let Swagger UI log in.

    With `EntraBearer`, the scopes of its routes are given their full names. With the middleware, every
    operation that is not public is shown to need a token.

    Args:
        app: The application.
        guard: Its guard.
        client_id: The app registration with which Swagger UI logs in: platform "single-page
            application", redirect URI '<the API>/docs/oauth2-redirect', and permission for the scopes.
        scopes: Scopes to offer beside those that routes ask for, named as in tokens.
        public: Where the middleware guards the application: its public paths, [] if there are none.
            For the page itself: '/docs', '/docs/oauth2-redirect' and '/openapi.json'.
        scheme_name: The name of the scheme in the document.

    Raises:
        ConfigurationError: A public path that could never match.

    Example:
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=PUBLIC)  # doctest: +SKIP
        >>> document(app, guard, client_id="<client id>", public=PUBLIC)  # doctest: +SKIP
    """
    offered, is_public = tuple(scopes), PublicPaths(public or ()).cover
    bare = app.openapi

    def openapi() -> dict[str, Any]:
        return add_security(
            bare(), guard, scheme_name, scopes=offered, is_public=is_public, everywhere=public is not None
        )

    app.openapi = openapi  # type: ignore[method-assign]
    if client_id:
        app.swagger_ui_init_oauth = {
            "clientId": client_id,
            "usePkceWithAuthorizationCodeGrant": True,
            "scopes": " ".join(full_name(guard, scope) for scope in offered),
        }
