"""One round of fetching an issuer's keys: configuration, then keys, accepted or refused. Keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard._common.http import get_json
from entra_guard._keys.discovery import ConfigurationRefusedError, read_configuration
from entra_guard._keys.state import Snapshot
from entra_guard._validation.jwks import KeysRefusedError, read_keys
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from entra_guard._common.http import Answer
    from entra_guard._keys.authority import Authority
    from entra_guard._validation.issuer import Issuer

_CONFIGURATION_LIMIT: Final = 64 * 1024
_KEYS_LIMIT: Final = 256 * 1024
_WORTH_RETRYING: Final = frozenset({"connect", "http"})
"""Not a time-out: who waits would wait twice, and the next round is at most a second away."""


@dataclass(frozen=True, slots=True)
class Source:
    """What to fetch: whose keys, and for which token versions."""

    authority: Authority
    tenant: str
    versions: frozenset[str]

    @property
    def configuration_urls(self) -> Mapping[str, str]:
        """Where the OpenID configuration of each token version is."""
        return self.authority.configuration_urls(self.tenant, self.versions)


@dataclass(frozen=True, slots=True)
class Documents:
    """The authority's documents as they came: what a snapshot file keeps."""

    v2: Mapping[str, Any]
    v1: Mapping[str, Any] | None
    keys: Mapping[str, Any]
    date: float | None = None
    """The authority's own time with the last answer, in seconds since the epoch."""


def fetch(
    client: httpx.Client,
    source: Source,
    *,
    old: Snapshot | None,
    known: Documents | None,
    now: float,
    tries: int = 2,
) -> tuple[Snapshot, Documents]:
    """Fetch what is needed and accept it.

    Args:
        client: Whatever client the user chose.
        source: What to fetch.
        old: What is at hand, for keys that did not change and for the pinned issuer.
        known: Documents whose configuration still serves; None to read it anew.
        now: Monotonic seconds.
        tries: How often a document is asked for where the exchange breaks; no more than once where the
            round before has failed too, or a fleet would double what reaches a service in trouble.

    Raises:
        FetchError: No answer, or one that must not be used (step "content").
    """
    v2, v1 = (known.v2, known.v1) if known else _configuration(client, source, tries)
    # Before the URL is asked: a foreign one gets no request.
    _issuer, keys_url = _issuer_of(source, v2, v1, old)
    answer = _get(client, keys_url, _KEYS_LIMIT, tries)
    documents = Documents(v2, v1, answer.document, answer.date)
    configured_at = old.configured_at if known and old else now
    return accept(documents, source, old=old, now=now, configured_at=configured_at), documents


def accept(
    documents: Documents, source: Source, *, old: Snapshot | None, now: float, configured_at: float
) -> Snapshot:
    """Turn documents into a snapshot, or refuse them: the same test for network and file.

    Raises:
        FetchError: At step "content": what is at hand must stay.
    """
    issuer, keys_url = _issuer_of(source, documents.v2, documents.v1, old)
    try:
        with FORK_LOCK:  # OpenSSL parses them
            keys = read_keys(documents.keys, issuer, known=old.keys if old else None)
    except KeysRefusedError as error:
        raise FetchError("content", keys_url, f"the key set was refused: {error}") from None
    return Snapshot(issuer, keys_url, keys, fetched_at=now, configured_at=configured_at)


def _issuer_of(
    source: Source, v2: Mapping[str, Any], v1: Mapping[str, Any] | None, old: Snapshot | None
) -> tuple[Issuer, str]:
    """The issuer and key URL of a configuration, which must be the pinned issuer's."""
    try:
        issuer, keys_url = read_configuration(source.authority, source.tenant, v2, v1)
        pinned = old.pinned if old else None
        if pinned is not None and issuer != pinned:
            raise ConfigurationRefusedError(f"its issuer {issuer.v2!r} is not the pinned {pinned.v2!r}")  # noqa: TRY301
    except ConfigurationRefusedError as error:
        url = source.configuration_urls["2.0"]
        raise FetchError("content", url, f"the configuration was refused: {error}") from None
    return issuer, keys_url


def _configuration(
    client: httpx.Client, source: Source, tries: int
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    documents = {
        version: _get(client, url, _CONFIGURATION_LIMIT, tries).document
        for version, url in source.configuration_urls.items()
    }
    return documents["2.0"], documents.get("1.0")


def _get(client: httpx.Client, url: str, limit: int, tries: int) -> Answer:
    """Get a document, with one more try at once where it can help; a server that asks for time gets it."""
    try:
        return get_json(client, url, limit=limit)
    except FetchError as error:
        if tries < 2 or error.step not in _WORTH_RETRYING or error.retry_after is not None:  # noqa: PLR2004
            raise
        return get_json(client, url, limit=limit)
