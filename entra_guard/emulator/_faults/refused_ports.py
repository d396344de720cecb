"""Close the server's ports while a `refused` fault lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._http.emulator_server import EmulatorServer


class RefusedPorts:
    """Keep the server's ports in step with the faults."""

    def __init__(self, injector: FaultInjector, server: EmulatorServer) -> None:
        self._injector = injector
        self._server = server
        injector.on_change(self.update)

    def update(self) -> None:
        """Close or open the ports; if the fault ends at a time, update again then."""
        now = time.monotonic()
        lasting = [f for f in self._injector.faults if f.how == "refused" and not f.has_ended(now)]
        changed = self._server.refuse_connections(bool(lasting))
        for fault in lasting:
            if changed and fault.until is not None:
                self._server.call_later(fault.until - now, self.update)
