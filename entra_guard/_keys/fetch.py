"""Run one round of fetching an issuer's keys: configuration, then keys, accepted or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard._common.http import STEPS_WORTH_RETRYING, exchange, retry_after
from entra_guard._keys.authority_errors import explain_error
from entra_guard._keys.discovery import ConfigurationRefusedError, read_configuration
from entra_guard._keys.documents import Documents
from entra_guard._keys.state import Snapshot
from entra_guard._validation.jwks import KeysRefusedError, read_keys
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from entra_guard._common.http import Answer
    from entra_guard._keys.documents import Source
    from entra_guard._validation.issuer import Issuer

_CONFIGURATION_LIMIT: Final = 64 * 1024
_KEYS_LIMIT: Final = 256 * 1024
_OK, _REQUEST_TIMEOUT, _CLIENT_ERROR, _SERVER_ERROR = 200, 408, 400, 500


def fetch(
    client: httpx.Client,
    source: Source,
    *,
    old: Snapshot | None,
    known: Documents | None,
    now: float,
    tries: int = 2,
) -> tuple[Snapshot, Documents]:
    """Fetch what is needed, and return it if it is acceptable.

    Args:
        client: Our own client or the user's.
        source: What to fetch.
        old: The cached keys, for keys that did not change and for the pinned issuer.
        known: Documents whose configuration is still used; None to fetch it again.
        now: Monotonic seconds.
        tries: How often a document is requested if the exchange fails. Once if the round before failed,
            too: a fleet would double the load of a service in trouble.

    Raises:
        FetchError: There was no response, or one that must not be used (step "content").
    """
    v2, v1 = (known.v2, known.v1) if known else _configuration(client, source, tries)
    # Checked before the request: a foreign URL gets none.
    _issuer, keys_url = _issuer_of(source, v2, v1, old)
    answer = _get(client, source, keys_url, _KEYS_LIMIT, tries)
    documents = Documents(v2, v1, answer.document, answer.date)
    configured_at = old.configured_at if known and old else now
    return accept(documents, source, old=old, now=now, configured_at=configured_at), documents


def accept(
    documents: Documents, source: Source, *, old: Snapshot | None, now: float, configured_at: float
) -> Snapshot:
    """Return documents as a snapshot, or refuse them: the same checks for network and file.

    Raises:
        FetchError: At step "content": the cached keys must stay.
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
    """Return the issuer and key URL of a configuration, which must be the pinned issuer's."""
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
        version: _get(client, source, url, _CONFIGURATION_LIMIT, tries).document
        for version, url in source.configuration_urls.items()
    }
    return documents["2.0"], documents.get("1.0")


def _get(client: httpx.Client, source: Source, url: str, limit: int, tries: int) -> Answer:
    """Fetch a document, and try again at once where that can help.

    An idle connection in the user's client would be shared with every process that is forked later, so
    each exchange closes its own.
    """
    while True:
        tries -= 1
        try:
            answer = exchange(client, "GET", url, limit=limit, headers={"connection": "close"})
        except FetchError as error:
            if not tries or error.step not in STEPS_WORTH_RETRYING or error.retry_after is not None:
                raise
            continue
        if answer.status == _OK:
            return answer
        seconds = retry_after(answer.headers)
        is_final = _CLIENT_ERROR <= answer.status < _SERVER_ERROR and answer.status != _REQUEST_TIMEOUT
        if not tries or is_final or seconds is not None:
            detail = explain_error(answer.status, answer.document, source)
            raise FetchError("http", url, detail, retry_after=seconds)
