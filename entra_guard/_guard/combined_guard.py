"""CombinedGuard: several guards as one, for an API that accepts several issuers.

The token's own, unverified issuer selects the guard before any signature is verified, and that guard decides
alone. If several guards have the same issuer, audience and tenant select among them. A guard that has
fetched nothing yet does not know its issuer; it is used if no other guard fits.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from entra_guard._common.boundary import detach, public
from entra_guard._common.encoding import as_bytes
from entra_guard._common.guid import is_guid
from entra_guard._common.shared import Shared
from entra_guard._keys.health import Health
from entra_guard._validation import jws
from entra_guard._validation.openid_claims import OpenIdClaims, read_routing_claims
from entra_guard.errors import AccessError, ConfigurationError, KeysUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from entra_guard._guard.verifier import IssuerVerifier
    from entra_guard._validation.explain import Explanation
    from entra_guard.policy import Policy
    from entra_guard.principal import Principal


class CombinedGuard(Shared):
    """Accepts what one of its guards accepts: made by `guard_a | guard_b`.

    Args:
        guards: In the order in which they are tried; the first one refuses tokens of unknown issuers.

    Raises:
        ConfigurationError: There is none, or one of them is not a guard.

    Example:
        >>> from entra_guard import Guard
        >>> ours = Guard(tenant="aaaabbbb-0000-cccc-1111-dddd2222eeee", audience="api://orders")
        >>> partners = Guard(authority="https://partner.ciamlogin.com",
        ...                  tenant="bbbbcccc-1111-dddd-2222-eeee3333ffff", audience="api://orders")
        >>> guard = ours | partners
    """

    def __init__(self, *guards: IssuerVerifier) -> None:
        if not guards:
            raise ConfigurationError("CombinedGuard needs at least one guard, as in guard_a | guard_b")
        for guard in guards:
            if not hasattr(guard, "issues"):
                raise ConfigurationError(
                    f"a guard can be combined with guards only, got {type(guard).__name__}. "
                    "Combine them with |, as in guard_a | guard_b"
                )
        self.guards = guards

    def __or__(self, other: IssuerVerifier | CombinedGuard) -> CombinedGuard:
        """Accept what the other accepts, too."""
        return CombinedGuard(*self.guards, *guards_of(other))

    def verify(self, token: str | bytes) -> Principal:
        """Verify a token with the guard of its issuer: see `Guard.verify`."""
        try:
            raw = as_bytes(token)
            selection = self._select(raw)
            guard = next(selection)
            while True:
                try:
                    return guard.verify(raw)
                except AccessError as error:
                    guard = selection.send(error)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    async def averify(self, token: str | bytes) -> Principal:
        """Do what `verify` does without blocking an event loop."""
        try:
            raw = as_bytes(token)
            selection = self._select(raw)
            guard = next(selection)
            while True:
                try:
                    return await guard.averify(raw)
                except AccessError as error:
                    guard = selection.send(error)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    @public
    def explain(self, token: str | bytes) -> Explanation:
        """Check a token against the whole checklist of the guard that accepts or refuses it."""
        raw = as_bytes(token)
        selected = self.guards[0]
        selection = self._select(raw)
        with suppress(AccessError):
            selected = next(selection)
            while (refusal := _refusal(selected, raw)) is not None:
                selected = selection.send(refusal)
        return selected.explain(raw)

    def health(self) -> Health:
        """Return the health of all keys: ready while one of them is, 'degraded' unless all are 'ok'."""
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
    def reasons_url(self) -> str:
        """The page with a section for each reason, as the first guard that has one names it."""
        return next((guard.reasons_url for guard in self.guards if guard.reasons_url), "")

    @property
    def needs_event_loop(self) -> bool:
        """Whether only `averify` works with one of the guards."""
        return any(guard.needs_event_loop for guard in self.guards)

    @property
    def trace_users(self) -> bool:
        """Whether a hash of the user is put on the span of a request: if all guards allow it."""
        return all(guard.trace_users for guard in self.guards)

    def seconds_left(self, principal: Principal) -> float:
        """Return for how many seconds a caller's token is still accepted; negative once it is not."""
        return self.guards[0].seconds_left(principal)

    @public
    def revoke(self, object_id: str, *, since: float | datetime | None = None) -> None:
        """Refuse a caller's older tokens in each guard that knows such ids: see `Guard.revoke`."""
        fitting = [
            guard for guard in self.guards if not guard.authority.is_entra or is_guid(str(object_id).lower())
        ]
        for guard in fitting or self.guards[:1]:  # which raises
            guard.revoke(object_id, since=since)

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether a caller's token was issued before the time that `revoke` was called with."""
        return any(guard.is_revoked(principal) for guard in self.guards)

    @contextmanager
    def watch(self, principal: Principal, end: Callable[[], object]) -> Generator[None]:
        """Return a context in which `end` is called, on any thread, if the caller is revoked."""
        with ExitStack() as stack:
            for guard in self.guards:
                stack.enter_context(guard.watch(principal, end))
            yield

    def _select(self, token: bytes) -> Generator[IssuerVerifier, AccessError, None]:
        """Yield the guard to use and receive its refusal; at the end raise the one that counts.

        As a generator, so that `verify` and `averify` differ only in how they wait.
        """
        claims = _unverified(token)
        fitting = [guard for guard in self.guards if _fits(guard.policy, claims)]
        refusals: list[tuple[IssuerVerifier, AccessError]] = []
        # Guards that know their issuer come first.
        for guard in sorted(fitting, key=lambda guard: guard.issues(claims) is None):
            if guard.issues(claims) is not False:
                refusals += [(guard, (yield guard))]
        if not refusals:
            named = (guard for guard in self.guards if guard.issues(claims))
            refusals.append((guard := next(named, self.guards[0]), (yield guard)))
        raise _decisive_refusal(refusals, claims)


def guards_of(guard: IssuerVerifier | CombinedGuard) -> tuple[IssuerVerifier, ...]:
    """Return the guards of a combined guard, or the one guard."""
    return guard.guards if isinstance(guard, CombinedGuard) else (guard,)


def _decisive_refusal(
    refusals: list[tuple[IssuerVerifier, AccessError]], claims: OpenIdClaims
) -> AccessError:
    """Prefer the matching issuer's error, then KeysUnavailableError, then the first."""
    for guard, error in refusals:
        if guard.issues(claims):
            return error
    errors = [error for _guard, error in refusals]
    return next((error for error in errors if isinstance(error, KeysUnavailableError)), errors[0])


def _refusal(guard: IssuerVerifier, token: bytes) -> AccessError | None:
    try:
        guard.verify(token)
    except AccessError as error:
        return error
    return None


def _unverified(token: bytes) -> OpenIdClaims:
    """Return a token's claims without verifying it; none if it is not a token, as any guard reports."""
    with suppress(AccessError):
        return read_routing_claims(jws.decode(jws.split(token)[1]))
    return OpenIdClaims()


def _fits(policy: Policy, claims: OpenIdClaims) -> bool:
    """Return whether the token's audience, and its tenant if tenants are listed, are those of a policy."""
    audiences = {claims.aud} if isinstance(claims.aud, str) else {*claims.aud}
    return not policy.accepted.isdisjoint(audiences) and (
        not policy.tenants.ids or claims.tid in policy.tenants.ids
    )
