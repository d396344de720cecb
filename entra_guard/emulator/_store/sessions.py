"""Unfinished sign-ins: authorization codes, refresh tokens, device codes. Immutable values.

Each is stored under the hash of its text, so that no state and no snapshot contains a usable code or token.
Entries are removed when they end. The number of live entries is bounded too; the oldest go first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping  # noqa: TC003 (the state file reads the annotations)
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

CODE_LIFETIME: Final = 600.0
REFRESH_LIFETIME: Final = 90 * 24 * 3600.0
SPA_REFRESH_LIFETIME: Final = 24 * 3600.0
DEVICE_LIFETIME: Final = 900.0
# A copy of a map of this size takes microseconds; no real user has this many sign-ins at a time.
MAX_ENTRIES: Final = 1000
MAX_RECENT: Final = 10

Ending = TypeVar("Ending", "AuthorizationCode", "RefreshToken", "DeviceCode")


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """An authorization code. It can be redeemed once; `expires` is in seconds since 1970.

    Attributes:
        claims: The `claims` parameter of the sign-in request; the token request can have another one.
    """

    client_id: str
    tenant_id: str
    user_id: str
    scope: str
    redirect_uri: str
    expires: float
    challenge: str = ""
    method: str = "plain"
    nonce: str = ""
    claims: str = ""
    redeemed: bool = False


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token of a client and a user, for every API that was consented to. Times since 1970.

    Attributes:
        confidential: Whether the client proved who it is when it got the token. It must do so again.
    """

    client_id: str
    tenant_id: str
    user_id: str
    scope: str
    issued: float
    expires: float
    spa: bool = False
    confidential: bool = False


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A sign-in on a device without a browser; a user approves it with the user code."""

    client_id: str
    tenant_id: str
    scope: str
    user_code: str
    expires: float
    user_id: str = ""
    declined: bool = False


def _empty() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Sessions:
    """All unfinished sign-ins.

    Attributes:
        revoked: The time since which a principal must sign in again.
        recent: The ids of the users who signed in last, the latest first.
    """

    codes: Mapping[str, AuthorizationCode] = field(default_factory=_empty)
    refresh_tokens: Mapping[str, RefreshToken] = field(default_factory=_empty)
    device_codes: Mapping[str, DeviceCode] = field(default_factory=_empty)
    revoked: Mapping[str, float] = field(default_factory=_empty)
    recent: tuple[str, ...] = ()

    def with_code(self, text: str, code: AuthorizationCode, *, now: float) -> Sessions:
        return replace(self, codes={**_live(self.codes, now), digest(text): code})

    def with_recent(self, user_id: str) -> Sessions:
        """Put a user first in `recent`."""
        others = (known for known in self.recent if known != user_id)
        return replace(self, recent=(user_id, *others)[:MAX_RECENT])

    def with_refresh_token(self, text: str, token: RefreshToken, *, now: float) -> Sessions:
        return replace(self, refresh_tokens={**_live(self.refresh_tokens, now), digest(text): token})

    def with_device_code(self, text: str, device: DeviceCode, *, now: float) -> Sessions:
        return replace(self, device_codes={**_live(self.device_codes, now), digest(text): device})

    def with_decision(self, key: str, device: DeviceCode) -> Sessions:
        """Replace a device code after the user's decision; `key` is the one that `find_device` returned."""
        return replace(self, device_codes={**self.device_codes, key: device})

    def without_device_code(self, text: str) -> Sessions:
        """Remove a device code, which is redeemable once."""
        kept = {key: device for key, device in self.device_codes.items() if key != digest(text)}
        return replace(self, device_codes=kept)

    def with_revoked(self, principal_id: str, since: float) -> Sessions:
        return replace(self, revoked={**self.revoked, principal_id: since})

    def find_device(self, user_code: str, *, now: float) -> tuple[str, DeviceCode] | None:
        """Return the live device code with that user code, and the key it is stored under."""
        wanted = user_code.strip().upper()
        live = ((key, device) for key, device in self.device_codes.items() if now < device.expires)
        return next(((key, device) for key, device in live if device.user_code == wanted), None)

    def is_revoked(self, principal_id: str, issued: float) -> bool:
        """Return whether a token issued to a principal at that time is no longer valid."""
        return issued < self.revoked.get(principal_id, float("-inf"))


def _live(entries: Mapping[str, Ending], now: float) -> dict[str, Ending]:
    """Return the entries that have not ended, leaving room for one more."""
    live = {key: entry for key, entry in entries.items() if now < entry.expires}
    for key in list(live)[: max(0, len(live) - MAX_ENTRIES + 1)]:
        del live[key]
    return live


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
