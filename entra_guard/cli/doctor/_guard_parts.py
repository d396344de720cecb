"""The parts of a guard that the probes use: whose keys it needs, and the client that fetches them."""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from entra_guard._common.client import Transport
from entra_guard.graph import GroupResolver

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from entra_guard._common.proxies import ProxyRoute
    from entra_guard._keys.documents import Source
    from entra_guard.credentials._base import BaseCredential
    from entra_guard.guard import Guard


@dataclass(frozen=True, slots=True)
class GuardParts:
    """What a guard fetches keys with.

    Attributes:
        source: Whose keys.
        audiences: What the guard accepts as audience.
        client: The HTTP client.
        own_client: Whether the user gave the client.
        keys_file: Where the keys are on disk; None if they are not.
        max_stale: The age in seconds up to which keys serve.
        clock: Returns seconds since the epoch.
    """

    source: Source
    audiences: frozenset[str]
    client: httpx.Client
    own_client: bool
    keys_file: Path | None
    max_stale: float
    clock: Callable[[], float]


def parts_of(guard: Guard) -> GuardParts:
    """Return the parts of a guard."""
    manager = guard._key_manager
    return GuardParts(
        manager.source,
        guard.policy.audiences,
        manager.fetcher.client(),
        manager.fetcher.client._given is not None,
        manager._file._path if manager._file else None,
        manager.settings.max_stale,
        guard._clock,
    )


def groups_credential(guard: Guard | None) -> BaseCredential | None:
    """Return the credential by which a guard resolves groups; None if it resolves none."""
    groups = guard._caller_checks.groups if guard is not None else None
    return groups._graph._auth._credential if isinstance(groups, GroupResolver) else None


def route_of(client: httpx.Client, url: str) -> tuple[ProxyRoute | None, ssl.SSLContext | None]:
    """Return the proxy and the SSL context that one of our own clients uses for a URL."""
    transport = client._transport_for_url(httpx.URL(url))
    if not isinstance(transport, Transport):
        return None, None
    return transport._proxy, transport._pool._ssl_context
