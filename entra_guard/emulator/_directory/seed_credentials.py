"""The credentials of an application in a seed."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.client_certificates import read_certificate
from entra_guard.emulator._directory.rules import RegistrationError, check_federated, check_secret_count
from entra_guard.emulator._directory.seed_format import CertificateSeed, SecretSeed
from entra_guard.emulator._store.entries import (
    FederatedCredential,
    StoredCertificate,
    StoredCredentials,
    StoredSecret,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._directory.seed_format import AppSeed, FederatedSeed
    from entra_guard.emulator._store.entries import AppRegistration

_DAY: Final = 24 * 3600.0


def credentials_of(
    app: AppRegistration, seed: AppSeed, now: float, derived: Callable[..., str]
) -> StoredCredentials:
    """Return the credentials of an application.

    Args:
        app: The application.
        seed: Its seed.
        now: The time, from which the days of a secret count.
        derived: Returns the id of one that has none, from the words that identify it.

    Raises:
        RegistrationError: Entra would refuse one.
    """
    check_secret_count(app, len(seed.secrets) - 1)
    federated: tuple[FederatedCredential, ...] = ()
    for entry in seed.federated:
        identifier = entry.id or derived(app.client_id, "federated", entry.issuer, entry.subject)
        new = _federated(entry, identifier)
        check_federated(app, new, federated)
        federated = (*federated, new)
    return StoredCredentials(
        tuple(
            _secret(given, now, derived(app.client_id, "secret", str(number)))
            for number, given in enumerate(seed.secrets)
        ),
        tuple(
            _certificate(given, derived(app.client_id, "certificate", str(number)))
            for number, given in enumerate(seed.certificates)
        ),
        federated,
    )


def _secret(given: str | SecretSeed, now: float, identifier: str) -> StoredSecret:
    seed = SecretSeed(given) if isinstance(given, str) else given
    if bool(seed.value) == bool(seed.sha256):
        raise RegistrationError("A secret needs a value, or its sha256, and not both.")
    expires = _time(seed.expires) if seed.expires else now + seed.days * _DAY
    digest = _digest(seed.sha256) if seed.sha256 else hashlib.sha256(seed.value.encode()).digest()
    return StoredSecret(
        key_id=seed.id or identifier,
        description=seed.description,
        hint=seed.hint or seed.value[:3],
        sha256=digest,
        starts=min(now, expires),
        expires=expires,
    )


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise RegistrationError("The sha256 of a secret is not hexadecimal.") from None


def _time(text: str) -> float:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise RegistrationError(
            f"expires {text!r} is not a time: write it as 2027-01-31T12:00:00Z."
        ) from None


def _certificate(given: str | CertificateSeed, identifier: str) -> StoredCertificate:
    seed = CertificateSeed(given) if isinstance(given, str) else given
    facts = read_certificate(seed.pem)
    return StoredCertificate(seed.id or identifier, seed.description, facts.der, facts.starts, facts.expires)


def _federated(seed: FederatedSeed, identifier: str) -> FederatedCredential:
    return FederatedCredential(
        identifier, seed.name, seed.issuer, seed.subject, seed.audience, seed.description, seed.jwks
    )
