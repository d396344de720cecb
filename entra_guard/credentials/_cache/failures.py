"""How long a failed token request is remembered. Pure state: no clock, lock or I/O.

Until its pause is over, no request is sent: callers with a valid token get that, the others the same error
at once. So an outage, a throttle or a wrong secret does not cost a request per caller.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard.errors import TokenAcquisitionError

# First and longest pause in seconds, by `retryable`: the pause doubles from one to the other.
_FIRST_AND_LONGEST: Final = {True: (1.0, 30.0), False: (10.0, 60.0)}
# Minimum and maximum delay in seconds, whatever Retry-After says.
_LEAST_AND_LONGEST_RETRY_AFTER: Final = (1.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes:
        error: How it failed.
        until: Monotonic seconds: no request is sent before.
        in_a_row: How many failed since the last success.
        proof_version: The version of the credential's proof that was sent; another one may be sent at once.
    """

    error: TokenAcquisitionError
    until: float
    in_a_row: int
    proof_version: object


def next_failure(
    error: TokenAcquisitionError,
    before: Failure | None,
    *,
    now: float,
    jitter: float,
    proof_version: object,
) -> Failure:
    """Return the failure to remember.

    Args:
        error: How the request failed.
        before: The failure before it, unless a request succeeded since.
        now: Monotonic seconds.
        jitter: A number from 0 to 1, so that many processes do not return at once.
        proof_version: The version of the credential's proof.
    """
    in_a_row = 1 if before is None else before.in_a_row + 1
    return Failure(error, now + _pause(error, in_a_row, jitter), in_a_row, proof_version)


def _pause(error: TokenAcquisitionError, in_a_row: int, jitter: float) -> float:
    first, longest = _FIRST_AND_LONGEST[error.retryable]
    own = min(longest, first * 2.0 ** min(in_a_row - 1, 16)) * (0.5 + jitter / 2)
    if error.retry_after is None:
        return own
    least, most = _LEAST_AND_LONGEST_RETRY_AFTER
    return min(max(error.retry_after, own, least), most)


def repeated(failure: Failure, now: float) -> TokenAcquisitionError:
    """Return the same error for another caller, with the seconds that are left to wait."""
    error = copy(failure.error)
    if error.retryable:
        error.retry_after = max(0.0, failure.until - now)
    return error
