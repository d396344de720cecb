"""An Entra with an API and a caller, and every way to send requests to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from reused_keys import _keys_are_reused  # noqa: F401

from entra_guard.emulator import Emulator
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator_requests import Get


@pytest.fixture
def entra() -> Iterator[Entra]:
    with Entra(seed=7, app_roles=["Orders.Read", "Orders.Write"]) as entra, entra.http_client:
        yield entra


@pytest.fixture(params=["in-process, sync", "in-process, async", "sockets"])
def any_transport(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, Get]]:
    """An emulator and a function that sends GET requests to it, for every transport."""
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
