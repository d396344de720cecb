"""Consent and assignment: who may use which permission of which API."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from entra_guard.emulator._directory.registration import Registrar
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._store.directory import (
    AppRegistration,
    AppRole,
    DelegatedGrant,
    Group,
    ManagedIdentity,
    RoleAssignment,
    ServicePrincipal,
    Tenant,
    User,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.emulator._directory.lookup import App, Person


class Consents(Registrar):
    """What an administrator consents to and assigns."""

    def consent(self, app: App, *, tenant: Tenant | str | None = None) -> ServicePrincipal:
        """Make an app present in a tenant, as the first consent of anyone there does.

        Raises:
            RegistrationError: The app is for its own organisation only.
        """
        guest, where = self.find_app(app), self.find_tenant(tenant)
        present = self.directory.principal_of(guest.client_id, where.id)
        if present is not None:
            return present
        if guest.accounts == "AzureADMyOrg" and where.id != guest.tenant_id:
            raise RegistrationError(
                f"{guest.name} is a single-tenant app: register it with AzureADMultipleOrgs."
            )
        principal = ServicePrincipal(
            self.ids.guid(), guest.client_id, where.id, guest.name, created=self.now()
        )
        self.put(principals=principal)
        return principal

    def grant(
        self, client: App | ManagedIdentity, api: App, *roles: str, tenant: Tenant | str | None = None
    ) -> tuple[RoleAssignment, ...]:
        """Give a client application permissions of an API, with admin consent.

        Args:
            client: Who gets them.
            api: Whose they are.
            roles: Values of the API's app roles.
            tenant: Where; by default the client's home tenant.

        Raises:
            RegistrationError: No role named, or one the API does not offer to applications.
        """
        if isinstance(client, ManagedIdentity):
            home = self.find_tenant(client.tenant_id)
            return self._assign(client.principal_id, "ServicePrincipal", api, roles, home)
        where = tenant or self.find_app(client).tenant_id
        principal = self.consent(client, tenant=where)
        return self._assign(principal.id, "ServicePrincipal", api, roles, self.find_tenant(where))

    def assign(self, who: Person | Group, api: App, *roles: str) -> tuple[RoleAssignment, ...]:
        """Give a user or a group app roles of an API.

        Raises:
            RegistrationError: No role named, or one the API does not offer to users.
        """
        holder = who if isinstance(who, Group) else self.find_user(who)
        kind: Literal["Group", "User"] = "Group" if isinstance(holder, Group) else "User"
        return self._assign(holder.id, kind, api, roles, self.find_tenant(holder.tenant_id))

    def revoke(self, who: App | User) -> None:
        """End a principal's sessions: refresh tokens, and tokens already issued for Graph, count no more.

        Graph answers those tokens with a claims challenge, as continuous access evaluation does.

        Args:
            who: A user, or an app for its service principals.
        """
        if isinstance(who, User):
            principals = [who.id]
        else:
            client_id = self.find_app(who).client_id
            principals = [p.id for p in self.directory.principals.values() if p.app_id == client_id]
        for principal_id in principals:
            self.change(sessions=self.state.sessions.with_revoked(principal_id, math.floor(self.now()) + 1.0))

    def _assign(
        self,
        principal_id: str,
        kind: Literal["ServicePrincipal", "User", "Group"],
        api: App,
        roles: Iterable[str],
        where: Tenant,
    ) -> tuple[RoleAssignment, ...]:
        resource = self.find_app(api)
        target = self.consent(resource, tenant=where)
        member = "Application" if kind == "ServicePrincipal" else "User"
        wanted = [_offered(resource, value, member) for value in roles]
        if not wanted:
            raise RegistrationError(
                f"Name at least one app role of {resource.name}: {_listed(resource, member)}."
            )
        made = tuple(
            RoleAssignment(self.ids.text(32), where.id, principal_id, kind, target.id, role.id, self.now())
            for role in wanted
        )
        for assignment in made:
            self.put(assignments=assignment)
        return made

    def grant_delegated(
        self,
        client: App,
        api: App,
        *scopes: str,
        user: Person | None = None,
        tenant: Tenant | str | None = None,
    ) -> DelegatedGrant:
        """Consent to delegated permissions, for one user or for everyone in the tenant.

        Raises:
            RegistrationError: No scope named, or one the API does not have.
        """
        resource, where = self.find_app(api), self.find_tenant(tenant or self.find_app(client).tenant_id)
        known = [s.value for s in resource.scopes if s.enabled]
        unknown = [s for s in scopes if s not in known]
        if unknown or not scopes:
            raise RegistrationError(f"{resource.name} offers these scopes: {', '.join(known) or 'none'}.")
        grant = DelegatedGrant(
            self.ids.text(32),
            where.id,
            self.consent(client, tenant=where).id,
            self.consent(resource, tenant=where).id,
            scopes,
            None if user is None else self.find_user(user, where).id,
        )
        self.put(grants=grant)
        return grant


def _offered(api: AppRegistration, value: str, member: str) -> AppRole:
    role = next((r for r in api.app_roles if r.value == value), None)
    if role is None:
        raise RegistrationError(f"{api.name} has no app role {value!r}; it has: {_listed(api, member)}.")
    if not role.enabled:
        raise RegistrationError(f"The app role {value!r} of {api.name} is disabled.")
    if member not in role.allowed_member_types:
        raise RegistrationError(
            f"{api.name} does not offer {value!r} to {member}s: see allowed_member_types."
        )
    return role


def _listed(api: AppRegistration, member: str) -> str:
    return ", ".join(r.value for r in api.app_roles if member in r.allowed_member_types) or "none"
