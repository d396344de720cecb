"""Register tenants, apps with their service principals, users and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from entra_guard.emulator._directory.rules import RegistrationError, check, check_name, check_user_name
from entra_guard.emulator._store.directory import without
from entra_guard.emulator._store.entries import (
    Accounts,
    AgentIdentity,
    AppRegistration,
    AppRole,
    Group,
    RequiredAccess,
    Scope,
    ServicePrincipal,
    Tenant,
    User,
)
from entra_guard.emulator._store.first_directory import with_first_party
from entra_guard.emulator._store.one_or_several import as_names
from entra_guard.emulator._store.permissions import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entra_guard.emulator._directory.lookup import App, Lookup, Person
    from entra_guard.emulator._directory.people import People
    from entra_guard.emulator._store.store import Store


class Registrations:
    """Add, change and remove directory entries."""

    def __init__(self, lookup: Lookup, people: People) -> None:
        self._lookup = lookup
        self._people = people
        self.store: Store = lookup.store

    def add_tenant(self, name: str, *, domain: str | None = None, tenant_id: str | None = None) -> Tenant:
        """Add an organisation.

        Args:
            name: Its display name.
            domain: Its verified domain; by default `<name>.onmicrosoft.com`.
            tenant_id: Its GUID; by default a new one.

        Raises:
            RegistrationError: A tenant with that id or domain exists.
        """
        store, plain = self.store, "".join(c for c in name.lower() if c.isalnum())
        identifier = (tenant_id or store.ids.guid()).lower()
        tenant = Tenant(identifier, name, (domain or f"{plain}.onmicrosoft.com").lower())
        if store.directory.tenant(tenant.id) or store.directory.tenant(tenant.domain):
            raise RegistrationError(
                f"A tenant {tenant.domain} or {tenant.id} exists already: choose another domain and id."
            )
        with store.lock:
            store.upsert(tenants=tenant)
            store.change(directory=with_first_party(store.directory, tenant))
        return tenant

    def register_app(
        self,
        name: str,
        *,
        tenant: Tenant | str | None = None,
        accounts: Accounts = "AzureADMyOrg",
        app_roles: Iterable[AppRole | str] = (),
        scopes: Iterable[Scope | str] = (),
        token_version: Literal[1, 2] | None = 2,
        identifier_uris: Sequence[str] | None = None,
        redirect_uris: Sequence[str] = (),
        spa_redirect_uris: Sequence[str] = (),
        public_redirect_uris: Sequence[str] = (),
        public_client: bool = False,
        optional_claims: Sequence[str] = (),
        group_claims: bool = False,
        assignment_required: bool = False,
        client_id: str | None = None,
        is_blueprint: bool = False,
        permissions: Mapping[AppRegistration, Sequence[str]] | Mapping[str, Sequence[str]] | None = None,
    ) -> AppRegistration:
        """Register an app, an API or a client, and its service principal in its own tenant.

        Args:
            name: Display name.
            tenant: Home tenant, by id or domain; Contoso by default.
            accounts: Who may use it, the `signInAudience`.
            app_roles: Roles of the API; a string is a role for apps and users.
            scopes: Delegated permissions of the API; a string is one that users may consent to.
            token_version: Version of the access tokens this API receives; None is Entra's default, 1.
            identifier_uris: App ID URIs; `api://<client id>` by default, `()` for none.
            redirect_uris: Redirect URIs of its web platform.
            spa_redirect_uris: Redirect URIs of its single-page platform, which redeems codes in a browser.
            public_redirect_uris: Redirect URIs of its desktop and mobile platform.
            public_client: Whether it may use flows without a credential.
            optional_claims: Optional claims of its access tokens: `idtyp`, `email`, `xms_cc`, ...
            group_claims: Whether its tokens list the user's groups.
            assignment_required: Whether clients need an assigned role to get a token.
            client_id: A fixed client id; by default a new GUID.
            is_blueprint: Whether it is an agent identity blueprint, which `add_agent` gives agents. Users
                call it as an API (`scopes`) if its agents act for them.
            permissions: Roles and scopes that it needs of other APIs, by value; admin consent grants them.
                Where a role and a scope have the same value, `role:` or `scope:` before it selects the kind.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        store, home = self.store, self._lookup.find_tenant(tenant)
        app_id = client_id or store.ids.guid()
        app = AppRegistration(
            client_id=app_id,
            object_id=app_id if is_blueprint else store.ids.guid(),
            tenant_id=home.id,
            name=name,
            accounts=accounts,
            service_principal_id=store.ids.guid(),
            identifier_uris=(f"api://{app_id}",) if identifier_uris is None else as_names(identifier_uris),
            app_roles=tuple(self._new_role(role) for role in as_names(app_roles)),
            scopes=tuple(self._new_scope(scope) for scope in as_names(scopes)),
            token_version=token_version,
            redirect_uris=as_names(redirect_uris),
            spa_redirect_uris=as_names(spa_redirect_uris),
            public_redirect_uris=as_names(public_redirect_uris),
            public_client=public_client,
            optional_claims=as_names(optional_claims),
            group_claims=group_claims,
            required=tuple(self._access(api, values) for api, values in (permissions or {}).items()),
            created=store.now(),
            is_blueprint=is_blueprint,
        )
        return self._add_with_principal(app, assignment_required=assignment_required)

    def _access(self, api: App, names: Iterable[str]) -> RequiredAccess:
        found = self._lookup.find_app(api)
        try:
            return RequiredAccess(found.client_id, tuple(named(found, name) for name in as_names(names)))
        except LookupError as error:
            raise RegistrationError(str(error)) from None

    def _new_role(self, role: AppRole | str) -> AppRole:
        return role if isinstance(role, AppRole) else AppRole(self.store.ids.guid(), role, display_name=role)

    def _new_scope(self, scope: Scope | str) -> Scope:
        return scope if isinstance(scope, Scope) else Scope(self.store.ids.guid(), scope, display_name=scope)

    def add_app(self, app: AppRegistration) -> AppRegistration:
        """Add a registration without a service principal, as Graph does.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        check(app, self._lookup.find_tenant(app.tenant_id))
        if app.client_id in self.store.directory.apps:
            raise RegistrationError(
                f"An app with the client id {app.client_id} exists already: choose another client id."
            )
        self._check_names_free(app)
        self.store.upsert(apps=app)
        return app

    def _add_with_principal(self, app: AppRegistration, *, assignment_required: bool) -> AppRegistration:
        self.add_app(app)
        principal = ServicePrincipal(
            app.service_principal_id,
            app.client_id,
            app.tenant_id,
            app.name,
            assignment_required,
            created=self.store.now(),
        )
        self.store.upsert(principals=principal)
        return app

    def remove_principal(self, principal_id: str) -> None:
        """Remove an app or an agent from a tenant, with its role assignments and grants there.

        A blueprint's agents in that tenant are removed too, with their user accounts. The account of an agent
        that is removed alone stays.

        Source: https://learn.microsoft.com/en-us/entra/agent-id/concept-agent-identity-deletion
        """
        with self.store.lock:
            removed = self.store.directory.principals.get(principal_id)
            if removed is not None:
                self._remove_agents_of(removed.app_id, removed.tenant_id)
            self._remove_principal(principal_id)

    def _remove_agents_of(self, blueprint_id: str, tenant_id: str) -> None:
        for agent in self.store.directory.agents.values():
            if (agent.blueprint_id, agent.tenant_id) == (blueprint_id, tenant_id):
                self._remove_principal(agent.id)
                for user in self.store.directory.users_in(tenant_id):
                    if user.agent_id == agent.id:
                        self._people.remove_user(user)

    def _remove_principal(self, principal_id: str) -> None:
        directory = self.store.directory
        assignments = {
            key: a
            for key, a in directory.assignments.items()
            if principal_id not in {a.principal_id, a.resource_id}
        }
        grants = {
            key: g for key, g in directory.grants.items() if principal_id not in {g.client_id, g.resource_id}
        }
        self.store.change(
            directory=replace(
                directory,
                principals=without(directory.principals, principal_id),
                agents=without(directory.agents, principal_id),
                assignments=assignments,
                grants=grants,
            )
        )

    def remove_app(self, app: App) -> None:
        """Delete a registration with its credentials, service principals, agents and their accounts."""
        removed = self._lookup.find_app(app)
        for principal in self.store.directory.principals.values():
            if principal.app_id == removed.client_id:
                self.remove_principal(principal.id)
        self._remove_agents_of(removed.client_id, removed.tenant_id)
        self.store.remove(apps=removed.client_id, credentials=removed.client_id)

    def _check_names_free(self, app: AppRegistration) -> None:
        others = (a for a in self.store.directory.apps.values() if a.client_id != app.client_id)
        if app.unique_name is not None and any(a.unique_name == app.unique_name for a in others):
            raise RegistrationError(f"unique_name {app.unique_name!r} already belongs to another app.")
        for uri in app.identifier_uris:
            other = self.store.directory.resource(uri, app.tenant_id)
            if other is not None and other.client_id != app.client_id:
                raise RegistrationError(
                    f"App ID URI {uri} already belongs to {other.name} ({other.client_id}): choose another."
                )

    def update_app(self, app: App, /, **changes: Any) -> AppRegistration:
        """Change a registration: `update_app(api, token_version=1)`. Returns the new registration.

        Raises:
            RegistrationError: Entra would refuse the change.
        """
        changed = replace(self._lookup.find_app(app), **changes)
        check(changed, self._lookup.find_tenant(changed.tenant_id))
        self._check_names_free(changed)
        self.store.upsert(apps=changed)
        return changed

    def add_user(
        self,
        name: str,
        *,
        tenant: Tenant | str | None = None,
        display_name: str | None = None,
        home: Tenant | str | None = None,
        agent: AgentIdentity | str | None = None,
    ) -> User:
        """Add a user; with `home`, a guest from another tenant; with `agent`, the account of an AI agent.

        Args:
            name: The user principal name, or its part before the @.
            tenant: The tenant; Contoso by default.
            display_name: By default derived from the name.
            home: A guest's own tenant.
            agent: The agent identity, or its id, whose account it is: only this agent gets tokens for it, and
                it cannot sign in. An agent has at most one account.

        Raises:
            RegistrationError: The user exists, its name is not valid, or the agent is missing or has one.
        """
        owner = None if agent is None else self._agent_without_account(agent)
        tenant = self._lookup.find_tenant(tenant if owner is None else owner.tenant_id)
        origin = self._lookup.find_tenant(home) if home else tenant
        mail = name if "@" in name else f"{name}@{origin.domain}"
        upn = mail if origin is tenant else f"{mail.replace('@', '_')}#EXT#@{tenant.domain}"
        check_user_name(upn)
        shown = display_name or mail.partition("@")[0].replace(".", " ").title()
        check_name(shown)
        given, _, surname = shown.partition(" ")
        identifier = self.store.ids.guid()
        user = User(identifier, tenant.id, upn, shown, given, surname, mail, home_tenant_id=origin.id)
        user = replace(user, agent_id=owner.id if owner else "")
        if self.store.directory.user(upn, tenant.id):
            raise RegistrationError(f"The user {upn} exists already in {tenant.name}: choose another name.")
        self.store.upsert(users=user)
        return user

    def _agent_without_account(self, agent: AgentIdentity | str) -> AgentIdentity:
        agent_id, directory = agent if isinstance(agent, str) else agent.id, self.store.directory
        found = directory.agents.get(agent_id)
        if found is None:
            raise RegistrationError(f"There is no agent identity {agent_id}: call add_agent() first.")
        if any(user.agent_id == found.id for user in directory.users.values()):
            raise RegistrationError(f"The agent {found.name} has a user account already: it can have one.")
        return found

    def add_group(self, name: str, *members: Person, tenant: Tenant | str | None = None) -> Group:
        """Add a security group with these members.

        Raises:
            LookupError: A member does not exist.
            RegistrationError: The name is empty or too long.
        """
        check_name(name)
        tenant = self._lookup.find_tenant(tenant)
        users = (self._lookup.find_user(member, tenant) for member in members)
        group = Group(self.store.ids.guid(), tenant.id, name, tuple(user.id for user in users))
        self.store.upsert(groups=group)
        return group
