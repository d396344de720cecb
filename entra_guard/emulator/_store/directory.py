"""The directory as values: tenants, apps, service principals, users, grants. Knows no HTTP, token or clock.

A `Directory` never changes. Adding something gives a new one that shares everything else, so that a snapshot
is a reference and going back costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
PERSONAL_ACCOUNTS: Final[frozenset[str]] = frozenset(
    {"AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount"}
)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation, or the one tenant all personal accounts share."""

    id: str
    name: str
    domain: str
    region: str = "EU"


@dataclass(frozen=True, slots=True)
class AppRole:
    """A permission an API offers, to apps (`Application`) or to users and groups (`User`)."""

    id: str
    value: str
    allowed_member_types: tuple[str, ...] = ("Application", "User")
    display_name: str = ""
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """A delegated permission an API offers; `Admin` ones need an administrator's consent."""

    id: str
    value: str
    type: Literal["User", "Admin"] = "User"
    display_name: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """An app registration as it stood when it was handed out. It holds no credential."""

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
    required: tuple[tuple[str, tuple[str, ...]], ...] = ()
    enabled: bool = True
    created: float = 0.0

    @property
    def app_id_uri(self) -> str:
        """The first App ID URI, or the client id of an app that has none."""
        return self.identifier_uris[0] if self.identifier_uris else self.client_id

    @property
    def default_scope(self) -> str:
        """What a client asks for to get a token for this API: `<App ID URI>/.default`."""
        return f"{self.app_id_uri}/.default"

    def names(self) -> tuple[str, ...]:
        """Every name a token request may call this API by."""
        return (self.client_id, *self.identifier_uris)


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An app's presence in one tenant: what is assigned, consented to and switched off there."""

    id: str
    app_id: str
    tenant_id: str
    name: str
    assignment_required: bool = False
    enabled: bool = True
    kind: Literal["Application", "ManagedIdentity"] = "Application"
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What the directory keeps of a client secret: its hash, never its value."""

    key_id: str
    description: str
    hint: str
    sha256: bytes = field(repr=False)
    starts: float
    expires: float


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate registered for an app to prove itself by."""

    key_id: str
    description: str
    der: bytes = field(repr=False)
    starts: float
    expires: float


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Another issuer's tokens that stand for a secret of this app."""

    id: str
    name: str
    issuer: str
    subject: str
    audience: str
    description: str = ""
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything an app may prove itself by."""

    secrets: tuple[StoredSecret, ...] = ()
    certificates: tuple[StoredCertificate, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A person in one tenant; a guest's `home_tenant_id` is another one."""

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

    @property
    def is_guest(self) -> bool:
        return self.home_tenant_id != self.tenant_id

    def names(self) -> frozenset[str]:
        """Everything this user may be called by."""
        addresses = {self.upn, self.mail or self.upn}
        return frozenset({self.id, *addresses, *(a.partition("@")[0] for a in addresses)})


@dataclass(frozen=True, slots=True)
class Group:
    """A security group and who is in it."""

    id: str
    tenant_id: str
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity Azure gives to a machine or an app: a service principal without an app registration.

    Attributes:
        id: Its service principal's id, which Azure calls principal id.
        resource_path: Its Azure resource id.
        system_assigned: Whether it is the one of the machine itself.
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
class RoleAssignment:
    """An app role given to an app, a user or a group. To an app it is admin consent."""

    id: str
    tenant_id: str
    principal_id: str
    principal_type: Literal["ServicePrincipal", "User", "Group"]
    resource_id: str
    role_id: str
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class DelegatedGrant:
    """Scopes a client may use for one user, or for all users of the tenant when there is no principal."""

    id: str
    tenant_id: str
    client_id: str
    resource_id: str
    scopes: tuple[str, ...]
    principal_id: str | None = None


def _no_values() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Directory:
    """All that is registered, by identifier."""

    tenants: Mapping[str, Tenant] = field(default_factory=_no_values)
    apps: Mapping[str, AppRegistration] = field(default_factory=_no_values)
    credentials: Mapping[str, Credentials] = field(default_factory=_no_values)
    principals: Mapping[str, ServicePrincipal] = field(default_factory=_no_values)
    users: Mapping[str, User] = field(default_factory=_no_values)
    groups: Mapping[str, Group] = field(default_factory=_no_values)
    assignments: Mapping[str, RoleAssignment] = field(default_factory=_no_values)
    grants: Mapping[str, DelegatedGrant] = field(default_factory=_no_values)
    identities: Mapping[str, ManagedIdentity] = field(default_factory=_no_values)

    def tenant(self, name: str) -> Tenant | None:
        """The tenant of that id or verified domain, in any letter case."""
        wanted = name.lower()
        found = self.tenants.get(wanted)
        return found or next((t for t in self.tenants.values() if t.domain == wanted), None)

    def principal_of(self, client_id: str, tenant_id: str) -> ServicePrincipal | None:
        """The app's service principal in that tenant."""
        return next((p for p in self.principals_in(tenant_id) if p.app_id == client_id), None)

    def principals_in(self, tenant_id: str) -> Iterator[ServicePrincipal]:
        return (p for p in self.principals.values() if p.tenant_id == tenant_id)

    def user(self, name: str, tenant_id: str) -> User | None:
        """The user of that id, user principal name or mail address, or the part of one before the @."""
        return next((u for u in self.users_in(tenant_id) if name in u.names()), None)

    def users_in(self, tenant_id: str) -> Iterator[User]:
        return (u for u in self.users.values() if u.tenant_id == tenant_id)

    def resource(self, name: str, tenant_id: str) -> AppRegistration | None:
        """The API of that client id or App ID URI, give or take a last slash, if it is in the tenant."""
        wanted = name.removesuffix("/")
        return next((app for app in self.apps_in(tenant_id) if _called(app, wanted)), None)

    def apps_in(self, tenant_id: str) -> Iterator[AppRegistration]:
        return (self.apps[p.app_id] for p in self.principals_in(tenant_id) if p.app_id in self.apps)

    def credentials_of(self, client_id: str) -> Credentials:
        return self.credentials.get(client_id, Credentials())

    def group_ids_of(self, user_id: str) -> tuple[str, ...]:
        return tuple(g.id for g in self.groups.values() if user_id in g.members)

    def roles_of(self, principal_ids: frozenset[str], resource_id: str) -> tuple[str, ...]:
        """The ids of that API's app roles assigned to any of these principals, in order of assignment."""
        held = (a for a in self.assignments.values() if a.resource_id == resource_id)
        return tuple(dict.fromkeys(a.role_id for a in held if a.principal_id in principal_ids))

    def scopes_of(self, client_sp: str, resource_sp: str, user_id: str) -> tuple[str, ...]:
        """The scopes of that API consented to for this client, by an administrator or by this user."""
        held = (g for g in self.grants.values() if (g.client_id, g.resource_id) == (client_sp, resource_sp))
        return tuple(dict.fromkeys(s for g in held if g.principal_id in {None, user_id} for s in g.scopes))

    def held_by(self, principal_id: str) -> dict[str, tuple[str, ...]]:
        """The app roles an app or a user has, and the scopes an app has, by the name of the API.

        Roles of a user's groups are not among them.
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


def _called(app: AppRegistration, wanted: str) -> bool:
    return any(name.removesuffix("/") == wanted for name in app.names())


def adding(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """The mapping with one entry more, or another value in its place."""
    return {**mapping, key: value}


def without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    """The mapping with one entry less."""
    return {k: v for k, v in mapping.items() if k != key}


def put(directory: Directory, **entries: Any) -> Directory:
    """The directory with the given entries added, each under its own identifier: `put(d, users=alice)`."""
    changes = {part: adding(getattr(directory, part), identifier(e), e) for part, e in entries.items()}
    return replace(directory, **changes)


def identifier(entry: Any) -> str:
    return str(entry.client_id) if isinstance(entry, AppRegistration) else str(entry.id)
