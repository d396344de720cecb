"""What is fetched for one issuer, and from where. Fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._keys.authority import Authority


@dataclass(frozen=True, slots=True)
class Source:
    """Whose keys to fetch, and for which token versions.

    Attributes:
        authority: Where they are.
        tenant: A tenant id, a domain or an alias.
        versions: Of the accepted tokens.
        app_id: The application whose own keys are meant; empty for the tenant's keys.
    """

    authority: Authority
    tenant: str
    versions: frozenset[str]
    app_id: str = ""

    @property
    def configuration_urls(self) -> Mapping[str, str]:
        """The URL of the OpenID configuration of each token version."""
        return self.authority.configuration_urls(self.tenant, self.versions, self.app_id)


@dataclass(frozen=True, slots=True)
class Documents:
    """The authority's documents as they were received: what a keys file holds.

    Attributes:
        v2: The configuration for v2.0 tokens.
        v1: The configuration for v1.0 tokens, if these are accepted.
        keys: The key set.
        date: The authority's own time in the last response, in seconds since the epoch.
    """

    v2: Mapping[str, Any]
    v1: Mapping[str, Any] | None
    keys: Mapping[str, Any]
    date: float | None = None
