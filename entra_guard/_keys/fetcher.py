"""Fetcher: fetches the keys of one issuer with its HTTP client, and counts each round."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from entra_guard._common.telemetry import TELEMETRY
from entra_guard._keys.fetch import fetch
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from entra_guard._common.lazy_client import LazyClient
    from entra_guard._keys.documents import Documents, Source
    from entra_guard._keys.refresh_policy import RefreshRound
    from entra_guard._keys.state import KeyCacheState, Snapshot


class Fetcher:
    """Knows which documents are used now: a round that needs no configuration reads the keys only.

    Args:
        source: Whose keys.
        client: Fetches them.

    Attributes:
        client: The HTTP client.
        adopted: The documents that are used; None before the first.
    """

    def __init__(self, source: Source, client: LazyClient) -> None:
        self.client = client
        self.adopted: Documents | None = None
        self._source = source

    def warm_up(self) -> None:
        """Make the HTTP client of this process, which a round needs first; `fetch` reports its errors."""
        with suppress(ConfigurationError):
            self.client.warm_up()

    def issuer_name(self) -> str:
        """Return the configured issuer: its authority and tenant."""
        return f"{self._source.authority.url}/{self._source.tenant}".rstrip("/")

    def fetch(
        self, state: KeyCacheState, round_: RefreshRound | None, now: float
    ) -> tuple[Snapshot, Documents]:
        """Fetch what is needed, in a span that says why, and return it if it is acceptable.

        Args:
            state: What is cached.
            round_: The round; None for one that no token caused.
            now: Monotonic seconds.

        Raises:
            FetchError: There was no response, or one that must not be used.
        """
        request, issuer = None if round_ is None else round_.request, self.issuer_name()
        trigger = "no_keys" if state.snapshot is None else "scheduled"
        if request is not None:
            trigger = request.cause.value.replace(" ", "_")
        attributes = {
            "entra_guard.issuer": issuer,
            "entra_guard.trigger": trigger,
            "server.address": urlsplit(self._source.authority.url).hostname or "",
        }
        with TELEMETRY.operation(
            "entra_guard.keys.refresh",
            attributes,
            lambda metrics, error: metrics.refreshed(issuer, trigger, error),
        ):
            return fetch(
                self.client(),
                self._source,
                old=state.snapshot,
                known=None if state.needs_configuration(now) else self.adopted,
                now=now,
                tries=1 if state.failing else 2,
            )
