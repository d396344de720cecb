"""The directory as an immutable value: its entries by identifier, and what can be looked up in it.

A change creates a new `Directory` that shares all other entries. So a snapshot is a reference, and
restoring it costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the state file reads the annotations)
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from entra_guard.emulator._store.entries import (
    AgentIdentity,
    AppRegistration,
    DelegatedGrant,
    Group,
    ManagedIdentity,
    RoleAssignment,
    ServicePrincipal,
    StoredCredentials,
    Tenant,
    User,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
V = TypeVar("V")


def _empty() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Directory:
    """All entries, by identifier."""

    tenants: Mapping[str, Tenant] = field(default_factory=_empty)
    apps: Mapping[str, AppRegistration] = field(default_factory=_empty)
    credentials: Mapping[str, StoredCredentials] = field(default_factory=_empty)
    principals: Mapping[str, ServicePrincipal] = field(default_factory=_empty)
    users: Mapping[str, User] = field(default_factory=_empty)
    groups: Mapping[str, Group] = field(default_factory=_empty)
    assignments: Mapping[str, RoleAssignment] = field(default_factory=_empty)
    grants: Mapping[str, DelegatedGrant] = field(default_factory=_empty)
    identities: Mapping[str, ManagedIdentity] = field(default_factory=_empty)
    agents: Mapping[str, AgentIdentity] = field(default_factory=_empty)

    def tenant(self, name: str) -> Tenant | None:
        """Return the tenant of that id or verified domain, in any letter case."""
        wanted = name.lower()
        found = self.tenants.get(wanted)
        return found or next((t for t in self.tenants.values() if t.domain == wanted), None)

    def client(self, client_id: str) -> AppRegistration | None:
        """Return the registration of a client; an agent identity has none, so one is made from it."""
        agent = self.agents.get(client_id)
        if agent is None:
            return self.apps.get(client_id)
        return AppRegistration(agent.id, "", agent.tenant_id, agent.name, service_principal_id=agent.id)

    def principal_of(self, client_id: str, tenant_id: str) -> ServicePrincipal | None:
        """Return the app's service principal in that tenant."""
        return next((p for p in self.principals_in(tenant_id) if p.app_id == client_id), None)

    def principals_in(self, tenant_id: str) -> Iterator[ServicePrincipal]:
        return (p for p in self.principals.values() if p.tenant_id == tenant_id)

    def user(self, name: str, tenant_id: str) -> User | None:
        """Return the user of that id, principal name or mail address, or the part of these before the @."""
        return next((u for u in self.users_in(tenant_id) if name in u.names()), None)

    def users_in(self, tenant_id: str) -> Iterator[User]:
        return (u for u in self.users.values() if u.tenant_id == tenant_id)

    def resource(self, name: str, tenant_id: str) -> AppRegistration | None:
        """Return the API of that client id or App ID URI in the tenant; a final slash is ignored."""
        wanted = name.removesuffix("/")
        return next((app for app in self.apps_in(tenant_id) if _has_name(app, wanted)), None)

    def apps_in(self, tenant_id: str) -> Iterator[AppRegistration]:
        return (self.apps[p.app_id] for p in self.principals_in(tenant_id) if p.app_id in self.apps)

    def credentials_of(self, client_id: str) -> StoredCredentials:
        return self.credentials.get(client_id, StoredCredentials())

    def group_ids_of(self, user_id: str) -> tuple[str, ...]:
        return tuple(g.id for g in self.groups.values() if user_id in g.members)

    def roles_of(self, principal_ids: frozenset[str], resource_id: str) -> tuple[str, ...]:
        """Return the ids of that API's app roles assigned to any of these principals, in order."""
        held = (a for a in self.assignments.values() if a.resource_id == resource_id)
        return tuple(dict.fromkeys(a.role_id for a in held if a.principal_id in principal_ids))

    def scopes_of(self, client_sp: str, resource_sp: str, user_id: str) -> tuple[str, ...]:
        """Return the API's scopes that this client may use: by consent, or as the API authorized it."""
        held = (g for g in self.grants.values() if (g.client_id, g.resource_id) == (client_sp, resource_sp))
        consented = (s for g in held if g.principal_id in {None, user_id} for s in g.scopes)
        return tuple(dict.fromkeys((*consented, *self._authorized_scopes(client_sp, resource_sp))))

    def _authorized_scopes(self, client_sp: str, resource_sp: str) -> Iterator[str]:
        client, resource = self.principals.get(client_sp), self.principals.get(resource_sp)
        api = self.apps.get(resource.app_id) if resource else None
        if client is None or api is None:
            return
        ids = {i for c in api.authorized_clients if c.client_id == client.app_id for i in c.scope_ids}
        yield from (scope.value for scope in api.scopes if scope.enabled and scope.id in ids)

    def grant_of(
        self, client_sp: str, resource_sp: str, principal_id: str | None = None
    ) -> DelegatedGrant | None:
        """Return the grant of a client for an API: for one user, or for all users without a user."""
        wanted = client_sp, resource_sp, principal_id
        grants = self.grants.values()
        return next((g for g in grants if (g.client_id, g.resource_id, g.principal_id) == wanted), None)

    def held_by(self, principal_id: str) -> dict[str, tuple[str, ...]]:
        """Return the app roles of an app or a user, and the scopes of an app, by API name.

        Roles of a user's groups are not included.
        """
        roles = (
            (a.resource_id, (self._role_value(a),))
            for a in self.assignments.values()
            if a.principal_id == principal_id
        )
        scopes = ((g.resource_id, g.scopes) for g in self.grants.values() if g.client_id == principal_id)
        found: dict[str, tuple[str, ...]] = {}
        for api, values in (*roles, *scopes):
            name = self.principals[api].name
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *values)))
        return found

    def _role_value(self, assignment: RoleAssignment) -> str:
        app = self.apps.get(self.principals[assignment.resource_id].app_id)
        values = (role.value for role in (app.app_roles if app else ()) if role.id == assignment.role_id)
        return next(values, assignment.role_id)


def _has_name(app: AppRegistration, wanted: str) -> bool:
    return any(name.removesuffix("/") == wanted for name in app.names())


def with_entry(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """Return the mapping with one entry added or replaced."""
    return {**mapping, key: value}


def without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    """Return the mapping without one entry."""
    return {k: v for k, v in mapping.items() if k != key}


def upsert(directory: Directory, **entries: Any) -> Directory:
    """Return the directory with the entries added or replaced, by identifier: `upsert(d, users=alice)`."""
    changes = {part: with_entry(getattr(directory, part), identifier_of(e), e) for part, e in entries.items()}
    return replace(directory, **changes)


def identifier_of(entry: Any) -> str:
    return str(entry.client_id) if isinstance(entry, AppRegistration) else str(entry.id)
