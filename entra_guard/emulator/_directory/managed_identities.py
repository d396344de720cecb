"""Managed identities, and the environment in which code on Azure finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from entra_guard.emulator._directory.samples import Sampling
from entra_guard.emulator._oauth.managed_identity import APP_SERVICE_PATH, ARC_PATH
from entra_guard.emulator._store.directory import ManagedIdentity, ServicePrincipal, Tenant
from entra_guard.emulator._store.store import ArcKey

if TYPE_CHECKING:
    from pathlib import Path

Host = Literal["virtual-machine", "app-service", "container-apps", "arc"]


class Azure(Sampling):
    """What Azure does for code that runs there."""

    def add_managed_identity(
        self, name: str, *, system_assigned: bool = False, tenant: Tenant | str | None = None
    ) -> ManagedIdentity:
        """Add a managed identity. `grant` gives it app roles.

        Args:
            name: Its name, or that of the machine whose own it is.
            system_assigned: Whether a request that names none gets this one.
            tenant: Where; Contoso by default.
        """
        where = self.find_tenant(tenant)
        kind = (
            "Microsoft.Compute/virtualMachines"
            if system_assigned
            else "Microsoft.ManagedIdentity/userAssignedIdentities"
        )
        path = f"/subscriptions/{self.ids.guid()}/resourcegroups/emulator/providers/{kind}/{name}"
        made = ManagedIdentity(self.ids.guid(), self.ids.guid(), where.id, name, path, system_assigned)
        principal = ServicePrincipal(
            made.id, made.client_id, where.id, name, kind="ManagedIdentity", created=self.now()
        )
        self.put(identities=made, principals=principal)
        return made

    def managed_identity_environment(
        self, host: Host = "virtual-machine", *, folder: Path | None = None
    ) -> dict[str, str]:
        """The environment variables by which code finds its managed identity.

        Args:
            host: `virtual-machine`, `app-service`, `container-apps` or `arc`.
            folder: For `arc`, where the key file goes that a client must read. Released clients insist on
                `/var/opt/azcmagent/tokens`.

        Raises:
            ValueError: `arc` without a folder.
        """
        if host == "virtual-machine":
            return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url}
        if host != "arc":
            header = self.state.identity_header
            return {"IDENTITY_ENDPOINT": f"{self.url}{APP_SERVICE_PATH}", "IDENTITY_HEADER": header}
        if folder is None:
            raise ValueError("Azure Arc proves itself by a file: pass folder=, where to write it.")
        self._write_arc_key(folder)
        return {"IDENTITY_ENDPOINT": f"{self.url}{ARC_PATH}", "IMDS_ENDPOINT": self.url}

    def _write_arc_key(self, folder: Path) -> None:
        key = ArcKey(str(folder / f"{self.ids.guid()}.key"), self.ids.secret())
        path = folder / key.path
        path.touch(mode=0o600)
        path.write_text(key.secret, "utf-8")
        self.change(arc_key=key)
