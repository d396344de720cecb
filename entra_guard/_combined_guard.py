"""Several guards as one, for an API that accepts several issuers. Decides nothing about a token itself.

The token's own, unverified issuer chooses the guard before any signature is looked at, and that guard
decides alone. Where several guards have one issuer, audience and tenant choose among them. A guard
whose issuer is not known yet, as it has fetched nothing so far, is asked if nobody else is meant.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from entra_guard._common.boundary import detach, public
from entra_guard._keys.health import Health
from entra_guard._validation import jws
from entra_guard._validation.openid_claims import OpenIdClaims, read_routing_claims
from entra_guard.errors import AccessError, ConfigurationError, KeysUnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator

    from entra_guard._validation.explain import Explanation
    from entra_guard.guard import Guard
    from entra_guard.policy import Policy
    from entra_guard.principal import Principal


class CombinedGuard:
    """Accepts what one of its guards accepts: made by `guard_a | guard_b`.

    Args:
        guards: In the order in which they are asked; the first one refuses tokens of strangers.

    Raises:
        ConfigurationError: One of them is no guard.

    Example:
        >>> from entra_guard import Guard
        >>> ours = Guard(tenant="aaaabbbb-0000-cccc-1111-dddd2222eeee", audience="api://orders")
        >>> partners = Guard(authority="https://partner.ciamlogin.com",
        ...                  tenant="bbbbcccc-1111-dddd-2222-eeee3333ffff", audience="api://orders")
        >>> guard = ours | partners
    """

    def __init__(self, *guards: Guard) -> None:
        for guard in guards:
            if not hasattr(guard, "issues"):
                raise ConfigurationError(f"a guard is combined with guards, not with {type(guard).__name__}")
        self.guards = guards

    def __or__(self, other: Guard | CombinedGuard) -> CombinedGuard:
        """Accept what the other accepts, too."""
        return CombinedGuard(*self.guards, *(other.guards if isinstance(other, CombinedGuard) else (other,)))

    def verify(self, token: str | bytes) -> Principal:
        """Let the guard of the token's issuer decide: as `Guard.verify`."""
        raw = token.encode("utf-8", "replace") if isinstance(token, str) else token
        try:
            asking = self._asking(raw)
            guard = next(asking)
            while True:
                try:
                    return guard.verify(raw)
                except AccessError as error:
                    guard = asking.send(error)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    async def averify(self, token: str | bytes) -> Principal:
        """Do what `verify` does, and block no event loop."""
        raw = token.encode("utf-8", "replace") if isinstance(token, str) else token
        try:
            asking = self._asking(raw)
            guard = next(asking)
            while True:
                try:
                    return await guard.averify(raw)
                except AccessError as error:
                    guard = asking.send(error)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    @public
    def explain(self, token: str | bytes) -> Explanation:
        """Walk a token through the checklist of the guard that refuses or accepts it."""
        raw = token.encode("utf-8", "replace") if isinstance(token, str) else token
        asked = self.guards[0]
        asking = self._asking(raw)
        with suppress(AccessError):
            asked = next(asking)
            while (refusal := _refusal(asked, raw)) is not None:
                asked = asking.send(refusal)
        return asked.explain(raw)

    def health(self) -> Health:
        """Tell how all their keys are: ready while one of them is, 'degraded' unless all are well."""
        each = [guard.health() for guard in self.guards]
        states = {health.status for health in each}
        ages = [health.age for health in each if health.age is not None]
        return Health(
            states.pop() if len(states) == 1 else "degraded",
            " ".join(health.issuer for health in each if health.issuer),
            tuple(sorted({kid for health in each for kid in health.kids})),
            max(ages, default=None),
            sum(health.generation for health in each),
            sum(health.failures for health in each),
            sum(health.refused for health in each),
            "; ".join(health.last_error for health in each if health.last_error),
            min(health.next_attempt for health in each),
        )

    @property
    def needs_event_loop(self) -> bool:
        """Whether only `averify` works with one of the guards."""
        return any(guard.needs_event_loop for guard in self.guards)

    def seconds_left(self, principal: Principal) -> float:
        """Seconds until a caller's token passes no more."""
        return self.guards[0].seconds_left(principal)

    def _asking(self, token: bytes) -> Generator[Guard, AccessError, None]:
        """Name the guard to ask, and take its refusal; raise the one that counts.

        A conversation, so that `verify` and `averify` differ only in how they wait.
        """
        claims = _unverified(token)
        fitting = [guard for guard in self.guards if _fits(guard.policy, claims)]
        refusals: list[tuple[Guard, AccessError]] = []
        for guard in sorted(fitting, key=lambda guard: guard.issues(claims) is None):  # the sure ones first
            if guard.issues(claims) is not False:
                refusals += [(guard, (yield guard))]
        if not refusals:
            named = (guard for guard in self.guards if guard.issues(claims))
            refusals.append((guard := next(named, self.guards[0]), (yield guard)))
        raise _the_one_that_counts(refusals, claims)


def _the_one_that_counts(refusals: list[tuple[Guard, AccessError]], claims: OpenIdClaims) -> AccessError:
    """The refusal of the token's own issuer; else that somebody cannot judge now; else the first."""
    for guard, error in refusals:
        if guard.issues(claims):
            return error
    errors = [error for _guard, error in refusals]
    return next((error for error in errors if isinstance(error, KeysUnavailableError)), errors[0])


def _refusal(guard: Guard, token: bytes) -> AccessError | None:
    try:
        guard.verify(token)
    except AccessError as error:
        return error
    return None


def _unverified(token: bytes) -> OpenIdClaims:
    """What a token says of itself; nothing where it is no token, which any guard can tell."""
    with suppress(AccessError):
        return read_routing_claims(jws.decode(jws.split(token)[1]))
    return OpenIdClaims()


def _fits(policy: Policy, claims: OpenIdClaims) -> bool:
    """Whether a policy may be meant: by the audience, and where it lists tenants, by the tenant."""
    audiences = {claims.aud} if isinstance(claims.aud, str) else {*claims.aud}
    return not policy.accepted.isdisjoint(audiences) and (
        not policy.tenants.ids or claims.tid in policy.tenants.ids
    )
