"""One API, one daemon and one 1.2 KB v2.0 app-only token on the embedded Entra, for all measurements."""

from __future__ import annotations

from typing import Any

import httpx

from entra_guard import Guard
from entra_guard.emulator import Emulator


class Fixture:
    def __init__(self) -> None:
        self.entra = Emulator(seed=1)
        self.api = self.entra.register_app("Orders API", app_roles=["Orders.Read"])
        self.daemon = self.entra.register_app("Daemon")
        self.entra.grant(self.daemon, self.api, "Orders.Read")

    def guard(self, **settings: Any) -> Guard:
        """Return a guard with cached keys."""
        client = httpx.Client(transport=self.entra.transport)
        guard = Guard(
            tenant=self.entra.tenant_id,
            audience=self.api.client_id,
            authority=self.entra.url,
            http_client=client,
            **settings,
        )
        guard.verify(self.token())
        return guard

    def token(self, **options: Any) -> str:
        return self.entra.issue_token(self.daemon, audience=self.api, roles=["Orders.Read"], **options)
