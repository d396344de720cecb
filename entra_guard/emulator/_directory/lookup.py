"""Find tenants, apps and users by any of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from entra_guard.emulator._store.entries import AgentIdentity, AppRegistration, Tenant, User

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store

App = AppRegistration | str  # an app registration, or its client id
Person = User | str  # a user, or an id, principal name or short name (`alice`)
Found = TypeVar("Found")
_MOST_NAMES: Final = 10


class Lookup:
    """Find directory entries, or raise a LookupError that names what is missing."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find_tenant(self, tenant: Tenant | str | None = None) -> Tenant:
        """Return the tenant of that id or domain; without an argument, the first tenant.

        Raises:
            LookupError: The tenant does not exist.
        """
        directory = self.store.directory
        if tenant is None:
            return next(iter(directory.tenants.values()))
        found = directory.tenant(tenant if isinstance(tenant, str) else tenant.id)
        return _require(found, f"There is no tenant {tenant!r}: add it first.")

    def find_app(self, app: App) -> AppRegistration:
        """Return the current registration of an app.

        Raises:
            LookupError: The app does not exist.
        """
        client_id = app if isinstance(app, str) else app.client_id
        found = self.store.directory.apps.get(client_id)
        return _require(found, f"There is no app {client_id!r}: register it first.")

    def find_client(self, client: App | AgentIdentity) -> AppRegistration:
        """Return the current registration of an app, or a registration made from an agent identity.

        Raises:
            LookupError: There is no such client.
        """
        client_id = client if isinstance(client, str) else client.client_id
        found = self.store.directory.client(client_id)
        return _require(found, f"There is no app {client_id!r}: register it first.")

    def find_user(self, user: Person, tenant: Tenant | str | None = None) -> User:
        """Return a user of that tenant; by default of the first tenant.

        Raises:
            LookupError: The user does not exist.
        """
        if isinstance(user, User):
            return user
        home = self.find_tenant(tenant)
        found = self.store.directory.user(user, home.id)
        if found is None:
            names = [each.upn.partition("@")[0] for each in self.store.directory.users_in(home.id)]
            others = f", or use one of: {', '.join(names[:_MOST_NAMES])}" if names else ""
            raise LookupError(
                f"There is no user {user!r} in {home.name}: call add_user({user!r}) first{others}."
            )
        return found


def _require(value: Found | None, message: str) -> Found:
    if value is None:
        raise LookupError(message)
    return value
