"""Grant and revoke: consent, app roles, delegated permissions, sessions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._store.entries import (
    AgentIdentity,
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

    from entra_guard.emulator._directory.lookup import App, Lookup, Person

Kind = Literal["ServicePrincipal", "User", "Group"]


class Consents:
    """Do what an administrator does: consent, assign, revoke."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._store = lookup.store

    def consent(self, app: App, *, tenant: Tenant | str | None = None) -> ServicePrincipal:
        """Return the app's service principal in a tenant, creating it as the first consent there does.

        Raises:
            RegistrationError: The app is for its own organisation only.
        """
        registration, tenant = self._lookup.find_app(app), self._lookup.find_tenant(tenant)
        present = self._store.directory.principal_of(registration.client_id, tenant.id)
        if present is not None:
            return present
        if registration.accounts == "AzureADMyOrg" and tenant.id != registration.tenant_id:
            raise RegistrationError(
                f"{registration.name} is a single-tenant app: register it with AzureADMultipleOrgs."
            )
        principal = ServicePrincipal(
            self._store.ids.guid(),
            registration.client_id,
            tenant.id,
            registration.name,
            created=self._store.now(),
        )
        self._store.upsert(principals=principal)
        return principal

    def grant(
        self,
        client: App | ManagedIdentity | AgentIdentity,
        api: App,
        *roles: str,
        tenant: Tenant | str | None = None,
    ) -> tuple[RoleAssignment, ...]:
        """Assign app roles of an API to a client application, with admin consent.

        Args:
            client: The client application, a managed identity or an agent identity.
            api: The API.
            roles: Values of the API's app roles.
            tenant: The tenant; by default the client's home tenant.

        Raises:
            RegistrationError: No role is named, or the API does not offer one of them to applications.
        """
        if isinstance(client, ManagedIdentity | AgentIdentity):
            home = self._lookup.find_tenant(client.tenant_id)
            return self._assign_roles(client.id, "ServicePrincipal", api, roles, home)
        tenant = self._lookup.find_tenant(tenant or self._lookup.find_app(client).tenant_id)
        principal = self.consent(client, tenant=tenant)
        return self._assign_roles(principal.id, "ServicePrincipal", api, roles, tenant)

    def assign(self, holder: Person | Group, api: App, *roles: str) -> tuple[RoleAssignment, ...]:
        """Assign app roles of an API to a user or a group.

        Raises:
            RegistrationError: No role is named, or the API does not offer one of them to users.
        """
        found = holder if isinstance(holder, Group) else self._lookup.find_user(holder)
        kind: Kind = "Group" if isinstance(found, Group) else "User"
        return self._assign_roles(found.id, kind, api, roles, self._lookup.find_tenant(found.tenant_id))

    def _assign_roles(
        self, principal_id: str, kind: Kind, api: App, roles: Iterable[str], tenant: Tenant
    ) -> tuple[RoleAssignment, ...]:
        resource = self._lookup.find_app(api)
        target = self.consent(resource, tenant=tenant)
        member = "Application" if kind == "ServicePrincipal" else "User"
        wanted = [_offered_role(resource, value, member) for value in roles]
        if not wanted:
            raise RegistrationError(
                f"No app role is named. {resource.name} offers: {_role_list(resource, member)}."
            )
        return tuple(self._assign_role(principal_id, kind, target, role.id) for role in wanted)

    def _assign_role(
        self, principal_id: str, kind: Kind, target: ServicePrincipal, role_id: str
    ) -> RoleAssignment:
        store, same = self._store, (principal_id, target.id, role_id)
        for present in store.directory.assignments.values():
            if (present.principal_id, present.resource_id, present.role_id) == same:
                return present
        made = RoleAssignment(
            store.ids.text(32), target.tenant_id, principal_id, kind, target.id, role_id, store.now()
        )
        store.upsert(assignments=made)
        return made

    def grant_delegated(
        self,
        client: App | AgentIdentity,
        api: App,
        *scopes: str,
        user: Person | None = None,
        tenant: Tenant | str | None = None,
    ) -> DelegatedGrant:
        """Consent to delegated permissions, for one user or for all users of the tenant.

        Raises:
            RegistrationError: No scope is named, or the API does not have one of them.
        """
        resource = self._lookup.find_app(api)
        tenant = self._lookup.find_tenant(tenant or self._lookup.find_client(client).tenant_id)
        known = [s.value for s in resource.scopes if s.enabled]
        unknown = [s for s in scopes if s not in known]
        if unknown or not scopes:
            problem = f"{resource.name} has no scope {unknown[0]!r}." if unknown else "No scope is named."
            raise RegistrationError(f"{problem} {resource.name} offers: {', '.join(known) or 'none'}.")
        holder = client.id if isinstance(client, AgentIdentity) else self.consent(client, tenant=tenant).id
        grantee = holder, self.consent(resource, tenant=tenant).id
        person = None if user is None else self._lookup.find_user(user, tenant).id
        present = self._store.directory.grant_of(*grantee, person)
        if present is None:
            grant = DelegatedGrant(self._store.ids.text(32), tenant.id, *grantee, scopes, person)
        else:
            grant = replace(present, scopes=tuple(dict.fromkeys((*present.scopes, *scopes))))
        self._store.upsert(grants=grant)
        return grant

    def revoke(self, principal: App | User | AgentIdentity) -> None:
        """End the sessions of a user, an app or an agent: its refresh tokens and its tokens for Graph end.

        Graph responds to these tokens with a claims challenge, as continuous access evaluation does.

        Args:
            principal: A user, an agent identity, or an app for its service principals.
        """
        store = self._store
        if isinstance(principal, User):
            principals = [principal.id]
        else:
            client_id = self._lookup.find_client(principal).client_id
            principals = [p.id for p in store.directory.principals.values() if p.app_id == client_id]
        since = math.floor(store.now()) + 1.0
        for principal_id in principals:
            store.change(sessions=store.state.sessions.with_revoked(principal_id, since))


def _offered_role(api: AppRegistration, value: str, member: str) -> AppRole:
    role = next((r for r in api.app_roles if r.value == value), None)
    if role is None:
        raise RegistrationError(
            f"{api.name} has no app role {value!r}. It offers: {_role_list(api, member)}."
        )
    if not role.enabled:
        raise RegistrationError(f"The app role {value!r} of {api.name} is disabled: enable it first.")
    if member not in role.allowed_member_types:
        raise RegistrationError(
            f"{api.name} does not offer {value!r} to {member}s: add {member} to allowed_member_types."
        )
    return role


def _role_list(api: AppRegistration, member: str) -> str:
    return ", ".join(r.value for r in api.app_roles if member in r.allowed_member_types) or "none"
