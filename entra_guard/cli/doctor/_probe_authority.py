"""Fetch the authority's documents one by one, so that each can be reported. Decides nothing."""

from __future__ import annotations

import os
import re
import time
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography import x509

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard._common.http import exchange
from entra_guard._common.json_values import as_list
from entra_guard._keys import snapshot_file
from entra_guard._keys.authority_errors import explain_error
from entra_guard._keys.budget import NEVER
from entra_guard._keys.discovery import ConfigurationRefusedError, read_configuration
from entra_guard._keys.fetch import accept
from entra_guard._validation.jwks import KeysRefusedError, read_keys
from entra_guard.cli.doctor._facts import AuthorityFacts, DocumentFacts, KeysFileFacts
from entra_guard.errors import EntraGuardError, FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from entra_guard._validation.jwks import KeySet
    from entra_guard.cli.doctor._guard_parts import GuardParts

_LIMIT: Final = 256 * 1024
_OK: Final = 200
# After such a failure another request to the same host would only take time.
_NOT_REACHED: Final = frozenset({"dns", "connect", "proxy", "tls", "timeout"})
# The Date header has whole seconds: on average the authority is half a second further.
_HALF: Final = 0.5
_CODE: Final = re.compile(r"\b(?:AADSTS|AADB2C)\d{1,9}\b")


def probe_authority(parts: GuardParts) -> AuthorityFacts:
    """Fetch configuration and keys, and accept or refuse them as the guard would."""
    source = parts.source
    found: dict[str, DocumentFacts] = {}
    for version, url in source.configuration_urls.items():
        failed = next((each for each in found.values() if each.step in _NOT_REACHED), None)
        found[version] = replace(failed, url=url) if failed else _document(parts, url)
    v2, v1 = found["2.0"], found.get("1.0")
    if v2.document is None or (v1 is not None and v1.document is None):
        return AuthorityFacts(v2, v1)
    try:
        issuer, keys_url = read_configuration(
            source.authority, source.tenant, v2.document, v1.document if v1 else None
        )
    except ConfigurationRefusedError as error:
        return AuthorityFacts(v2, v1, refused=str(error))
    keys = _document(parts, keys_url)
    if keys.document is None:
        return AuthorityFacts(v2, v1, issuer, keys=keys)
    starts = tuple(_key_starts(keys.document))
    try:
        key_set = read_keys(keys.document, issuer)
    except KeysRefusedError as error:
        return AuthorityFacts(v2, v1, issuer, keys=keys, keys_refused=str(error), key_starts=starts)
    return AuthorityFacts(
        v2, v1, issuer, keys=keys, key_set=key_set, key_starts=starts, own_kids=_own_kids(parts, key_set)
    )


def _own_kids(parts: GuardParts, known: KeySet) -> tuple[str, ...] | None:
    """Return the ids of keys that sign for the API alone (claims mapping); None if that is not known.

    Entra lists them only in the configuration with `?appid=<client id>`.
    """
    source = parts.source
    ids = {plain(name) for name in parts.audiences if is_guid(plain(name))}
    if source.app_id or source.authority.kind not in ("entra", "external") or len(ids) != 1:
        return None
    if source.tenant in ("common", "organizations", "consumers"):
        return None
    own = replace(source, app_id=ids.pop())
    configuration = _document(parts, own.configuration_urls["2.0"]).document
    if configuration is None:
        return None
    try:
        issuer, keys_url = read_configuration(own.authority, own.tenant, configuration, None)
        document = _document(parts, keys_url).document
        return tuple(sorted(read_keys(document or {}, issuer).by_kid.keys() - known.by_kid.keys()))
    except (ConfigurationRefusedError, KeysRefusedError):
        return None


def _document(parts: GuardParts, url: str) -> DocumentFacts:
    """Fetch a document, and compare the clocks."""
    started, before = time.monotonic(), parts.clock()
    try:
        answer = exchange(parts.client, "GET", url, limit=_LIMIT, headers={"connection": "close"})
    except FetchError as error:
        return DocumentFacts(url, None, error.detail, error.step)
    except Exception as error:  # noqa: BLE001  # of the user's transport; its text may hold secrets
        return DocumentFacts(url, None, f"the http_client raised {type(error).__name__}", "client")
    middle = (before + parts.clock()) / 2
    offset = None if answer.date is None else answer.date + _HALF - middle
    seconds = time.monotonic() - started
    if answer.status == _OK:
        return DocumentFacts(url, answer.document, offset=offset, seconds=seconds)
    detail = explain_error(answer.status, answer.document, parts.source)
    code = _CODE.search(detail)
    return DocumentFacts(url, None, detail, "http", code[0] if code else "", offset, seconds)


def _key_starts(document: Mapping[str, Any]) -> Iterator[float]:
    """Yield since when each key's certificate is valid; entries without a readable one are skipped."""
    entries = document.get("keys")
    for entry in as_list(entries):
        chain = cast("dict[str, Any]", entry).get("x5c") if isinstance(entry, dict) else None
        first = next(iter(as_list(chain)), None)
        if not isinstance(first, str):
            continue
        try:
            yield x509.load_der_x509_certificate(b64decode(first)).not_valid_before_utc.timestamp()
        except ValueError:
            continue


def probe_keys_file(parts: GuardParts) -> KeysFileFacts | None:
    """Read the keys file as the guard would; None if it has none."""
    path = parts.keys_file
    if path is None:
        return None
    writable = _is_writable(parts)
    if not path.exists():
        return KeysFileFacts(str(path), exists=False, writable=writable)
    now, longest = parts.clock(), parts.max_stale
    try:
        documents, age = snapshot_file.read(path, parts.source, now=now, max_age=longest)
        snapshot = accept(documents, parts.source, old=None, now=now, configured_at=NEVER)
    except EntraGuardError as error:
        return KeysFileFacts(str(path), exists=True, writable=writable, error=str(error))
    count = len(snapshot.keys.by_kid)
    return KeysFileFacts(str(path), True, writable, age=age, max_age=longest, count=count)


def _is_writable(parts: GuardParts) -> bool:
    path = parts.keys_file
    return path is not None and path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK)
