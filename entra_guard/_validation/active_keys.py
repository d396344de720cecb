"""The keys that serve, and what was verified with exactly these. Fetches nothing; its keys never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.lru import LRUCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.jwks import SigningKey
    from entra_guard._validation.jws import Header
    from entra_guard.principal import Identity

_STRANGERS: Final = 256
_KNOWN_HEADERS: Final = 64
_CALLERS: Final = 8192


class ActiveKeys:
    """What readers use: an issuer, its keys, and what was verified with exactly these keys.

    A key that changes or goes takes the remembered verdicts with it: they live here, so that no
    reader can remember something under keys that have just been replaced.
    """

    __slots__ = (
        "by_kid",
        "callers",
        "entra_ahead",
        "headers",
        "issuer",
        "known_callers",
        "reported_kids",
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
        # Kids that the issuer publishes without a key that can be used, and why: see `jwks.KeySet.unusable`.
        self.unusable_kids: Mapping[str, str] = {} if unusable_kids is None else unusable_kids
        # Those of them that a token has needed, which is logged once.
        self.reported_kids: set[str] = set()
        self.entra_ahead: float | None = None
        """Seconds by which the issuer's clock was ahead of ours at its last answer, if it told its time."""
        self.known_callers: LRUCache[str, bool] = (
            LRUCache(_CALLERS) if known_callers is None else known_callers
        )
        """Object ids of callers whom this issuer's keys have verified: see `_key_store.forced`. They stay
        through a change of keys, which is just when they are needed."""
        self.callers = self.known_callers.recent
        """The younger half of them: the one look-up that the hot path pays."""
        self.headers: dict[bytes, tuple[Header, slice]] = {}
        """Headers that a token of this issuer had, and where the payload of such a token lies."""
        self.unknown_kids: LRUCache[bytes, tuple[str, float]] = LRUCache(_STRANGERS)
        """Headers whose kid the newest keys lack: the kid, and until when that is not asked again."""

    def key_without_kid(self, kid: str, alg: str) -> SigningKey | None:
        """Return the one key that a token may mean although no kid says so (RFC 7517 section 4.5).

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
        """Keep the header of a token whose signature held."""
        if len(self.headers) < _KNOWN_HEADERS:
            self.headers[encoded] = header, payload

    def add_unknown_kid(self, encoded: bytes, kid: str, until: float) -> None:
        """Remember a header whose kid is none of the keys'."""
        self.unknown_kids.put(encoded, (kid, until))

    def add_known_caller(self, object_id: str) -> None:
        """Remember a caller whose token held."""
        if object_id:
            self.known_callers.put(object_id, True)
            self.callers = self.known_callers.recent

    def is_known_caller(self, object_id: str) -> bool:
        """Whether a caller is among those remembered."""
        return bool(self.known_callers.get(object_id))
