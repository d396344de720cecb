"""The directory every emulator starts with: two organisations, their people and Microsoft's own APIs."""

from __future__ import annotations

from typing import Final

from entra_guard.emulator._store.directory import (
    AZURE,
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    TOKEN_EXCHANGE,
    AppRegistration,
    AppRole,
    Directory,
    Group,
    Scope,
    ServicePrincipal,
    Tenant,
    User,
    upsert,
)


def first_directory() -> Directory:
    """Return Contoso and Fabrikam with their people, and the tenant of personal accounts."""
    tenants = (
        Tenant(CONTOSO, "Contoso", "contoso.onmicrosoft.com", "EU"),
        Tenant(FABRIKAM, "Fabrikam", "fabrikam.onmicrosoft.com", "NA"),
        Tenant(CONSUMERS, "Microsoft Accounts", "live.com", "WW"),
    )
    users = (
        _person("a11ce", CONTOSO, "Alice Adams", "alice@contoso.onmicrosoft.com", job="Engineer"),
        _person("b0b", CONTOSO, "Bob Brown", "bob@contoso.onmicrosoft.com", job="Accountant"),
        _person("ca401", CONTOSO, "Carol Clark", "carol@fabrikam.onmicrosoft.com", home=FABRIKAM),
        _person("ca402", FABRIKAM, "Carol Clark", "carol@fabrikam.onmicrosoft.com"),
        _person("da5e", CONSUMERS, "Dave Davis", "dave@outlook.example"),
    )
    engineers = Group(_fixed_guid("e55"), CONTOSO, "Engineers", (users[0].id,))
    directory = Directory(
        tenants={t.id: t for t in tenants},
        apps={app.client_id: app for app in FIRST_PARTY},
        users={u.id: u for u in users},
        groups={engineers.id: engineers},
    )
    for tenant in tenants:
        directory = with_first_party(directory, tenant)
    return directory


def with_first_party(directory: Directory, tenant: Tenant) -> Directory:
    """Return the directory with Microsoft's own APIs present in that tenant."""
    for number, app in enumerate(FIRST_PARTY):
        fixed = f"{tenant.id[:24]}{0xF1257000000 + number:012x}"
        directory = upsert(directory, principals=ServicePrincipal(fixed, app.client_id, tenant.id, app.name))
    return directory


def _person(
    word: str, tenant_id: str, name: str, mail: str, *, job: str | None = None, home: str | None = None
) -> User:
    given, _, surname = name.partition(" ")
    upn = f"{mail.replace('@', '_')}#EXT#@contoso.onmicrosoft.com" if home else mail
    return User(_fixed_guid(word), tenant_id, upn, name, given, surname, mail, job, home or tenant_id)


def _fixed_guid(word: str) -> str:
    return f"00000000-0000-4000-8000-{word:0>12}"


def _roles(*values: str) -> tuple[AppRole, ...]:
    return tuple(AppRole(_fixed_guid(f"{n + 1:x}a0"), v, ("Application",), v) for n, v in enumerate(values))


def _scopes(*values: str) -> tuple[Scope, ...]:
    return tuple(Scope(_fixed_guid(f"{n + 1:x}d0"), v) for n, v in enumerate(values))


_GRAPH_ROLES: Final = (
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
)
_GRAPH_SCOPES: Final = (
    "User.Read",
    "User.ReadBasic.All",
    "User.Read.All",
    "Directory.Read.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Application.Read.All",
    "Application.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "openid",
    "profile",
    "email",
    "offline_access",
)
# The client ids are Microsoft's. The ids of roles and scopes are not.
FIRST_PARTY: Final = (
    AppRegistration(
        GRAPH,
        _fixed_guid("64a94"),
        "",
        "Microsoft Graph",
        "AzureADMultipleOrgs",
        identifier_uris=("https://graph.microsoft.com",),
        app_roles=_roles(*_GRAPH_ROLES),
        scopes=_scopes(*_GRAPH_SCOPES),
    ),
    AppRegistration(
        AZURE,
        _fixed_guid("a2043"),
        "",
        "Windows Azure Service Management API",
        "AzureADMultipleOrgs",
        identifier_uris=("https://management.azure.com", "https://management.core.windows.net"),
        scopes=_scopes("user_impersonation"),
    ),
    AppRegistration(
        TOKEN_EXCHANGE,
        _fixed_guid("70e5c"),
        "",
        "AAD Token Exchange",
        "AzureADMultipleOrgs",
        identifier_uris=("api://AzureADTokenExchange",),
        token_version=2,
    ),
)
