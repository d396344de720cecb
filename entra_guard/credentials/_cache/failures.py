"""How long a failed token request is remembered. Pure state: no clock, lock or I/O.

While a failure stands, nobody asks again: callers with a valid token are served it, the others get the
same error at once. So an outage, a throttle or a wrong secret costs no request per caller.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard.errors import TokenAcquisitionError

_FIRST_AND_LONGEST: Final = {True: (1.0, 30.0), False: (10.0, 60.0)}
"""Seconds, for failures that may pass by themselves and for refusals; doubling from one to the other."""
_LEAST_AND_LONGEST_RETRY_AFTER: Final = (1.0, 3600.0)
"""Seconds: `Retry-After: 0`, or a date in the past, is no leave to ask without end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes:
        error: How it failed.
        until: Monotonic seconds: nobody asks again before.
        in_a_row: How many failed since the last success.
        proof: What stood for the credential's proof then: another one now is worth asking with.
    """

    error: TokenAcquisitionError
    until: float
    in_a_row: int
    proof: object


def failed(
    error: TokenAcquisitionError, before: Failure | None, *, now: float, jitter: float, proof: object
) -> Failure:
    """The failure to remember.

    Args:
        error: How the request failed.
        before: The failure before it, unless a success came between.
        now: Monotonic seconds.
        jitter: A number from 0 to 1, so that many processes do not come back at once.
        proof: Stands for the credential's proof.
    """
    in_a_row = 1 if before is None else before.in_a_row + 1
    return Failure(error, now + _pause(error, in_a_row, jitter), in_a_row, proof)


def _pause(error: TokenAcquisitionError, in_a_row: int, jitter: float) -> float:
    first, longest = _FIRST_AND_LONGEST[error.retryable]
    own = min(longest, first * 2.0 ** min(in_a_row - 1, 16)) * (0.5 + jitter / 2)
    if error.retry_after is None:
        return own
    least, most = _LEAST_AND_LONGEST_RETRY_AFTER
    return min(max(error.retry_after, own, least), most)


def repeated(failure: Failure, now: float) -> TokenAcquisitionError:
    """The same error once more, for another caller, with the time that is left to wait."""
    error = copy(failure.error)
    if error.retryable:
        error.retry_after = max(0.0, failure.until - now)
    return error
