"""The directory every emulator starts with: two organisations, their people and Microsoft's own APIs."""

from __future__ import annotations

from entra_guard.emulator._store.directory import Directory, upsert
from entra_guard.emulator._store.entries import (
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    Group,
    ServicePrincipal,
    Tenant,
    User,
)
from entra_guard.emulator._store.first_party import FIRST_PARTY, fixed_guid


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
    engineers = Group(fixed_guid("e55"), CONTOSO, "Engineers", (users[0].id,))
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
    return User(fixed_guid(word), tenant_id, upn, name, given, surname, mail, job, home or tenant_id)
