"""The directory service: everything that reads or changes the directory, on one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.agents import Agents
from entra_guard.emulator._directory.consents import Consents
from entra_guard.emulator._directory.credentials import CredentialRegistry
from entra_guard.emulator._directory.lookup import Lookup
from entra_guard.emulator._directory.managed_identities import ManagedIdentities
from entra_guard.emulator._directory.people import People
from entra_guard.emulator._directory.registrations import Registrations
from entra_guard.emulator._directory.samples import SampleApps

if TYPE_CHECKING:
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.store import Store


class DirectoryService:
    """Combine the parts of the directory service. Usable without the emulator.

    Attributes:
        store: The state.
        lookup: Find tenants, apps and users.
        registrations: Add, change and remove them.
        consents: Grant and revoke permissions.
        people: Change and remove users and groups.
        credentials: Secrets, certificates and federated credentials of apps.
        identities: Managed identities.
        agents: AI agents.
        samples: A ready-made set of apps.

    Example:
        >>> from entra_guard.emulator._store.store import Store
        >>> service = DirectoryService(Store())
        >>> service.registrations.register_app("Orders", app_roles=["Orders.Read"]).name
        'Orders'
    """

    def __init__(self, store: Store) -> None:
        self.store: Store = store
        self.lookup: Lookup = Lookup(store)
        self.consents: Consents = Consents(self.lookup)
        self.people: People = People(self.lookup, self.consents)
        self.registrations: Registrations = Registrations(self.lookup, self.people)
        self.credentials: CredentialRegistry = CredentialRegistry(self.lookup)
        self.identities: ManagedIdentities = ManagedIdentities(self.lookup)
        self.agents: Agents = Agents(store)
        self.samples: SampleApps = SampleApps(self.registrations, self.consents, self.credentials)

    @property
    def directory(self) -> Directory:
        """The current directory."""
        return self.store.directory
