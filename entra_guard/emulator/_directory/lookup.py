"""Looking things up in the directory by whatever name people use for them."""

from __future__ import annotations

from typing import TypeVar

from entra_guard.emulator._store.directory import AppRegistration, Tenant, User
from entra_guard.emulator._store.store import Store

App = AppRegistration | str
"""An app registration, or the client id of one."""
Person = User | str
"""A user, or an id, user principal name or short name (`alice`) of one."""
P = TypeVar("P")


class Lookup(Store):
    """Finds tenants, apps and people, or says what is missing."""

    def find_tenant(self, tenant: Tenant | str | None = None) -> Tenant:
        """The tenant of that id or domain; the first one for nothing.

        Raises:
            LookupError: There is none.
        """
        if tenant is None:
            return next(iter(self.directory.tenants.values()))
        found = self.directory.tenant(tenant if isinstance(tenant, str) else tenant.id)
        return _found(found, f"There is no tenant {tenant!r}: add_tenant() first.")

    def find_app(self, app: App) -> AppRegistration:
        """The registration as it stands now.

        Raises:
            LookupError: There is none.
        """
        client_id = app if isinstance(app, str) else app.client_id
        return _found(
            self.directory.apps.get(client_id), f"There is no app {client_id!r}: register_app() first."
        )

    def find_user(self, user: Person, tenant: Tenant | str | None = None) -> User:
        """The user as they stand now.

        Raises:
            LookupError: There is none.
        """
        if isinstance(user, User):
            return user
        where = self.find_tenant(tenant)
        return _found(
            self.directory.user(user, where.id), f"There is no user {user!r} in {where.name}: add_user()."
        )


def _found(value: P | None, otherwise: str) -> P:
    if value is None:
        raise LookupError(otherwise)
    return value
