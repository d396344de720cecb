"""Make the keys of a snapshot those that readers use. What was verified stays cached while its key stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.logs import get_logger
from entra_guard._keys.verified_tokens import VerifiedTokens
from entra_guard._validation.active_keys import ActiveKeys

if TYPE_CHECKING:
    from entra_guard._common.lru import LRUCache
    from entra_guard._keys.state import Snapshot
    from entra_guard.principal import Identity

log: Final = get_logger("entra_guard.keys")


def active_keys_of(snapshot: Snapshot, old: ActiveKeys | None, cache_size: int) -> ActiveKeys:
    """Return the keys of a snapshot for readers: `old` itself if nothing differs.

    Args:
        snapshot: The keys.
        old: The keys that are used now.
        cache_size: The maximum number of verified tokens to cache.
    """
    issuer, by_kid, unusable = snapshot.issuer, snapshot.by_kid, snapshot.keys.unusable
    if old is None:
        return ActiveKeys(issuer, by_kid, VerifiedTokens(cache_size), None, unusable)
    if (old.issuer, old.by_kid, old.unusable_kids) == (issuer, by_kid, unusable):
        return old
    verified_tokens: LRUCache[bytes, Identity] = VerifiedTokens(cache_size)
    if all(by_kid.get(kid) is key for kid, key in old.by_kid.items()):
        verified_tokens = old.verified_tokens
    known_callers = old.known_callers if old.issuer == issuer else None
    return ActiveKeys(issuer, by_kid, verified_tokens, known_callers, unusable)


def log_activation(snapshot: Snapshot) -> None:
    """Log which keys are used from now on, and what is wrong with others of the key set."""
    issuer = snapshot.issuer.v2
    log.info("signing keys %s of %s", ", ".join(sorted(snapshot.by_kid)), issuer)
    for line in snapshot.keys.faults:
        log.warning("skipped an entry in the key set of %s: %s", issuer, line)
    for line in snapshot.keys.skipped:
        log.debug("skipped a key that is not for RSA signatures: %s", line)
