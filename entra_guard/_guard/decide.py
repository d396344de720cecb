"""Decide about one token with the keys that are cached: the path of every request. Waits for nothing."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

from entra_guard._common.clock import wall_clock
from entra_guard._validation.checklist import checks_after_signature
from entra_guard._validation.validate import check_unverified, decide
from entra_guard.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard._keys.manager import KeyManager
    from entra_guard._keys.refresh_wait import Decide
    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard._validation.openid_claims import ClaimRules
    from entra_guard._validation.validate import KeyMismatch
    from entra_guard.policy import Policy


def decider(
    policy: Policy, key_manager: KeyManager, rules: ClaimRules | None, clock: Callable[[], float]
) -> Decide:
    """Return the function that decides about a token with the cached keys.

    A function and not a method: what it reads with every request is looked up once, here.

    Args:
        policy: What is accepted.
        key_manager: The keys.
        rules: Where an issuer other than Entra puts its claims; None for Entra.
        clock: Seconds since the epoch.
    """
    monotonic, checks_after = key_manager.monotonic, checks_after_signature(policy)
    # The default clock is a function that calls `time.time`: this calls that itself.
    own_clock = None if clock is wall_clock else clock

    def decide_now(token: bytes) -> Principal | KeyMismatch | None:
        """Return the caller, a mismatch that newer keys could resolve, or None if there are no keys."""
        if monotonic() >= key_manager.next_due:
            key_manager.run_due_tasks(monotonic())
        keys = key_manager.active_keys
        if keys is None:
            check_unverified(token, policy, rules)
            return None
        digest = sha256(token).digest()
        verified_tokens = keys.verified_tokens
        identity = verified_tokens.recent.get(digest)
        if identity is None and verified_tokens.has_more:
            identity = verified_tokens.get(digest)
        now = (own_clock or time.time)()
        if identity is not None and now < identity.valid_until:
            return Principal(identity, token[identity.payload])
        decided = decide(token, policy, keys, now, checks_after)
        if type(decided) is Principal:
            verified_tokens.put(digest, decided.verified)
            caller = decided.verified.object_id or decided.verified.subject
            if caller not in keys.callers:
                keys.add_known_caller(caller)
        return decided

    return decide_now


def is_cached(keys: ActiveKeys | None, token: object) -> bool:
    """Return whether a token is in the cache of verified tokens; what is not a token never is."""
    raw = token if isinstance(token, bytes) else str(token).encode("utf-8", "replace")
    return keys is not None and keys.verified_tokens.get(sha256(raw).digest()) is not None
