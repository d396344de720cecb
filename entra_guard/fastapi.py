"""FastAPI: the guard as a dependency, and in the OpenAPI document.

`asgi.GuardMiddleware` guards a whole application. `EntraBearer` is for routes, routers and sub-applications
with different guards; `document` lets people sign in with Swagger UI's Authorize button.
"""

# Without `from __future__ import annotations`: FastAPI cannot resolve such annotations on a callable object.
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from entra_guard._common.agent import Agents
from entra_guard._common.arguments import check_flags, known_arguments
from entra_guard._common.permission_names import permission_names
from entra_guard._guard.combined_guard import CombinedGuard
from entra_guard._web.asgi_scope import authorization
from entra_guard._web.authenticator import RequestAuthenticator, check_guard_supports
from entra_guard._web.decisions import AcceptedRequest, is_observed, log_refusal
from entra_guard._web.decorator_order import EndpointCheck, endpoints_of
from entra_guard._web.http_errors import starlette_error
from entra_guard._web.open_routes import begin_without_caller
from entra_guard._web.openapi import add_security, full_name, scheme_of
from entra_guard._web.preflight import is_preflight, log_refused_preflight
from entra_guard._web.public_paths import PublicPaths
from entra_guard._web.route_template import asgi_route
from entra_guard._web.starlette_handler import access_error_handler
from entra_guard.errors import AccessError, ConfigurationError, MissingTokenError, refusal
from entra_guard.guard import Guard
from entra_guard.principal import Principal, acting, bind_no_principal, unbind_principal
from entra_guard.requirement import (
    Requirement,
    alternatives_of,
    check_any,
    mark_required,
    requirements_of,
)

__all__ = ["SCHEME", "EntraBearer", "access_error_handler", "acting_as", "document"]

SCHEME: Final = "EntraBearer"
"""The name of the security scheme in the OpenAPI document."""


class EntraBearer(SecurityBase):
    """A dependency that returns the caller's `Principal`, and refuses requests without a valid token.

    `current_principal()` and `@requires` work in the route. A refusal is an `AccessError` and FastAPI's
    `HTTPException`: an exception handler of the application for either responds in place of the guard.

    It guards the routes that name it and no others: **a route that forgets it is open.** So give it to the
    whole application, `FastAPI(dependencies=[Depends(entra)])`, and name it again where a route needs the
    caller, scopes or roles. Mounted applications, static files and /docs stay open, as FastAPI runs no
    dependencies there. `asgi.GuardMiddleware` guards everything, and also ends WebSockets with their token.
    With both, the second check of a token costs a microsecond.

    Args:
        guard: Verifies the tokens.
        scheme_name: The name of the security scheme in the OpenAPI document; two dependencies with different
            guards need two names.
        description: Shown to readers of the document.
        auto_error: With False a route gets None if the request has no token. A token that is not valid is
            refused, and so is a request without a token if the route requires scopes or roles, also by
            `@requires`.

    Raises:
        ConfigurationError: A setting is not valid. For requests: the `@requires` of a route is above the
            route's own decorator, so that it checks nothing.

    Example:
        >>> bearer = EntraBearer(guard)
        >>> @app.get("/orders")
        ... async def orders(caller: Annotated[Principal, Security(bearer, scopes=["Orders.Read"])]): ...
    """

    @known_arguments()
    def __init__(
        self,
        guard: Guard | CombinedGuard,
        *,
        scheme_name: str = SCHEME,
        description: str = "",
        auto_error: bool = True,
    ) -> None:
        check_flags(auto_error=auto_error)
        self.guard = guard
        self._authenticator = RequestAuthenticator(guard)
        self._check_endpoint = EndpointCheck()
        self.scheme_name = scheme_name
        self.auto_error = auto_error
        self.model: SecurityModel = SecurityModel(**scheme_of(guard, description=description))

    async def __call__(
        self, connection: HTTPConnection, required: SecurityScopes
    ) -> AsyncIterator[Principal | None]:
        """Authenticate a request: FastAPI calls this."""
        try:
            principal = await self._authenticated(connection, must_have_token=bool(required.scopes))
            if principal is None:
                bound = bind_no_principal(connection.scope)
                try:
                    yield None
                finally:
                    unbind_principal(bound)
                return
            begin_without_caller(connection.scope)
            accepted = self._observe(principal, connection.scope) if is_observed() else None
            try:
                with acting(principal, self._to_http_error, connection.scope):
                    if required.scopes:
                        self._check((_requirement(tuple(required.scopes)),), principal, connection)
                    yield principal
            finally:
                if accepted is not None:
                    accepted.finish(asgi_route(connection.scope))
        except BaseException:
            del connection  # this frame stays in the traceback, and a connection shows its headers
            raise

    @known_arguments()
    def requires(
        self,
        *alternatives: Requirement,
        roles: Iterable[str] | str = (),
        scopes: Iterable[str] | str = (),
        app_only: bool = False,
        users_only: bool = False,
        guests: bool = True,
        agents: Agents | None = None,
        auth_context: str = "",
        max_age: float | None = None,
    ) -> Callable[..., Awaitable[Principal]]:
        """Return a dependency that requires roles, scopes or more, like `entra_guard.requires`.

        A request without a token is refused, also with `auto_error=False`.

        Raises:
            ConfigurationError: Nothing is required, or no caller could meet it.

        Example:
            >>> bearer = EntraBearer(guard)
            >>> @app.delete("/orders", dependencies=[Depends(bearer.requires(roles=["Orders.Delete"]))])
            ... async def delete_orders(): ...
        """
        needed = alternatives_of(
            alternatives,
            roles=roles,
            scopes=scopes,
            app_only=app_only,
            users_only=users_only,
            guests=guests,
            agents=agents,
            auth_context=auth_context,
            max_age=max_age,
        )
        for each in needed:
            check_guard_supports(self.guard, each)
        shown = list(needed[0].scopes) if len(needed) == 1 else []

        async def permitted(
            connection: HTTPConnection,
            principal: Principal | None = Security(self, scopes=shown),  # noqa: B008  # FastAPI's way
        ) -> Principal:
            try:
                if principal is None:
                    raise self._refusal(refusal("missing_token"), connection)  # noqa: TRY301
                self._check(needed, principal, connection)
            except BaseException:
                del connection
                raise
            return principal

        mark_required(permitted, needed)
        return permitted

    def _observe(self, principal: Principal, scope: MutableMapping[str, Any]) -> AcceptedRequest:
        method, with_user = scope.get("method", "WEBSOCKET"), self.guard.trace_users
        return AcceptedRequest(principal, scope, method, scope["path"], with_user=with_user)

    async def _authenticated(self, connection: HTTPConnection, *, must_have_token: bool) -> Principal | None:
        scope = connection.scope
        try:
            app = scope.get("app")
            self._check_endpoint(scope.get("endpoint"), lambda: endpoints_of(app))
            return await self._authenticator.authenticate_async(authorization(scope))
        except AccessError as error:
            refused = error
        except BaseException:
            del connection, scope
            raise
        # A route with `@requires` needs a caller, so a missing token is refused before the route runs.
        is_optional = not (self.auto_error or must_have_token or requirements_of(scope.get("endpoint")))
        if isinstance(refused, MissingTokenError) and is_optional:
            return None
        refused = self._refusal(refused, connection)
        del connection, scope
        raise refused

    def _check(
        self, needed: tuple[Requirement, ...], principal: Principal, connection: HTTPConnection
    ) -> None:
        try:
            check_any(needed, principal)
        except AccessError as error:
            refused = error
        else:
            return
        refused = self._refusal(refused, connection)
        del connection
        raise refused

    def _to_http_error(self, error: AccessError, scope: MutableMapping[str, Any]) -> AccessError:
        return self._authenticator.linked(starlette_error(error, scope))

    def _refusal(self, error: AccessError, connection: HTTPConnection) -> AccessError:
        """Log a refusal and return it as FastAPI's HTTPException."""
        scope = connection.scope
        self._authenticator.linked(error)
        log_refusal(error, scope.get("method", "WEBSOCKET"), scope["path"], scope, asgi_route(scope))
        if is_preflight(scope):
            log_refused_preflight("fastapi")
        return starlette_error(error, scope)


@lru_cache(maxsize=1024)
def _requirement(scopes: tuple[str, ...]) -> Requirement:
    return Requirement(scopes=scopes)


def acting_as(principal: Principal) -> Callable[..., AsyncIterator[Principal]]:
    """Return a replacement for an `EntraBearer` in tests, with a caller that needs no token.

    Required scopes, `@requires` and `current_principal()` work as for a caller with a token.

    Args:
        principal: The caller, such as `entra.principal(roles=[...], user="alice")` of the pytest plugin.

    Example:
        >>> bearer = EntraBearer(guard)
        >>> app.dependency_overrides[bearer] = acting_as(principal)
    """

    async def replacement(connection: HTTPConnection, required: SecurityScopes) -> AsyncIterator[Principal]:
        with acting(principal, starlette_error, connection.scope):
            if required.scopes:
                _requirement(tuple(required.scopes)).check(principal)
            yield principal

    return replacement


@known_arguments()
def document(
    app: FastAPI,
    guard: Guard | CombinedGuard,
    *,
    client_id: str = "",
    scopes: Iterable[str] = (),
    public: Iterable[str] | None = None,
    scheme_name: str = SCHEME,
) -> None:
    """Add the guard to the application's OpenAPI document, and let people sign in with Swagger UI.

    Routes with `EntraBearer` get the full names of their scopes. With the middleware, all operations that
    are not public are marked as needing a token.

    Args:
        app: The application.
        guard: Its guard.
        client_id: The app registration that Swagger UI signs in with: platform "single-page application",
            redirect URI '<the API>/docs/oauth2-redirect', and permission for the scopes.
        scopes: Scopes to offer in addition to those that routes require, named as in tokens.
        public: With the middleware: its public paths, [] if there are none. For the page itself these are
            '/docs', '/docs/oauth2-redirect' and '/openapi.json'.
        scheme_name: The name of the scheme in the document.

    Raises:
        ConfigurationError: A public path is not valid.

    Example:
        >>> public = ["/docs", "/docs/oauth2-redirect", "/openapi.json"]
        >>> app.add_middleware(GuardMiddleware, guard=guard, public=public)
        >>> document(app, guard, client_id="11112222-bbbb-3333-cccc-4444dddd5555", public=public)
    """
    if not isinstance(app, FastAPI):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"app must be a FastAPI application, got {type(app).__name__}: document(app, guard)"
        )
    offered, is_public = permission_names("scopes", scopes), PublicPaths(public or ()).cover
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
