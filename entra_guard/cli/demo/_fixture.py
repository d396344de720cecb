"""The demo's registrations: two APIs and a daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from entra_guard.emulator import AppRole

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import AppRegistration, Emulator, Secret


@dataclass(frozen=True, slots=True)
class DemoFixture:
    """What the demo registered.

    Attributes:
        entra: The running emulator.
        api: The protected API.
        other: Another API of the same tenant.
        daemon: The client, without a user.
        secret: Its client secret.
    """

    entra: Emulator
    api: AppRegistration
    other: AppRegistration
    daemon: AppRegistration
    secret: Secret

    @property
    def token_url(self) -> str:
        """The v2.0 token endpoint."""
        return f"{self.entra.authority}/oauth2/v2.0/token"

    def form(self, scope: str) -> dict[str, str]:
        """Return the form of a client credentials request (RFC 6749 section 4.4.2)."""
        return {
            "client_id": self.daemon.client_id,
            "scope": scope,
            "client_secret": self.secret.value,
            "grant_type": "client_credentials",
        }

    def request_token(self, client: httpx.Client, scope: str) -> httpx.Response:
        """Send a token request as the daemon."""
        return client.post(self.token_url, data=self.form(scope))


def register(entra: Emulator) -> DemoFixture:
    """Register the apps, as an administrator does in the Entra admin center."""
    read = AppRole(str(uuid4()), "Orders.Read", ("Application",), "Read orders")
    write = AppRole(str(uuid4()), "Orders.Write", ("Application",), "Place orders")
    api = entra.register_app("Orders API", app_roles=[read, write])
    other = entra.register_app("Invoices API", app_roles=["Invoices.Read"])
    daemon = entra.register_app("Nightly report", identifier_uris=())
    secret = entra.add_secret(daemon, description="nightly report, production")
    entra.grant(daemon, api, "Orders.Read")
    entra.grant(daemon, other, "Invoices.Read")
    return DemoFixture(entra, api, other, daemon, secret)
