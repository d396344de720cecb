"""One Entra for the tests that change nothing in it, and the three ways to call a guard."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trio

from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard import Guard, Principal


@pytest.fixture(scope="session")
def entra() -> Iterator[Entra]:
    """An Entra with an Orders API whose role the caller has."""
    with Entra(seed=7, app_roles=["Orders.Read"], scopes=["Orders.Read"]) as entra:
        yield entra


@pytest.fixture(params=["sync", "asyncio", "trio"])
def verify(request: pytest.FixtureRequest) -> Callable[[Guard, str], Principal]:
    """`Guard.verify`, or `Guard.averify` in asyncio or trio."""

    def in_sync(guard: Guard, token: str) -> Principal:
        return guard.verify(token)

    def in_asyncio(guard: Guard, token: str) -> Principal:
        return asyncio.run(guard.averify(token))

    def in_trio(guard: Guard, token: str) -> Principal:
        return trio.run(guard.averify, token)

    return {"sync": in_sync, "asyncio": in_asyncio, "trio": in_trio}[request.param]
