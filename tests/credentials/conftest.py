"""Fixtures for credentials: an office in its own time, and both worlds through one name."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from outbound_office import Clock, Get, Office, until

from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.credentials import AccessToken, Credential


@pytest.fixture
def office() -> Iterator[Office]:
    clock = Clock()
    entra = Emulator(clock=clock)
    api = entra.register_app("Orders", app_roles=["Orders.Read"], scopes=["access_as_user"])
    daemon = entra.register_app("Daemon")
    entra.grant(daemon, api, "Orders.Read")
    with httpx.Client(transport=entra.transport) as web:
        yield Office(entra, clock, Clock(0.0), api, daemon, entra.add_secret(daemon), web)
        until(_nothing_runs)  # what a test leaves in the background must not log in the next one


def _nothing_runs() -> bool:
    return not any(thread.name == "entra_guard worker" for thread in threading.enumerate())


def _sync(credential: Credential, *scopes: str, **options: Any) -> AccessToken:
    return credential.get_token(*scopes, **options)


def _asyncio(credential: Credential, *scopes: str, **options: Any) -> AccessToken:
    return asyncio.run(credential.aget_token(*scopes, **options))


def _trio(credential: Credential, *scopes: str, **options: Any) -> AccessToken:
    async def get() -> AccessToken:
        return await credential.aget_token(*scopes, **options)

    return trio.run(get)


@pytest.fixture(params=[_sync, _asyncio, _trio], ids=["sync", "asyncio", "trio"])
def get(request: pytest.FixtureRequest) -> Get:
    """Gets a token from a credential, in each world."""
    return request.param
