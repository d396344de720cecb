"""A ready-made set of apps with fixed ids, for demonstrations and manual tests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from entra_guard.emulator._directory.credentials import Secret

if TYPE_CHECKING:
    from entra_guard.emulator._directory.consents import Consents
    from entra_guard.emulator._directory.credentials import CredentialRegistry
    from entra_guard.emulator._directory.registrations import Registrations
    from entra_guard.emulator._store.entries import AppRegistration

API: Final = "7a5c0a91-0000-4000-8000-00000000a901"
LEGACY_API: Final = "7a5c0a91-0000-4000-8000-00000000a902"
DAEMON: Final = "7a5c0a91-0000-4000-8000-00000000da30"
PAGE: Final = "7a5c0a91-0000-4000-8000-000000005ba1"
SECRET: Final = "works-with-this-emulator-only"  # noqa: S105 (not a secret: the same in every emulator)
_ROLES: Final = ("Orders.Read", "Orders.Write")
_SCOPE: Final = "access_as_user"
# Servers print either name of this machine. The port is ignored for both (RFC 8252 section 7.3).
_REDIRECTS: Final = tuple(
    f"http://{host}:8000{path}"
    for path in ("/docs/oauth2-redirect", "/oauth2-redirect.html", "/")
    for host in ("localhost", "127.0.0.1")
)


@dataclass(frozen=True, slots=True)
class Samples:
    """The apps that `add_samples` registered.

    Attributes:
        api: Offers the app roles `Orders.Read` and `Orders.Write` and the scope `access_as_user`.
        legacy_api: The same, but it receives v1.0 tokens, which is Entra's default for APIs.
        daemon: May read with both APIs, but not write.
        page: A single-page app, or the Swagger page of any API on this machine.
        secret: The daemon's secret, the same in every emulator.
    """

    api: AppRegistration
    legacy_api: AppRegistration
    daemon: AppRegistration
    page: AppRegistration
    secret: Secret


class SampleApps:
    """Register the samples."""

    def __init__(
        self, registrations: Registrations, consents: Consents, credentials: CredentialRegistry
    ) -> None:
        self._registrations = registrations
        self._consents = consents
        self._credentials = credentials
        self._store = registrations.store

    def add_samples(self, *, secret_value: str = SECRET) -> Samples:
        """Register two APIs, a daemon that may call them, and a page where users sign in.

        Alice has the role `Orders.Read`; bob has no role.
        """
        api = self._sample_api("Tasks API", API, token_version=2)
        legacy = self._sample_api("Legacy tasks API", LEGACY_API, token_version=None)
        daemon = self._registrations.register_app(
            "Tasks daemon",
            client_id=DAEMON,
            identifier_uris=(),
            permissions={api: _ROLES[:1], legacy: _ROLES[:1]},
        )
        page = self._registrations.register_app(
            "Tasks page",
            client_id=PAGE,
            identifier_uris=(),
            spa_redirect_uris=_REDIRECTS,
            permissions={api: [_SCOPE], legacy: [_SCOPE]},
        )
        for target in (api, legacy):
            self._consents.grant(daemon, target, _ROLES[0])
            self._consents.assign("alice", target, _ROLES[0])
            self._consents.grant_delegated(page, target, _SCOPE)
        secret = self._credentials.add_secret(daemon, description="sample", value=secret_value)
        return Samples(api, legacy, daemon, page, secret)

    def find_samples(self, *, secret_value: str = SECRET) -> Samples | None:
        """Return the samples of a directory that was loaded; None if one of them is missing or changed."""
        apps = self._store.directory.apps
        found = [apps.get(client_id) for client_id in (API, LEGACY_API, DAEMON, PAGE)]
        held = self._store.directory.credentials_of(DAEMON).secrets
        digest = hashlib.sha256(secret_value.encode()).digest()
        stored = next((secret for secret in held if secret.sha256 == digest), None)
        if stored is None or None in found:
            return None
        api, legacy, daemon, page = (app for app in found if app)
        secret = Secret(stored.key_id, stored.description, stored.hint, stored.expires, secret_value)
        return Samples(api, legacy, daemon, page, secret)

    def remove_known_secret(self) -> None:
        """Remove the secret that is the same in every emulator, wherever an app has it."""
        digest = hashlib.sha256(SECRET.encode()).digest()
        for client_id, held in self._store.directory.credentials.items():
            for secret in held.secrets:
                if secret.sha256 == digest:
                    self._credentials.remove_secret(client_id, secret.key_id)

    def _sample_api(
        self, name: str, client_id: str, *, token_version: Literal[1, 2] | None
    ) -> AppRegistration:
        return self._registrations.register_app(
            name, client_id=client_id, app_roles=_ROLES, scopes=[_SCOPE], token_version=token_version
        )
