"""What apps prove themselves by: client secrets, certificates, other issuers' tokens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.client_certificates import (
    GeneratedCertificate,
    new_certificate,
    read_certificate,
)
from entra_guard.emulator._directory.consent import Consents
from entra_guard.emulator._directory.rules import check_federated, check_secret_count
from entra_guard.emulator._store.directory import (
    AppRegistration,
    Credentials,
    FederatedCredential,
    StoredCertificate,
    StoredSecret,
    adding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._directory.lookup import App

YEAR: Final = 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Secret:
    """A new client secret. This is the only place its value is ever shown; no repr has it.

    Attributes:
        value: What a client sends. Not to be confused with `key_id`.
        hint: The first three characters, which lists show later.
        expires: Seconds since 1970.
    """

    key_id: str
    description: str
    hint: str
    expires: float
    value: str = field(repr=False)


class AppCredentials(Consents):
    """Gives apps credentials and takes them away."""

    def add_secret(
        self, app: App, *, description: str = "", expires_in: float = 2 * YEAR, value: str | None = None
    ) -> Secret:
        """Give an app one more client secret.

        Args:
            app: The app.
            description: A name for people.
            expires_in: Seconds until it expires; negative for one that has.
            value: A fixed value of at least 16 characters; by default a new one.

        Raises:
            RegistrationError: The app may have no more.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
        check_secret_count(owner, len(held.secrets))
        secret = value or self.ids.secret()
        expires = self.now() + expires_in
        stored = StoredSecret(
            key_id=self.ids.guid(),
            description=description,
            hint=secret[:3],
            sha256=hashlib.sha256(secret.encode()).digest(),
            starts=min(self.now(), expires),
            expires=expires,
        )
        self.set_credentials(owner, replace(held, secrets=(*held.secrets, stored)))
        return Secret(stored.key_id, description, stored.hint, expires, secret)

    def remove_secret(self, app: App, key_id: str) -> None:
        """Take a client secret away.

        Raises:
            LookupError: The app has no secret with that key id.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
        kept = tuple(s for s in held.secrets if s.key_id != key_id)
        if len(kept) == len(held.secrets):
            raise LookupError(f"{owner.name} has no secret with the key id {key_id}.")
        self.set_credentials(owner, replace(held, secrets=kept))

    def set_credentials(self, app: AppRegistration, credentials: Credentials) -> None:
        """Replace all an app may prove itself by."""
        held = adding(self.directory.credentials, app.client_id, credentials)
        self.change(directory=replace(self.directory, credentials=held))

    def add_certificate(
        self, app: App, certificate: bytes | str, *, description: str = ""
    ) -> StoredCertificate:
        """Register a certificate an app proves itself by.

        Args:
            app: The app.
            certificate: PEM or DER. A private key in the same PEM is ignored, and not kept.
            description: A name for people.

        Raises:
            ValueError: It is no certificate, or not of an RSA key.
        """
        owner, found = self.find_app(app), read_certificate(certificate)
        stored = StoredCertificate(self.ids.guid(), description, found.der, found.starts, found.expires)
        held = self.directory.credentials_of(owner.client_id)
        self.set_credentials(owner, replace(held, certificates=(*held.certificates, stored)))
        return stored

    def new_certificate(
        self, app: App, *, description: str = "", starts_in: float = -3600.0, expires_in: float = YEAR
    ) -> GeneratedCertificate:
        """Make a key and a certificate and register the certificate.

        Args:
            app: The app.
            description: A name for people.
            starts_in: Seconds from now until the certificate is valid.
            expires_in: Seconds from now until it is not any more.
        """
        owner, now = self.find_app(app), self.now()
        made = new_certificate(owner.name, starts=now + starts_in, expires=now + expires_in)
        self.add_certificate(owner, made.certificate, description=description)
        return made

    def remove_certificate(self, app: App, key_id: str) -> None:
        """Take a certificate away.

        Raises:
            LookupError: The app has no certificate with that key id.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
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
        """Let another issuer's tokens stand for a secret of this app.

        Args:
            app: The app.
            issuer: The other issuer, to the letter. The emulator can be one: `workload_issuer`.
            subject: Whose tokens, to the letter.
            audience: What they must be for.
            name: 3 to 120 characters.
            description: At most 600 characters.
            jwks: The issuer's keys. The emulator fetches nothing: it knows its own keys, and these.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
        made = FederatedCredential(self.ids.guid(), name, issuer, subject, audience, description, jwks)
        check_federated(owner, made, held.federated)
        self.set_credentials(owner, replace(held, federated=(*held.federated, made)))
        return made
