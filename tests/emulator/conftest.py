"""An emulator with an API and a daemon that may call it, and a client without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest

from entra_guard.emulator import AppRegistration, Emulator, Secret

Ask = Callable[..., httpx.Response]


@dataclass(frozen=True)
class Office:
    """What most tests start from."""

    entra: Emulator
    api: AppRegistration
    daemon: AppRegistration
    secret: Secret
    web: httpx.Client

    def ask(
        self, *, tenant: str | None = None, path: str = "oauth2/v2.0/token", **form: Any
    ) -> httpx.Response:
        """A client credentials request, with fields changed; None leaves one out."""
        usual = {
            "grant_type": "client_credentials",
            "client_id": self.daemon.client_id,
            "client_secret": self.secret.value,
            "scope": self.api.default_scope,
        }
        fields = {name: value for name, value in {**usual, **form}.items() if value is not None}
        return self.web.post(f"/{tenant or self.entra.tenant_id}/{path}", data=fields)

    def published(self, tenant: str = "common") -> dict[str, jwt.PyJWK]:
        document = self.web.get(f"/{tenant}/discovery/v2.0/keys").json()
        return {key["kid"]: jwt.PyJWK({**key, "alg": "RS256"}) for key in document["keys"]}

    def verified(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """The claims, as PyJWT sees them with the published keys."""
        key = self.published()[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience or self.api.client_id)


@pytest.fixture
def entra() -> Emulator:
    return Emulator(seed=7)


@pytest.fixture
def office(entra: Emulator) -> Iterator[Office]:
    api = entra.register_app("Orders", app_roles=["Orders.Read", "Orders.Write"], scopes=["access_as_user"])
    daemon = entra.register_app("Daemon", identifier_uris=())
    entra.grant(daemon, api, "Orders.Read")
    with httpx.Client(transport=entra.transport, base_url=entra.url) as web:
        yield Office(entra, api, daemon, entra.add_secret(daemon), web)


@pytest.fixture(params=["in-process, sync", "in-process, async", "sockets"])
def world(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, Ask]]:
    """An emulator and a way to GET from it, in every way there is."""
    emulator = Emulator()
    if request.param == "sockets":
        with emulator, httpx.Client(base_url=emulator.url) as web:
            yield emulator, web.get
        return

    async def get(path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=emulator.transport, base_url=emulator.url) as web:
            return await web.get(path, **options)

    if "async" in request.param:
        yield emulator, lambda path, **options: asyncio.run(get(path, **options))
        return
    with httpx.Client(transport=emulator.transport, base_url=emulator.url) as web:
        yield emulator, web.get
