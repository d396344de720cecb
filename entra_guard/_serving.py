"""The keys that serve, and what was verified with exactly these. Fetches nothing; its keys never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._bounded import Bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._issuer import Issuer
    from entra_guard._jws import Header
    from entra_guard._keys import SigningKey
    from entra_guard._verdicts import Verdicts

_STRANGERS: Final = 256
_KNOWN_HEADERS: Final = 64
_CALLERS: Final = 4096


class Serving:
    """What readers use: an issuer, its keys, and what was verified with exactly these keys.

    A key that changes or goes takes the remembered verdicts with it: they live here, so that no
    reader can remember something under keys that have just been replaced.
    """

    __slots__ = ("by_kid", "callers", "entra_ahead", "headers", "issuer", "strangers", "verdicts")

    def __init__(
        self, issuer: Issuer, by_kid: Mapping[str, SigningKey], verdicts: Verdicts, callers: set[str]
    ) -> None:
        self.issuer = issuer
        self.by_kid = by_kid
        self.verdicts = verdicts
        self.entra_ahead: float | None = None
        """Seconds by which the issuer's clock was ahead of ours at its last answer, if it told its time."""
        self.callers = callers
        """Object ids of some callers whom these keys have verified: see `_key_store.forced`."""
        self.headers: dict[bytes, tuple[Header, slice]] = {}
        """Headers that a token of this issuer had, and where the payload of such a token lies."""
        self.strangers: Bounded[bytes, tuple[str, float]] = Bounded(_STRANGERS)
        """Headers whose kid the newest keys lack: the kid, and until when that is not asked again."""

    def learn(self, encoded: bytes, header: Header, payload: slice) -> None:
        """Keep the header of a token whose signature held."""
        if len(self.headers) < _KNOWN_HEADERS:
            self.headers[encoded] = header, payload

    def note_stranger(self, encoded: bytes, kid: str, until: float) -> None:
        """Remember a header whose kid is none of the keys'."""
        self.strangers.put(encoded, (kid, until))

    def meet(self, object_id: str) -> None:
        """Remember a caller whose token held."""
        if object_id and len(self.callers) < _CALLERS:
            self.callers.add(object_id)
