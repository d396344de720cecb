"""The entries of a directory as immutable values: tenants, apps, users, groups, permissions, credentials."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the state file reads the annotations)
from dataclasses import dataclass, field
from typing import Any, Final, Literal

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
