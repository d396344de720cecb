"""What `entra-guard emulator` has registered when it starts, under the same ids on every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard.emulator import AppRegistration, Emulator

API: Final = "7a5c0000-1d00-4a11-8b0b-0c0a11ce0a01"
API_V1: Final = "7a5c0000-1d00-4a11-8b0b-0c0a11ce0a02"
DAEMON: Final = "dae30000-1d00-4a11-8b0b-0c0a11ce0a03"
BROWSER: Final = "5fa00000-1d00-4a11-8b0b-0c0a11ce0a04"
SECRET: Final = "works-with-this-emulator-only"  # noqa: S105  # what it says
_ROLES: Final = ("Tasks.Read.All", "Tasks.ReadWrite.All")
_SCOPES: Final = ("access_as_user",)


@dataclass(frozen=True, slots=True)
class Seeded:
    """The registrations.

    Attributes:
        api: An API that gets v2.0 tokens, with app roles and a scope.
        api_v1: The same with v1.0 tokens, which is Entra's default for APIs.
        daemon: A client of both with a secret, and the role to read.
        browser: A single-page client, such as Swagger UI.
        secret: The daemon's.
    """

    api: AppRegistration
    api_v1: AppRegistration
    daemon: AppRegistration
    browser: AppRegistration
    secret: str


def seeded(entra: Emulator) -> Seeded:
    """Register all of it, in Contoso."""
    api = entra.register_app("Tasks API", client_id=API, app_roles=_ROLES, scopes=_SCOPES)
    api_v1 = entra.register_app(
        "Tasks API v1", client_id=API_V1, app_roles=_ROLES, scopes=_SCOPES, token_version=None
    )
    daemon = entra.register_app("Tasks daemon", client_id=DAEMON, identifier_uris=())
    entra.add_secret(daemon, description="of the emulator", value=SECRET)
    browser = entra.register_app(
        "Tasks in the browser",
        client_id=BROWSER,
        identifier_uris=(),
        spa_redirect_uris=["http://localhost:8000/docs/oauth2-redirect", "http://localhost:3000/"],
    )
    for offered in (api, api_v1):
        entra.grant(daemon, offered, "Tasks.Read.All")
        entra.assign("alice", offered, "Tasks.ReadWrite.All")
        entra.grant_delegated(browser, offered, *_SCOPES)
    return Seeded(api, api_v1, daemon, browser, SECRET)
