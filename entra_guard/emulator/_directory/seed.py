"""Apply a seed: replace the directory by the tenants, applications and people that it describes."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from entra_guard.emulator._directory.client_certificates import read_certificate
from entra_guard.emulator._directory.rules import (
    RegistrationError,
    check,
    check_federated,
    check_secret_count,
)
from entra_guard.emulator._directory.seed_format import (
    AgentSeed,
    AppSeed,
    CertificateSeed,
    IdentitySeed,
    RoleSeed,
    ScopeSeed,
    SecretSeed,
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
    FederatedCredential,
    Group,
    ManagedIdentity,
    RequiredAccess,
    Scope,
    ServicePrincipal,
    StoredCertificate,
    StoredCredentials,
    StoredSecret,
    Tenant,
    User,
)
from entra_guard.emulator._store.first_directory import with_first_party
from entra_guard.emulator._store.first_party import FIRST_PARTY
from entra_guard.emulator._store.permissions import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.emulator._directory.seed_format import FederatedSeed, GroupSeed, Permissions
    from entra_guard.emulator._directory.service import DirectoryService

_NAMESPACE: Final = uuid.UUID("6f2d1d7e-5f0a-4c63-9d53-6a1e5b7f0c11")
_KNOWN: Final = {"Contoso": CONTOSO, "Fabrikam": FABRIKAM}
_MEMBERS: Final = {"apps": "Application", "users": "User"}
_DAY: Final = 24 * 3600.0


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
        for user in self._seed.users:
            self._add_user(UserSeed(user) if isinstance(user, str) else user)
        for group in self._seed.groups:
            self._add_group(group)
        for app in self._seed.apps:
            self._add_app(app)
        for app in self._seed.apps:
            self._add_permissions(app)
        for agent, seed in self._agents:
            self._add_agent(agent, seed)
        for identity in self._seed.identities:
            self._add_identity(IdentitySeed(identity) if isinstance(identity, str) else identity)
        self._assign_people()

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
        if any(other.upn == upn for other in self._store.directory.users_in(self._tenant.id)):
            raise RegistrationError(f"The user {upn} is in the seed twice: remove one.")
        self._store.upsert(users=user)

    def _agent_of(self, seed: UserSeed) -> str:
        """Return the id of the agent whose account a user is; '' for a person."""
        if not seed.agent:
            return ""
        found = [agent.id for agent, _ in self._agents if seed.agent in {agent.id, agent.name}]
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
        identifier = self._id(seed.id, "group", seed.name)
        self._store.upsert(groups=Group(identifier, self._tenant.id, seed.name, members))

    def _add_app(self, seed: AppSeed) -> None:
        app = self._registration(seed)
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
                    self._store.directory.credentials, app.client_id, self._credentials(app, seed)
                ),
            )
        )
        if seed.name in self._apps:
            raise RegistrationError(f"Two apps of {self._tenant.name} are called {seed.name!r}: rename one.")
        self._apps[seed.name] = app

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

    def _credentials(self, app: AppRegistration, seed: AppSeed) -> StoredCredentials:
        check_secret_count(app, len(seed.secrets) - 1)
        secrets = tuple(self._secret(app, number, secret) for number, secret in enumerate(seed.secrets))
        certificates = tuple(self._certificate(app, n, c) for n, c in enumerate(seed.certificates))
        federated: tuple[FederatedCredential, ...] = ()
        for entry in seed.federated:
            new = self._federated(app, entry)
            check_federated(app, new, federated)
            federated = (*federated, new)
        return StoredCredentials(secrets, certificates, federated)

    def _secret(self, app: AppRegistration, number: int, given: str | SecretSeed) -> StoredSecret:
        seed = SecretSeed(given) if isinstance(given, str) else given
        if bool(seed.value) == bool(seed.sha256):
            raise RegistrationError(f"A secret of {app.name} needs a value, or its sha256, and not both.")
        now = self._store.now()
        expires = (
            dt.datetime.fromisoformat(seed.expires).timestamp() if seed.expires else now + seed.days * _DAY
        )
        digest = bytes.fromhex(seed.sha256) if seed.sha256 else hashlib.sha256(seed.value.encode()).digest()
        return StoredSecret(
            key_id=seed.id or _derived(app.client_id, "secret", str(number)),
            description=seed.description,
            hint=seed.hint or seed.value[:3],
            sha256=digest,
            starts=min(now, expires),
            expires=expires,
        )

    def _certificate(
        self, app: AppRegistration, number: int, given: str | CertificateSeed
    ) -> StoredCertificate:
        seed = CertificateSeed(given) if isinstance(given, str) else given
        facts = read_certificate(seed.pem)
        identifier = seed.id or _derived(app.client_id, "certificate", str(number))
        return StoredCertificate(identifier, seed.description, facts.der, facts.starts, facts.expires)

    def _federated(self, app: AppRegistration, seed: FederatedSeed) -> FederatedCredential:
        identifier = seed.id or _derived(app.client_id, "federated", seed.issuer, seed.subject)
        return FederatedCredential(
            identifier, seed.name, seed.issuer, seed.subject, seed.audience, seed.description, seed.jwks
        )

    def _api(self, name: str) -> AppRegistration:
        """Return an API by its name in this tenant, its client id, or `graph`."""
        if name.lower() == "graph":
            return self._service.lookup.find_app(GRAPH)
        found = self._apps.get(name) or self._store.directory.apps.get(name.lower())
        found = found or next((a for a in FIRST_PARTY if a.name == name), None)
        if found is None:
            raise RegistrationError(f"There is no API {name!r} in {self._tenant.name}: add it to its apps.")
        return found

    def _add_permissions(self, seed: AppSeed) -> None:
        required: list[RequiredAccess] = []
        for api_name, values in seed.permissions.items():
            api = self._api(api_name)
            required.append(RequiredAccess(api.client_id, tuple(named(api, value) for value in values)))
        app = self._apps[seed.name]
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

    def _assign_people(self) -> None:
        for user in self._seed.users:
            if isinstance(user, UserSeed) and user.roles:
                self._assign(self._service.lookup.find_user(user.name, self._tenant), user.roles)
        for group in self._seed.groups:
            if group.roles:
                self._assign(
                    self._store.directory.groups[self._id(group.id, "group", group.name)], group.roles
                )

    def _assign(self, holder: User | Group, roles: Permissions) -> None:
        for api_name, values in roles.items():
            self._service.consents.assign(holder, self._api(api_name), *values)
