"""Fixtures for credentials: an Entra with its own clock, and one function for sync, asyncio and trio."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from outbound_entra import Get, OutboundEntra
from reused_keys import _keys_are_reused  # noqa: F401
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.credentials import AccessToken, Credential


@pytest.fixture
def entra() -> Iterator[OutboundEntra]:
    entra = OutboundEntra()
    with entra.http_client:
        yield entra
        wait_until(_no_worker_runs)  # a background request must not log during the next test


def _no_worker_runs() -> bool:
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
    """Get a token from a credential: synchronously, on asyncio and on trio."""
    return request.param
