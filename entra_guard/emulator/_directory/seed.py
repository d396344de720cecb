"""Apply a seed: replace the directory by the tenants, applications and people that it describes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from entra_guard.emulator._directory.rules import (
    RegistrationError,
    check,
    check_user_name,
)
from entra_guard.emulator._directory.seed_credentials import credentials_of
from entra_guard.emulator._directory.seed_format import (
    AgentSeed,
    AppSeed,
    IdentitySeed,
    RoleSeed,
    ScopeSeed,
    Seed,
    TenantSeed,
    UserSeed,
)
from entra_guard.emulator._store.directory import Directory, with_entry
from entra_guard.emulator._store.entries import (
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    AgentIdentity,
    AppRegistration,
    AppRole,
    AuthorizedClient,
    Group,
    ManagedIdentity,
    RequiredAccess,
    Scope,
    ServicePrincipal,
    Tenant,
    User,
)
from entra_guard.emulator._store.first_directory import with_first_party
from entra_guard.emulator._store.first_party import FIRST_PARTY
from entra_guard.emulator._store.permissions import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from entra_guard.emulator._directory.seed_format import GroupSeed, Permissions
    from entra_guard.emulator._directory.service import DirectoryService

_Named = TypeVar("_Named", bound="AppSeed | GroupSeed | IdentitySeed | UserSeed")
_NAMESPACE: Final = uuid.UUID("6f2d1d7e-5f0a-4c63-9d53-6a1e5b7f0c11")
_KNOWN: Final = {"Contoso": CONTOSO, "Fabrikam": FABRIKAM}
_MEMBERS: Final = {"apps": "Application", "users": "User"}


def apply_seed(service: DirectoryService, seed: Seed) -> None:
    """Replace the whole directory by the one that a seed describes. On an error nothing changes.

    Raises:
        RegistrationError: Entra would refuse something; the message names it.
    """
    store = service.store
    with store.lock:
        before = store.state
        try:
            store.change(directory=_first(seed))
            for tenant in seed.tenants:
                _Applier(service, tenant).apply()
        except (LookupError, ValueError) as error:
            store.change(directory=before.directory)
            raise RegistrationError(str(error.args[0] if error.args else error)) from None


def tenant_of(seed: TenantSeed) -> Tenant:
    """Return the tenant of a seed."""
    plain = "".join(c for c in seed.name.lower() if c.isalnum()) or "tenant"
    domain = (seed.domain or f"{plain}.onmicrosoft.com").lower()
    identifier = seed.id or _KNOWN.get(seed.name) or _derived("tenant", seed.name)
    return Tenant(identifier.lower(), seed.name, domain, seed.region)


def _first(seed: Seed) -> Directory:
    """Return a directory with the seed's tenants, personal accounts' tenant, and Microsoft's own APIs."""
    tenants = [tenant_of(tenant) for tenant in seed.tenants]
    if CONSUMERS not in {tenant.id for tenant in tenants}:
        tenants.append(Tenant(CONSUMERS, "Microsoft Accounts", "live.com", "WW"))
    for what in ("id", "domain"):
        values = [getattr(tenant, what) for tenant in tenants]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise RegistrationError(f"Two tenants have the {what} {twice}: change one.")
    directory = Directory(tenants={t.id: t for t in tenants}, apps={a.client_id: a for a in FIRST_PARTY})
    for tenant in tenants:
        directory = with_first_party(directory, tenant)
    return directory


def _derived(*names: str) -> str:
    """Return a GUID that depends on the names alone."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join(names)))


class _Applier:
    """Add what one tenant's seed describes."""

    def __init__(self, service: DirectoryService, seed: TenantSeed) -> None:
        self._service = service
        self._store = service.store
        self._seed = seed
        self._tenant = tenant_of(seed)
        self._apps: dict[str, AppRegistration] = {}
        # Known before the users, some of whom are agents' accounts.
        self._agents = [*self._all_agents()]

    def apply(self) -> None:
        users = [UserSeed(user) if isinstance(user, str) else user for user in self._seed.users]
        given = self._seed.identities
        identities = [IdentitySeed(entry) if isinstance(entry, str) else entry for entry in given]
        self._each("user", users, self._add_user)
        self._each("group", self._seed.groups, self._add_group)
        self._each("app", self._seed.apps, self._add_app)
        self._each("app", self._seed.apps, self._add_permissions)
        for agent, seed in self._agents:
            self._add_agent(agent, seed)
        self._each("managed identity", identities, self._add_identity)
        self._each("user", users, self._assign_user)
        self._each("group", self._seed.groups, self._assign_group)

    def _each(self, kind: str, seeds: Iterable[_Named], add: Callable[[_Named], None]) -> None:
        """Add each entry. An error names the entry, which the rules do not know."""
        for seed in seeds:
            try:
                add(seed)
            except (LookupError, ValueError) as error:
                text = str(error.args[0] if error.args else error)
                raise RegistrationError(f"{self._tenant.name}, {kind} {seed.name!r}: {text}") from None

    def _id(self, given: str, *names: str) -> str:
        return given.lower() or _derived(self._tenant.id, *names)

    def _add_user(self, seed: UserSeed) -> None:
        home = self._home(seed.home) if seed.home else self._tenant
        mail = seed.name if "@" in seed.name else f"{seed.name}@{home.domain}"
        is_guest = home.id != self._tenant.id and "#EXT#" not in mail
        upn = f"{mail.replace('@', '_')}#EXT#@{self._tenant.domain}" if is_guest else mail
        shown = seed.display_name or mail.partition("@")[0].replace(".", " ").title()
        given, _, surname = shown.partition(" ")
        user = User(
            self._id(seed.id, "user", upn),
            self._tenant.id,
            upn,
            shown,
            given,
            surname,
            seed.mail or mail,
            seed.job_title,
            home.id,
            seed.enabled,
            self._agent_of(seed),
        )
        check_user_name(upn)
        if any(other.upn == upn for other in self._store.directory.users_in(self._tenant.id)):
            raise RegistrationError(f"The user {upn} is in the seed twice: remove one.")
        self._store.upsert(users=user)

    def _agent_of(self, seed: UserSeed) -> str:
        """Return the id of the agent whose account a user is; '' for a person."""
        if not seed.agent:
            return ""
        found = [a.id for a, _ in self._agents if seed.agent == a.name or seed.agent.lower() == a.id]
        if len(found) != 1:
            problem = "Two agents are" if found else "No agent is"
            raise RegistrationError(
                f"{problem} called {seed.agent!r} in {self._tenant.name}: name one of a blueprint, or its id."
            )
        if any(user.agent_id == found[0] for user in self._store.directory.users.values()):
            raise RegistrationError(f"The agent {seed.agent!r} has two accounts in the seed: remove one.")
        return found[0]

    def _home(self, name: str) -> Tenant:
        tenants = self._store.directory.tenants.values()
        by_name = next((tenant for tenant in tenants if tenant.name == name), None)
        return by_name or self._service.lookup.find_tenant(name)

    def _add_group(self, seed: GroupSeed) -> None:
        members = tuple(self._service.lookup.find_user(name, self._tenant).id for name in seed.members)
        identifier = self._group_id(seed)
        if identifier in self._store.directory.groups:
            raise RegistrationError("It is in the seed twice: rename one, or give each its id.")
        self._store.upsert(groups=Group(identifier, self._tenant.id, seed.name, members))

    def _group_id(self, seed: GroupSeed) -> str:
        return self._id(seed.id, "group", seed.name)

    def _add_app(self, seed: AppSeed) -> None:
        app = self._registration(seed)
        if app.client_id in self._apps or app.service_principal_id in self._store.directory.principals:
            raise RegistrationError(
                "It is in the seed twice: rename one, or give each a client_id, an object_id and a "
                "service_principal_id."
            )
        check(app, self._tenant)
        self._service.registrations.add_app(app)
        principal = ServicePrincipal(
            app.service_principal_id,
            app.client_id,
            self._tenant.id,
            app.name,
            seed.assignment_required,
            seed.enabled,
            created=app.created,
        )
        self._store.upsert(principals=principal)
        self._store.change(
            directory=replace(
                self._store.directory,
                credentials=with_entry(
                    self._store.directory.credentials,
                    app.client_id,
                    credentials_of(app, seed, self._store.now(), _derived),
                ),
            )
        )
        self._apps[app.client_id] = app

    def _client_id(self, seed: AppSeed) -> str:
        return self._id(seed.client_id, "app", seed.name)

    def _registration(self, seed: AppSeed) -> AppRegistration:
        client_id = self._client_id(seed)
        is_api = bool(seed.roles or seed.scopes)
        uris = ([f"api://{client_id}"] if is_api else []) if seed.app_id_uris is None else seed.app_id_uris
        scopes = tuple(self._scope(client_id, scope) for scope in seed.scopes)
        return AppRegistration(
            client_id=client_id,
            # A blueprint has one id, as object and as client.
            object_id=client_id if seed.blueprint else self._id(seed.object_id, "object", seed.name),
            is_blueprint=seed.blueprint,
            tenant_id=self._tenant.id,
            name=seed.name,
            accounts=cast("Any", seed.accounts),
            service_principal_id=self._id(seed.service_principal_id, "principal", seed.name),
            identifier_uris=tuple(uris),
            app_roles=tuple(self._role(client_id, role) for role in seed.roles),
            scopes=scopes,
            token_version=cast("Any", seed.token_version),
            redirect_uris=tuple(seed.redirect_uris),
            spa_redirect_uris=tuple(seed.spa_redirect_uris),
            public_redirect_uris=tuple(seed.public_redirect_uris),
            public_client=seed.public_client,
            optional_claims=tuple(seed.optional_claims),
            group_claims=seed.group_claims,
            created=self._store.now(),
            unique_name=seed.unique_name or None,
            authorized_clients=tuple(
                AuthorizedClient(client, tuple(s.id for s in scopes if s.value in values))
                for client, values in seed.authorized_clients.items()
            ),
        )

    def _role(self, client_id: str, given: str | RoleSeed) -> AppRole:
        seed = RoleSeed(given) if isinstance(given, str) else given
        unknown = [member for member in seed.members if member not in _MEMBERS]
        if unknown or not seed.members:
            raise RegistrationError(
                f"The role {seed.value!r} has members {seed.members}: use apps and users."
            )
        members = tuple(_MEMBERS[member] for member in seed.members)
        identifier = seed.id or _derived(client_id, "role", seed.value)
        return AppRole(
            identifier, seed.value, members, seed.name or seed.value, seed.description, seed.enabled
        )

    def _scope(self, client_id: str, given: str | ScopeSeed) -> Scope:
        seed = ScopeSeed(given) if isinstance(given, str) else given
        identifier = seed.id or _derived(client_id, "scope", seed.value)
        kind: Literal["User", "Admin"] = "Admin" if seed.admin else "User"
        return Scope(identifier, seed.value, kind, seed.name or seed.value, seed.enabled)

    def _api(self, name: str) -> AppRegistration:
        """Return an API by its name in this tenant, its client id, or `graph`."""
        if name.lower() == "graph":
            return self._service.lookup.find_app(GRAPH)
        called = [app for app in self._apps.values() if app.name == name]
        if len(called) > 1:
            raise RegistrationError(
                f"Two apps of {self._tenant.name} are called {name!r}: name the API by its client id."
            )
        found = next(iter(called), None) or self._store.directory.apps.get(name.lower())
        found = found or next((a for a in FIRST_PARTY if a.name == name), None)
        if found is None:
            raise RegistrationError(f"There is no API {name!r} in {self._tenant.name}: add it to its apps.")
        return found

    def _add_permissions(self, seed: AppSeed) -> None:
        required: list[RequiredAccess] = []
        for api_name, values in seed.permissions.items():
            api = self._api(api_name)
            required.append(RequiredAccess(api.client_id, tuple(named(api, value) for value in values)))
        app = self._apps[self._client_id(seed)]
        if required:
            app = self._service.registrations.update_app(app, required=tuple(required))
        granted = seed.permissions if seed.granted is True else seed.granted or {}
        for api_name, values in granted.items():
            self._grant(app, self._api(api_name), values)

    def _grant(self, app: AppRegistration | AgentIdentity, api: AppRegistration, values: list[str]) -> None:
        for value in values:
            permission = named(api, value)
            plain = value.partition(":")[2] if value.startswith(("role:", "scope:")) else value
            if permission.type == "Role":
                self._service.consents.grant(app, api, plain, tenant=self._tenant)
            else:
                self._service.consents.grant_delegated(app, api, plain, tenant=self._tenant)

    def _add_identity(self, seed: IdentitySeed) -> None:
        identifier = self._id(seed.id, "identity", seed.name)
        client_id = self._id(seed.client_id, "identity client", seed.name)
        if identifier in self._store.directory.identities:
            raise RegistrationError(
                "It is in the seed twice: rename one, or give each an id and a client_id."
            )
        path = seed.resource_path or self._service.identities.resource_path(
            seed.name,
            system_assigned=seed.system_assigned,
            subscription=_derived(self._tenant.id, "subscription"),
        )
        identity = ManagedIdentity(
            identifier, client_id, self._tenant.id, seed.name, path, seed.system_assigned
        )
        self._store.upsert(
            identities=identity,
            principals=ServicePrincipal(
                identifier, client_id, self._tenant.id, seed.name, kind="ManagedIdentity"
            ),
        )
        for api_name, values in seed.roles.items():
            self._service.consents.grant(identity, self._api(api_name), *values)

    def _all_agents(self) -> Iterator[tuple[AgentIdentity, AgentSeed]]:
        for app in self._seed.apps:
            if app.agents and not app.blueprint:
                raise RegistrationError(f"{app.name} has agents, so it needs 'blueprint: true'.")
            for given in app.agents:
                seed = AgentSeed(given) if isinstance(given, str) else given
                agent_id = self._id(seed.id, "agent", app.name, seed.name)
                parent = self._client_id(app)
                yield AgentIdentity(agent_id, parent, self._tenant.id, seed.name, self._store.now()), seed

    def _add_agent(self, agent: AgentIdentity, seed: AgentSeed) -> None:
        if agent.id in self._store.directory.agents:
            raise RegistrationError(f"The agent {agent.name!r} is in the seed twice: rename one.")
        self._service.agents.add(agent)
        for api_name, values in seed.granted.items():
            self._grant(agent, self._api(api_name), values)

    def _assign_user(self, seed: UserSeed) -> None:
        if seed.roles:
            self._assign(self._service.lookup.find_user(seed.name, self._tenant), seed.roles)

    def _assign_group(self, seed: GroupSeed) -> None:
        self._assign(self._store.directory.groups[self._group_id(seed)], seed.roles)

    def _assign(self, holder: User | Group, roles: Permissions) -> None:
        for api_name, values in roles.items():
            self._service.consents.assign(holder, self._api(api_name), *values)
