"""Managed identities, and the environment variables by which code on Azure finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from entra_guard.emulator._directory.rules import check_name
from entra_guard.emulator._store.entries import ManagedIdentity, ServicePrincipal, Tenant
from entra_guard.emulator._store.store import ArcKey

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard.emulator._directory.lookup import Lookup

Host = Literal["virtual-machine", "app-service", "container-apps", "arc"]
IMDS_PATH: Final = "/metadata/identity/oauth2/token"
APP_SERVICE_PATH: Final = "/msi/token"
ARC_PATH: Final = "/arc/metadata/identity/oauth2/token"


class ManagedIdentities:
    """Do what Azure does for code that runs there."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._store = lookup.store

    def add_managed_identity(
        self, name: str, *, system_assigned: bool = False, tenant: Tenant | str | None = None
    ) -> ManagedIdentity:
        """Add a managed identity. `grant` assigns app roles to it.

        Args:
            name: Its name, or the name of the machine it belongs to.
            system_assigned: Whether requests that name no identity get this one.
            tenant: The tenant; Contoso by default.

        Raises:
            RegistrationError: The name is empty or too long.
        """
        check_name(name)
        ids, tenant_id = self._store.ids, self._lookup.find_tenant(tenant).id
        path = self.resource_path(name, system_assigned=system_assigned, subscription=ids.guid())
        identity = ManagedIdentity(ids.guid(), ids.guid(), tenant_id, name, path, system_assigned)
        principal = ServicePrincipal(
            identity.id,
            identity.client_id,
            tenant_id,
            name,
            kind="ManagedIdentity",
            created=self._store.now(),
        )
        self._store.upsert(identities=identity, principals=principal)
        return identity

    @staticmethod
    def resource_path(name: str, *, system_assigned: bool, subscription: str) -> str:
        """Return the Azure resource id of an identity, or of the machine that it belongs to."""
        kind = (
            "Microsoft.Compute/virtualMachines"
            if system_assigned
            else "Microsoft.ManagedIdentity/userAssignedIdentities"
        )
        return f"/subscriptions/{subscription}/resourcegroups/emulator/providers/{kind}/{name}"

    def managed_identity_environment(
        self, host: Host = "virtual-machine", *, folder: Path | None = None
    ) -> dict[str, str]:
        """Return the environment variables by which code finds its managed identity.

        Args:
            host: `virtual-machine`, `app-service`, `container-apps` or `arc`.
            folder: For `arc`, the folder of the key file that a client must read. Released clients require
                `/var/opt/azcmagent/tokens`.

        Raises:
            ValueError: `arc` without a folder.
        """
        url = self._store.base_url
        if host == "virtual-machine":
            return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": url}
        if host != "arc":
            header = self._store.state.identity_header
            return {"IDENTITY_ENDPOINT": f"{url}{APP_SERVICE_PATH}", "IDENTITY_HEADER": header}
        if folder is None:
            raise ValueError("Azure Arc clients prove that they can read a file: pass folder= for it.")
        self._write_arc_key(folder)
        return {"IDENTITY_ENDPOINT": f"{url}{ARC_PATH}", "IMDS_ENDPOINT": url}

    def _write_arc_key(self, folder: Path) -> None:
        ids = self._store.ids
        key = ArcKey(str(folder / f"{ids.guid()}.key"), ids.secret())
        path = folder / key.path
        path.touch(mode=0o600)
        path.write_text(key.secret, "utf-8")
        self._store.change(arc_key=key)
