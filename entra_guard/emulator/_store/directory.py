"""The directory as immutable values: tenants, apps, service principals, users, groups, grants.

A change creates a new `Directory` that shares all other entries. So a snapshot is a reference, and
restoring it costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the state file reads the annotations)
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTOSO: Final = "c0c05a00-1d00-4a11-8b0b-0c0a11ce0001"
FABRIKAM: Final = "fab41ca0-1d00-4a11-8b0b-0c0a11ce0002"
CONSUMERS: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
GRAPH: Final = "00000003-0000-0000-c000-000000000000"
AZURE: Final = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
TOKEN_EXCHANGE: Final = "fb60f99c-7a34-4190-8149-302f77469936"  # noqa: S105 (an app id)
V1: Final = 1
V2: Final = 2
DEFAULT_ROLE: Final = "00000000-0000-0000-0000-000000000000"

Accounts = Literal[
    "AzureADMyOrg", "AzureADMultipleOrgs", "AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"
]
PermissionType = Literal["Role", "Scope"]
PERSONAL_ACCOUNTS: Final[frozenset[str]] = frozenset(
    {"AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"}
)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation, or the tenant that all personal accounts share."""

    id: str
    name: str
    domain: str
    region: str = "EU"


@dataclass(frozen=True, slots=True)
class AppRole:
    """A permission of an API, for apps (`Application`) or for users and groups (`User`)."""

    id: str
    value: str
    allowed_member_types: tuple[str, ...] = ("Application", "User")
    display_name: str = ""
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """A delegated permission of an API; type `Admin` needs an administrator's consent."""

    id: str
    value: str
    type: Literal["User", "Admin"] = "User"
    display_name: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class RequiredPermission:
    """One permission: an app role (`Role`) or a scope (`Scope`) of an API, by its id there."""

    id: str
    type: PermissionType


@dataclass(frozen=True, slots=True)
class RequiredAccess:
    """The permissions of one API that an app needs. The API may have removed one since: its id stays."""

    api_id: str
    permissions: tuple[RequiredPermission, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizedClient:
    """A client that may use these scopes of an API, by their ids, without consent of users."""

    client_id: str
    scope_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """An app registration when it was returned: later changes do not update it. It has no credentials."""

    client_id: str
    object_id: str
    tenant_id: str
    name: str
    accounts: Accounts = "AzureADMyOrg"
    service_principal_id: str = ""
    identifier_uris: tuple[str, ...] = ()
    app_roles: tuple[AppRole, ...] = ()
    scopes: tuple[Scope, ...] = ()
    token_version: Literal[1, 2] | None = None
    redirect_uris: tuple[str, ...] = ()
    spa_redirect_uris: tuple[str, ...] = ()
    public_redirect_uris: tuple[str, ...] = ()
    public_client: bool = False
    optional_claims: tuple[str, ...] = ()
    group_claims: bool = False
    required: tuple[RequiredAccess, ...] = ()
    enabled: bool = True
    created: float = 0.0
    unique_name: str | None = None
    authorized_clients: tuple[AuthorizedClient, ...] = ()
    is_blueprint: bool = False

    @property
    def app_id_uri(self) -> str:
        """The first App ID URI; the client id if the app has none."""
        return self.identifier_uris[0] if self.identifier_uris else self.client_id

    @property
    def default_scope(self) -> str:
        """The scope that clients request for this API: `<App ID URI>/.default`."""
        return f"{self.app_id_uri}/.default"

    def names(self) -> tuple[str, ...]:
        """Return every name that a token request may use for this API."""
        return (self.client_id, *self.identifier_uris)


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An app in one tenant: its assignments, its consent and whether it is enabled there."""

    id: str
    app_id: str
    tenant_id: str
    name: str
    assignment_required: bool = False
    enabled: bool = True
    kind: Literal["Application", "ManagedIdentity", "ServiceIdentity"] = "Application"
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A client secret in the directory: its hash, never its value."""

    key_id: str
    description: str
    hint: str
    sha256: bytes = field(repr=False)
    starts: float
    expires: float


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate that an app may authenticate with."""

    key_id: str
    description: str
    der: bytes = field(repr=False)
    starts: float
    expires: float


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Tokens of another issuer that an app may authenticate with."""

    id: str
    name: str
    issuer: str
    subject: str
    audience: str
    description: str = ""
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """Everything an app may authenticate with."""

    secrets: tuple[StoredSecret, ...] = ()
    certificates: tuple[StoredCertificate, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A person in one tenant; a guest's `home_tenant_id` is another tenant.

    Attributes:
        agent_id: The agent identity whose own account it is; '' for a person.
    """

    id: str
    tenant_id: str
    upn: str
    display_name: str
    given_name: str = ""
    surname: str = ""
    mail: str | None = None
    job_title: str | None = None
    home_tenant_id: str = ""
    enabled: bool = True
    agent_id: str = ""

    @property
    def is_guest(self) -> bool:
        return self.home_tenant_id != self.tenant_id

    def names(self) -> frozenset[str]:
        """Return every name this user can be found by."""
        addresses = {self.upn, self.mail or self.upn}
        return frozenset({self.id, *addresses, *(a.partition("@")[0] for a in addresses)})


@dataclass(frozen=True, slots=True)
class Group:
    """A security group and its members' ids."""

    id: str
    tenant_id: str
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity that Azure gives to a machine or app: a service principal without a registration.

    Attributes:
        id: The id of its service principal, which Azure calls principal id.
        resource_path: Its Azure resource id.
        system_assigned: Whether it belongs to the machine itself.
    """

    id: str
    client_id: str
    tenant_id: str
    name: str
    resource_path: str
    system_assigned: bool = False

    @property
    def principal_id(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """The identity of an AI agent: a service principal without a registration and without credentials.

    Attributes:
        id: Its object id, which is its client id, too.
        blueprint_id: The client id of its blueprint, which acts for it.
    """

    id: str
    blueprint_id: str
    tenant_id: str
    name: str
    created: float = 0.0

    @property
    def client_id(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """An app role assigned to an app, a user or a group. For an app, this is admin consent."""

    id: str
    tenant_id: str
    principal_id: str
    principal_type: Literal["ServicePrincipal", "User", "Group"]
    resource_id: str
    role_id: str
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class DelegatedGrant:
    """Scopes that a client may use for one user, or for all users of the tenant without a principal."""

    id: str
    tenant_id: str
    client_id: str
    resource_id: str
    scopes: tuple[str, ...]
    principal_id: str | None = None


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
