"""A ready-made set of apps with fixed ids, for demonstrations and for trying things by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ._people_at_work import PeopleAtWork

if TYPE_CHECKING:
    from ._app_credentials import Secret
    from ._client_certificates import ClientCertificate
    from ._directory import AppRegistration

API: Final = "7a5c0a91-0000-4000-8000-00000000a901"
LEGACY_API: Final = "7a5c0a91-0000-4000-8000-00000000a902"
DAEMON: Final = "7a5c0a91-0000-4000-8000-00000000da30"
PAGE: Final = "7a5c0a91-0000-4000-8000-000000005ba1"
_REDIRECTS: Final = ("/docs/oauth2-redirect", "/oauth2-redirect.html", "/")


@dataclass(frozen=True, slots=True)
class Samples:
    """What `add_samples` registered.

    Attributes:
        api: Offers the app roles `Tasks.Read.All` and `Tasks.ReadWrite.All` and the scope `access_as_user`.
        legacy_api: The same, but it receives v1.0 tokens.
        daemon: May do both; it has a secret and a certificate.
        page: A single-page app, or the Swagger page of any API on localhost.
    """

    api: AppRegistration
    legacy_api: AppRegistration
    daemon: AppRegistration
    page: AppRegistration
    secret: Secret
    certificate: ClientCertificate


class Sampling(PeopleAtWork):
    """Registers samples."""

    def add_samples(self) -> Samples:
        """Register two APIs, a daemon that may call them, and a page people sign in on.

        Alice has the role `Tasks.Read.All`; bob has none.
        """
        roles, scopes = ("Tasks.Read.All", "Tasks.ReadWrite.All"), ("access_as_user",)
        api = self.register_app("Tasks API", client_id=API, app_roles=roles, scopes=scopes)
        legacy = self.register_app(
            "Tasks API (v1.0 tokens)",
            client_id=LEGACY_API,
            app_roles=roles,
            scopes=scopes,
            token_version=None,
        )
        needed = {api: roles, legacy: roles}
        daemon = self.register_app("Tasks daemon", client_id=DAEMON, identifier_uris=(), permissions=needed)
        for target in (api, legacy):
            self.grant(daemon, target, *roles)
        self.assign("alice", api, "Tasks.Read.All")
        secret = self.add_secret(daemon, description="sample")
        certificate = self.new_certificate(daemon, description="sample")
        return Samples(api, legacy, daemon, self._page(api), secret, certificate)

    def _page(self, api: AppRegistration) -> AppRegistration:
        # Entra takes any port of localhost for the one that is registered.
        uris = [f"http://{host}{path}" for host in ("localhost", "127.0.0.1") for path in _REDIRECTS]
        return self.register_app(
            "Tasks page",
            client_id=PAGE,
            identifier_uris=(),
            spa_redirect_uris=uris,
            permissions={api: ("access_as_user",)},
        )
