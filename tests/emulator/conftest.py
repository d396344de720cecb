"""An emulator with an API and a daemon that may call it, and a client without sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulator_office import Ask, Office

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator


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
def store(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, Ask]]:
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
