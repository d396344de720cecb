"""The portal, imported with the first page request, so that starting the emulator stays fast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._activity.request_log import RequestLog
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.emulator_server import EmulatorServer
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._portal.portal import Portal
    from entra_guard.emulator._tokens.issuer import TokenIssuer

_PREFIX: Final = "/portal"


@dataclass
class LazyPortal:
    """Respond to page requests with the portal, and import it with the first one."""

    service: DirectoryService
    issuer: TokenIssuer
    injector: FaultInjector
    log: RequestLog
    server: EmulatorServer
    respond_to_client: Callable[[Request], Delivery]

    @staticmethod
    def serves(request: Request) -> bool:
        """Return whether a request is for the portal."""
        path = request.path.lower()
        return path in {"/", _PREFIX} or path.startswith(f"{_PREFIX}/")

    def respond(self, request: Request) -> Response:
        """Respond to a request for a page. Faults do not apply: they are removed here."""
        return self._portal.respond(request)

    @cached_property
    def _portal(self) -> Portal:
        from entra_guard.emulator._portal.portal import Portal  # noqa: PLC0415 (see the module's docstring)

        return Portal(
            self.service,
            self.issuer,
            self.injector,
            self.log,
            server=self.server,
            respond=self.respond_to_client,
        )
