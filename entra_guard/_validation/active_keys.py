"""The keys that verify tokens now, and what was verified with exactly these. Its keys never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.lru import LRUCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.jwks import SigningKey
    from entra_guard._validation.jws import Header
    from entra_guard.principal import Identity

_UNKNOWN_KIDS: Final = 256
_KNOWN_HEADERS: Final = 64
_KNOWN_CALLERS: Final = 8192
_LONGEST_CALLER: Final = 256


class ActiveKeys:
    """An issuer, its keys, and the tokens that were verified with exactly these keys.

    Verified tokens are cached here and not elsewhere: when a key changes or is withdrawn, a new object
    replaces this one, and no thread can cache a token under keys that have just been replaced.

    Args:
        issuer: The issuer.
        by_kid: Its keys.
        verified_tokens: The cache of verified tokens, by their SHA-256 digest.
        known_callers: Object ids (or subjects) of callers whom earlier keys of this issuer have verified.
        unusable_kids: Kids that the issuer publishes without a usable key, and why: see `jwks.KeySet`.
    """

    __slots__ = (
        "_reported_kids",
        "by_kid",
        "callers",
        "entra_ahead",
        "headers",
        "issuer",
        "known_callers",
        "unknown_kids",
        "unusable_kids",
        "verified_tokens",
    )

    def __init__(
        self,
        issuer: Issuer,
        by_kid: Mapping[str, SigningKey],
        verified_tokens: LRUCache[bytes, Identity],
        known_callers: LRUCache[str, bool] | None = None,
        unusable_kids: Mapping[str, str] | None = None,
    ) -> None:
        self.issuer = issuer
        self.by_kid = by_kid
        self.verified_tokens = verified_tokens
        self.unusable_kids: Mapping[str, str] = {} if unusable_kids is None else unusable_kids
        self._reported_kids: set[str] = set()
        # Seconds by which the issuer's clock was ahead of ours at its last response, if that had a date.
        self.entra_ahead: float | None = None
        # Kept through a change of keys, which is when they are needed: see `refresh_policy`.
        self.known_callers: LRUCache[str, bool] = (
            LRUCache(_KNOWN_CALLERS) if known_callers is None else known_callers
        )
        # The newer ones of them: the one look-up that the hot path pays for.
        self.callers = self.known_callers.recent
        # Headers of tokens that were verified, and where such a token's payload is.
        self.headers: dict[bytes, tuple[Header, slice]] = {}
        # Headers whose kid the newest keys lack: the kid, and until when it is not looked up again.
        self.unknown_kids: LRUCache[bytes, tuple[str, float]] = LRUCache(_UNKNOWN_KIDS)

    def key_without_kid(self, kid: str, alg: str) -> SigningKey | None:
        """Return the one key that a token without a matching kid may mean (RFC 7517 section 4.5).

        A token without kid means the one key of its algorithm; a token with one, the one key that has
        none. Two different kids never match. Only where the issuer may leave kids out.

        Args:
            kid: The token's kid, which no key has; may be empty.
            alg: The token's algorithm.
        """
        if not self.issuer.kid_is_optional:
            return None
        keys = [key for key in self.by_kid.values() if key.alg in ("", alg) and not (kid and key.kid)]
        return keys[0] if len(keys) == 1 else None

    def learn(self, encoded: bytes, header: Header, payload: slice) -> None:
        """Remember the header of a token whose signature was verified."""
        if len(self.headers) < _KNOWN_HEADERS:
            self.headers[encoded] = header, payload

    def add_unknown_kid(self, encoded: bytes, kid: str, until: float) -> None:
        """Remember a header whose kid the newest keys lack."""
        self.unknown_kids.put(encoded, (kid, until))

    def add_known_caller(self, caller: str) -> None:
        """Remember a caller whose token was verified, unless its name is longer than Entra's ever are."""
        if caller and len(caller) <= _LONGEST_CALLER:
            self.known_callers.put(caller, True)
            self.callers = self.known_callers.recent

    def is_known_caller(self, caller: str) -> bool:
        """Return whether a token of this caller was verified before."""
        return bool(self.known_callers.get(caller))

    def report_unusable(self, kid: str) -> bool:
        """Return whether a token that needs this unusable kid is to be logged: the first one only."""
        is_first = kid not in self._reported_kids
        self._reported_kids.add(kid)
        return is_first
