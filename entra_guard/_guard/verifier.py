"""Verifier: what adapters need from a guard, or from several guards combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from entra_guard._keys.authority import Authority
    from entra_guard._keys.health import Health
    from entra_guard._validation.explain import Explanation
    from entra_guard._validation.openid_claims import AnyClaims
    from entra_guard.policy import Policy
    from entra_guard.principal import Principal


class Verifier(Protocol):
    """Verifies bearer tokens: a `Guard`, or guards combined with `|`."""

    def verify(self, token: str | bytes) -> Principal:
        """Return the caller that a token names.

        Raises:
            AccessError: The token is refused.
        """
        ...

    async def averify(self, token: str | bytes) -> Principal:
        """Do the same without blocking an event loop."""
        ...

    def explain(self, token: str | bytes) -> Explanation:
        """Check a token against the whole checklist."""
        ...

    def health(self) -> Health:
        """Return the health of the keys."""
        ...

    def seconds_left(self, principal: Principal) -> float:
        """Return for how many seconds a caller's token is still accepted."""
        ...

    def revoke(self, object_id: str, *, since: float | datetime | None = None) -> None:
        """Refuse a caller's tokens that were issued before a time."""
        ...

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether a caller's token is one of these."""
        ...

    def watch(self, principal: Principal, end: Callable[[], object]) -> AbstractContextManager[None]:
        """Return a context in which `end` is called if the caller is revoked."""
        ...

    @property
    def reasons_url(self) -> str:
        """The page with a section for each reason, '' if log lines link to none."""
        ...

    @property
    def trace_users(self) -> bool:
        """Whether a hash of the user is put on the span of a request."""
        ...

    @property
    def needs_event_loop(self) -> bool:
        """Whether only `averify` works."""
        ...


class IssuerVerifier(Verifier, Protocol):
    """A verifier of one issuer's tokens, which can be combined with others."""

    @property
    def policy(self) -> Policy:
        """What is accepted."""
        ...

    @property
    def authority(self) -> Authority:
        """Where its issuer is."""
        ...

    def issues(self, claims: AnyClaims) -> bool | None:
        """Return whether unverified claims name this verifier's issuer; None while that is not known."""
        ...
