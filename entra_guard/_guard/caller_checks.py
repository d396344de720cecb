"""Check a verified caller with every request: revocation, the tenant rule, groups. Cached tokens, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from entra_guard._guard.revocations import Revocations
from entra_guard._guard.tenant_rule import TenantRule
from entra_guard._validation.explain import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.policy import Tenants
    from entra_guard.principal import Principal


class Groups(Protocol):
    """Adds groups to a verified caller; see `entra_guard.graph.GroupResolver`."""

    def add_groups(self, principal: Principal) -> Principal:
        """Return the caller with its groups.

        Raises:
            AccessError: The groups are not available.
        """
        ...

    async def add_groups_async(self, principal: Principal) -> Principal:
        """Do what `add_groups` does without blocking an event loop."""
        ...


class CallerChecks:
    """Revocation, the rule of `Tenants.where`, and the groups that are added.

    Args:
        tenants: With the rule, if there is one.
        groups: Resolves groups; None adds none.
        is_entra: Whether the issuer is Entra.
        monotonic: Seconds that only increase.

    Attributes:
        are_needed: Whether there is a rule or a resolver of groups. Revocations are needed from the first on.
    """

    def __init__(
        self, tenants: Tenants, groups: Groups | None, *, is_entra: bool, monotonic: Callable[[], float]
    ) -> None:
        self.groups = groups
        self.revocations = Revocations(is_entra=is_entra)
        self.tenant_rule = None if tenants.rule is None else TenantRule(tenants, monotonic)
        self.are_needed = groups is not None or self.tenant_rule is not None

    @property
    def need_event_loop(self) -> bool:
        """Whether only `complete_async` works: the rule is async."""
        return self.tenant_rule is not None and self.tenant_rule.is_async

    def complete(self, principal: Principal) -> Principal:
        """Check a caller, and return it with its groups.

        Raises:
            AccessError: It is refused, or a check cannot be made now.
        """
        self.revocations.check(principal)
        if self.tenant_rule is not None:
            self.tenant_rule.check(principal.tenant_id)
        return principal if self.groups is None else self.groups.add_groups(principal)

    async def complete_async(self, principal: Principal) -> Principal:
        """Do what `complete` does without blocking an event loop."""
        self.revocations.check(principal)
        if self.tenant_rule is not None:
            await self.tenant_rule.check_async(principal.tenant_id)
        return principal if self.groups is None else await self.groups.add_groups_async(principal)

    def steps(self, principal: Principal | None, reason: str, facts: Mapping[str, object]) -> list[Step]:
        """Return what `explain` shows of these checks.

        Args:
            principal: The caller; None if the token was refused before.
            reason: Why the token is refused, '' if it is not.
            facts: Of the refusal.
        """
        steps: list[Step] = []
        if reason == "token_revoked":
            steps.append(Step("revocation", "fail", facts["expected"], facts.get("found"), reason))
        if self.tenant_rule is None:
            return steps
        if principal is None or self.need_event_loop:
            return [*steps, Step("tenant rule", "open")]
        why = reason if reason in {"wrong_tenant", "tenants_unavailable"} else ""
        verdict, expected = "fail" if why else "pass", "a tenant that the rule accepts"
        return [*steps, Step("tenant rule", verdict, expected, principal.tenant_id, why)]
