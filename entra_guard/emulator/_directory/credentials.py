"""Credentials of apps: client secrets, certificates, federated credentials."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.client_certificates import (
    GeneratedCertificate,
    generate_certificate,
    read_certificate,
)
from entra_guard.emulator._directory.rules import check_federated, check_secret_count
from entra_guard.emulator._store.directory import with_entry
from entra_guard.emulator._store.entries import (
    AppRegistration,
    FederatedCredential,
    StoredCertificate,
    StoredCredentials,
    StoredSecret,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._directory.lookup import App, Lookup

YEAR: Final = 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Secret:
    """A new client secret. Only this object has its value, and its repr does not show it.

    Attributes:
        key_id: Identifies the secret. It is not the secret.
        value: The secret that a client sends.
        hint: The first three characters, which lists show later.
        expires: Seconds since 1970.
    """

    key_id: str
    description: str
    hint: str
    expires: float
    value: str = field(repr=False)


class CredentialRegistry:
    """Add and remove credentials of apps."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._store = lookup.store

    def add_secret(
        self, app: App, *, description: str = "", expires_in: float = 2 * YEAR, value: str | None = None
    ) -> Secret:
        """Add a client secret to an app.

        Args:
            app: The app.
            description: A name to show.
            expires_in: Seconds until it expires; negative for an expired secret.
            value: A fixed value of at least 16 characters; by default a new one.

        Raises:
            RegistrationError: The app has as many secrets as its account type allows.
        """
        owner, now = self._lookup.find_app(app), self._store.now()
        held = self.credentials_of(owner)
        check_secret_count(owner, len(held.secrets))
        secret = value or self._store.ids.secret()
        expires = now + expires_in
        stored = StoredSecret(
            key_id=self._store.ids.guid(),
            description=description,
            hint=secret[:3],
            sha256=hashlib.sha256(secret.encode()).digest(),
            starts=min(now, expires),
            expires=expires,
        )
        self.set_credentials(owner, replace(held, secrets=(*held.secrets, stored)))
        return Secret(stored.key_id, description, stored.hint, expires, secret)

    def remove_secret(self, app: App, key_id: str) -> None:
        """Remove a client secret.

        Raises:
            LookupError: The app has no secret with that key id.
        """
        owner = self._lookup.find_app(app)
        held = self.credentials_of(owner)
        kept = tuple(s for s in held.secrets if s.key_id != key_id)
        if len(kept) == len(held.secrets):
            raise LookupError(f"{owner.name} has no secret with the key id {key_id}.")
        self.set_credentials(owner, replace(held, secrets=kept))

    def credentials_of(self, app: AppRegistration) -> StoredCredentials:
        return self._store.directory.credentials_of(app.client_id)

    def set_credentials(self, app: AppRegistration, credentials: StoredCredentials) -> None:
        """Replace all credentials of an app."""
        directory = self._store.directory
        held = with_entry(directory.credentials, app.client_id, credentials)
        self._store.change(directory=replace(directory, credentials=held))

    def add_certificate(
        self, app: App, certificate: bytes | str, *, description: str = ""
    ) -> StoredCertificate:
        """Register a certificate that an app authenticates with.

        Args:
            app: The app.
            certificate: PEM or DER. A private key in the same PEM is ignored and not stored.
            description: A name to show.

        Raises:
            ValueError: It is not a certificate of an RSA key.
        """
        owner, facts = self._lookup.find_app(app), read_certificate(certificate)
        key_id = self._store.ids.guid()
        stored = StoredCertificate(key_id, description, facts.der, facts.starts, facts.expires)
        held = self.credentials_of(owner)
        self.set_credentials(owner, replace(held, certificates=(*held.certificates, stored)))
        return stored

    def new_certificate(
        self, app: App, *, description: str = "", starts_in: float = -3600.0, expires_in: float = YEAR
    ) -> GeneratedCertificate:
        """Generate a key and a certificate, and register the certificate.

        Args:
            app: The app.
            description: A name to show.
            starts_in: Seconds from now until the certificate becomes valid.
            expires_in: Seconds from now until the certificate expires.
        """
        owner, now = self._lookup.find_app(app), self._store.now()
        generated = generate_certificate(owner.name, starts=now + starts_in, expires=now + expires_in)
        self.add_certificate(owner, generated.certificate, description=description)
        return generated

    def remove_certificate(self, app: App, key_id: str) -> None:
        """Remove a certificate.

        Raises:
            LookupError: The app has no certificate with that key id.
        """
        owner = self._lookup.find_app(app)
        held = self.credentials_of(owner)
        kept = tuple(c for c in held.certificates if c.key_id != key_id)
        if len(kept) == len(held.certificates):
            raise LookupError(f"{owner.name} has no certificate with the key id {key_id}.")
        self.set_credentials(owner, replace(held, certificates=kept))

    def add_federated_credential(
        self,
        app: App,
        issuer: str,
        subject: str,
        audience: str = "api://AzureADTokenExchange",
        *,
        name: str = "federated",
        description: str = "",
        jwks: Mapping[str, Any] | None = None,
    ) -> FederatedCredential:
        """Accept another issuer's tokens as a credential of this app.

        Args:
            app: The app.
            issuer: The other issuer, compared exactly. The emulator has one: `workload_issuer`.
            subject: Subject of the tokens, compared exactly.
            audience: Audience of the tokens.
            name: 3 to 120 characters.
            description: At most 600 characters.
            jwks: The issuer's keys. The emulator fetches nothing; it knows its own keys and these.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        owner = self._lookup.find_app(app)
        held = self.credentials_of(owner)
        identifier = self._store.ids.guid()
        added = FederatedCredential(identifier, name, issuer, subject, audience, description, jwks)
        check_federated(owner, added, held.federated)
        self.set_credentials(owner, replace(held, federated=(*held.federated, added)))
        return added
