"""Everything that the portal's pages read and change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entra_guard.emulator._activity.request_log import RequestLog
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._http.emulator_server import EmulatorServer
    from entra_guard.emulator._portal.stash import Stash
    from entra_guard.emulator._portal.workbench import Workbench
    from entra_guard.emulator._tokens.issuer import TokenIssuer


@dataclass(frozen=True, slots=True)
class PortalParts:
    """The parts of the emulator that pages work with.

    Attributes:
        service: The directory.
        issuer: Tokens and signing keys.
        injector: Faults.
        log: The requests that reached the emulator.
        stash: Values that a page shows once.
        addresses: The addresses of all pages without values in them.
        workbench: Guards, tokens, and calls of the sample API.
        server: The sockets: whether https is served, and by which certificate.
    """

    service: DirectoryService
    issuer: TokenIssuer
    injector: FaultInjector
    log: RequestLog
    stash: Stash
    addresses: frozenset[str]
    workbench: Workbench
    server: EmulatorServer

    def has_page(self, address: str) -> bool:
        """Return whether a page of that address exists."""
        return address in self.addresses
