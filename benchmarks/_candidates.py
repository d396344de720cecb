"""Six ways to guard an API, each set up as its own documentation does, before one small application.

Nothing here is tuned: settings are the defaults. For each, time can be moved forward: a cache
expires after an hour.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_azure_auth import SingleTenantAzureAuthorizationCodeBearer
from fastmcp.server.auth.providers.jwt import JWTVerifier
from jwks_client import JWKSClient
from jwks_client import JWTVerifier as JWKSVerifier
from jwks_client.fastapi import JWKSBearer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from entra_guard import Guard
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from entra_guard.emulator import AppRegistration, Emulator

MINUTE, HOUR = 60.0, 3600.0
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


class Candidate:
    """One of the six: an application, a way to let time pass, and how long its keys live."""

    name = ""
    expires_after = 0.0
    app: ASGIApp

    def __init__(self, entra: Emulator, api: AppRegistration) -> None:
        self.issuer = f"{entra.url}/{entra.tenant_id}/v2.0"
        self.keys_url = f"{entra.url}/{entra.tenant_id}/discovery/v2.0/keys"
        self.audience = api.client_id
        self.build(entra)

    def build(self, entra: Emulator) -> None:
        raise NotImplementedError

    def age(self, seconds: float) -> None:
        """Let time pass, in seconds."""
        raise NotImplementedError


class Ours(Candidate):
    name = "entra_guard"
    expires_after = 1.2 * HOUR

    def build(self, entra: Emulator) -> None:
        self.passed = 0.0
        self.guard = Guard(
            tenant=entra.tenant_id,
            audience=self.audience,
            authority=entra.url,
            monotonic=lambda: time.monotonic() + self.passed,
        )
        inner = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("hello"))])
        self.app = GuardMiddleware(inner, guard=self.guard)

    def age(self, seconds: float) -> None:
        self.passed += seconds


def before_fastapi(dependency: Callable[..., Any]) -> FastAPI:
    app = FastAPI()

    @app.get("/", dependencies=[dependency])
    async def hello() -> str:
        return "hello"

    return app


class PyJwkClient(Candidate):
    """`PyJWKClient` in a `def` dependency, which FastAPI runs on a thread: the careful way."""

    name = "PyJWKClient"
    expires_after = 301.0

    def build(self, entra: Emulator) -> None:
        del entra
        self.client = jwt.PyJWKClient(self.keys_url)
        self.app = before_fastapi(Depends(self.dependency()))

    def dependency(self) -> Callable[..., Any]:
        def check(bearer: Bearer) -> None:
            self.decode(bearer.credentials)

        return check

    def decode(self, token: str) -> None:
        try:
            key = self.client.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["RS256"], audience=self.audience, issuer=self.issuer)
        except jwt.PyJWTError as error:
            raise HTTPException(401, str(error)) from error

    def age(self, seconds: float) -> None:
        cached = self.client.jwk_set_cache.jwk_set_with_timestamp
        if cached is not None:
            cached.timestamp -= seconds
        if self.client._last_successful_fetch is not None:
            self.client._last_successful_fetch -= seconds


class PyJwkClientInline(PyJwkClient):
    """The same in an `async def` dependency, as many tutorials have it."""

    name = "PyJWKClient, async def"

    def dependency(self) -> Callable[..., Any]:
        async def check(bearer: Bearer) -> None:
            self.decode(bearer.credentials)

        return check


class FastApiAzureAuth(Candidate):
    name = "fastapi-azure-auth"
    expires_after = 24 * HOUR + 1

    def build(self, entra: Emulator) -> None:
        scheme = SingleTenantAzureAuthorizationCodeBearer(self.audience, entra.tenant_id)
        scheme.openid_config.config_url = f"{self.issuer}/.well-known/openid-configuration"
        self.configuration = scheme.openid_config
        self.app = before_fastapi(Security(scheme))

    def age(self, seconds: float) -> None:
        if self.configuration._config_timestamp is not None:
            self.configuration._config_timestamp -= timedelta(seconds=seconds)


class FastMcp(Candidate):
    name = "FastMCP JWTVerifier"
    expires_after = HOUR + 1

    def build(self, entra: Emulator) -> None:
        del entra
        self.verifier = JWTVerifier(jwks_uri=self.keys_url, issuer=self.issuer, audience=self.audience)

        async def check(bearer: Bearer) -> None:
            if await self.verifier.verify_token(bearer.credentials) is None:
                raise HTTPException(401)  # what MCP's BearerAuthBackend makes of it

        self.app = before_fastapi(Depends(check))

    def age(self, seconds: float) -> None:
        self.verifier._jwks_cache_time -= seconds
        if self.verifier._jwks_last_refresh_attempt is not None:
            self.verifier._jwks_last_refresh_attempt -= seconds


class JwksClientPackage(Candidate):
    name = "jwks-client"
    expires_after = 301.0

    def build(self, entra: Emulator) -> None:
        del entra
        self.passed = 0.0
        client = JWKSClient(self.keys_url, clock=lambda: time.monotonic() + self.passed)
        verifier = JWKSVerifier(client, algorithms=["RS256"], audience=self.audience, issuer=self.issuer)
        bearer = JWKSBearer(verifier)

        async def check(request: Request) -> None:
            await bearer(request)

        self.app = before_fastapi(Depends(check))

    def age(self, seconds: float) -> None:
        self.passed += seconds


CANDIDATES: tuple[type[Candidate], ...] = (
    Ours,
    PyJwkClient,
    PyJwkClientInline,
    FastApiAzureAuth,
    FastMcp,
    JwksClientPackage,
)
