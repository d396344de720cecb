"""An access token for an outbound call, and how it is read from a response. Knows no HTTP and no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds before its end at which a token is no longer returned: it must travel, and clocks differ.
SKEW: Final = 30.0

_ASSUMED_LIFETIME: Final = 600.0
_LONGEST_LIFETIME: Final = 366 * 24 * 3600.0
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True)  # without slots: azure-core's own class joins it, see `_azure_types`
class AccessToken:
    """A token and its times. Its repr does not show the token.

    Works wherever azure-core expects its own AccessToken or AccessTokenInfo.

    Attributes:
        token: What follows 'Bearer '.
        expires_on: When it ends, in seconds since the epoch.
        refresh_on: When a new one is fetched in the background, in seconds since the epoch.
        refresh_by: The same in monotonic seconds of this process: it holds if the clock is set back.

    Example:
        >>> AccessToken("eyJ...", expires_on=1_800_000_000, refresh_on=1_799_998_200.0)
        AccessToken(expires_on=1800000000, refresh_on=1799998200.0)
    """

    token: str = field(repr=False)
    expires_on: int
    refresh_on: float
    refresh_by: float = field(default=float("inf"), repr=False, compare=False)
    token_type: ClassVar[str] = "Bearer"  # noqa: S105  # the word itself


class UnreadableTokenError(ValueError):
    """A response without a usable token; the message says what is wrong, and quotes nothing of it."""


def read_token(document: Mapping[str, Any], requested_at: float) -> AccessToken:
    """Read a token endpoint's successful response (RFC 6749 section 5.1).

    Numbers written as strings count, as v1.0 and managed identity endpoints write them so.

    Args:
        document: The response.
        requested_at: When it was requested, in seconds since the epoch: its life is counted from there.

    Raises:
        UnreadableTokenError: There is no bearer token in it, or one with an impossible lifetime.
    """
    token: Any = document.get("access_token")
    if not is_bearer(token):
        raise UnreadableTokenError("the response holds no access token")
    if str(document.get("token_type") or "Bearer").lower() != "bearer":
        raise UnreadableTokenError("the response holds a token of another type than Bearer")
    lifetime = _lifetime(document, requested_at)
    return new_token(token, requested_at, lifetime, _number(document, "refresh_in"))


def is_bearer(token: object) -> TypeGuard[str]:
    """Return whether a value can follow 'Bearer ' (RFC 6750 section 2.1)."""
    return isinstance(token, str) and _BEARER.fullmatch(token) is not None


def new_token(token: str, now: float, lifetime: float, refresh_in: float | None = None) -> AccessToken:
    """Return a token that is renewed after `refresh_in` seconds, or else after half of its lifetime."""
    if refresh_in is None or not 0 < refresh_in < lifetime - SKEW:
        refresh_in = lifetime / 2
    return AccessToken(token, int(now + lifetime), now + refresh_in)


def _lifetime(document: Mapping[str, Any], requested_at: float) -> float:
    """Return the seconds of life: given as a duration, as a time, or not at all (10 minutes, as in MSAL)."""
    lifetime = _number(document, "expires_in")
    if lifetime is None and (moment := _number(document, "expires_on")) is not None:
        lifetime = moment - requested_at
    if lifetime is None:
        return _ASSUMED_LIFETIME
    if not 0 < lifetime < _LONGEST_LIFETIME:
        raise UnreadableTokenError("the token in the response has expired, or lives longer than a year")
    return lifetime


def _number(document: Mapping[str, Any], name: str) -> float | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableTokenError(f"{name} in the response is not a number") from None
