"""What users have begun and not finished: codes, refresh tokens, device sign-ins. Values; knows no HTTP.

Each is kept under the hash of the text that stands for it, so that no state or snapshot holds that text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CODE_LIFETIME: Final = 600.0
REFRESH_LIFETIME: Final = 90 * 24 * 3600.0
SPA_REFRESH_LIFETIME: Final = 24 * 3600.0
DEVICE_LIFETIME: Final = 900.0


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code: about ten minutes, once."""

    client_id: str
    tenant_id: str
    user_id: str
    scope: str
    redirect_uri: str
    issued: float
    challenge: str = ""
    method: str = "plain"
    nonce: str = ""
    used: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token: for one client and user, for any API consented to."""

    client_id: str
    tenant_id: str
    user_id: str
    scope: str
    issued: float
    expires: float
    spa: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A sign-in begun on a device without a browser; somebody approves it with the user code."""

    client_id: str
    tenant_id: str
    scope: str
    user_code: str
    expires: float
    user_id: str = ""
    declined: bool = False


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Sessions:
    """All that is under way. `revoked` says since when a principal must sign in again."""

    codes: Mapping[str, Code] = field(default_factory=_nothing)
    refreshes: Mapping[str, Refresh] = field(default_factory=_nothing)
    devices: Mapping[str, Device] = field(default_factory=_nothing)
    revoked: Mapping[str, float] = field(default_factory=_nothing)

    def with_code(self, text: str, code: Code) -> Sessions:
        return replace(self, codes={**self.codes, digest(text): code})

    def with_refresh(self, text: str, refresh: Refresh) -> Sessions:
        return replace(self, refreshes={**self.refreshes, digest(text): refresh})

    def with_device(self, text: str, device: Device) -> Sessions:
        return replace(self, devices={**self.devices, digest(text): device})

    def with_revoked(self, principal_id: str, now: float) -> Sessions:
        return replace(self, revoked={**self.revoked, principal_id: now})

    def device_of(self, user_code: str) -> tuple[str, Device] | None:
        """The sign-in with that user code, and the key it is kept under."""
        plain = user_code.strip().upper()
        return next(((key, d) for key, d in self.devices.items() if d.user_code == plain), None)

    def is_revoked(self, principal_id: str, issued: float) -> bool:
        """Whether what was issued to a principal then counts no more."""
        return issued < self.revoked.get(principal_id, float("-inf"))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
