"""Certificates: read them from files, and make new ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError
from entra_guard.emulator._directory.client_certificates import (
    GeneratedCertificate,
    generate_certificate,
    read_certificate,
)

if TYPE_CHECKING:
    from pathlib import Path

_BACKDATED = 300.0


def read_der(file: Path) -> bytes:
    """Return the certificate in a PEM or DER file. A private key in the same file is not returned.

    Raises:
        CommandError: There is no certificate of an RSA key in the file.
    """
    try:
        return read_certificate(file.read_bytes()).der
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except ValueError as error:
        reason = str(error)
    raise CommandError(
        f"{escape(str(file))} is not a certificate that Entra accepts.", "unusable_certificate", reason
    )


def generate(name: str, seconds: float) -> GeneratedCertificate:
    """Return a new RSA key with a self-signed certificate, valid from a few minutes ago."""
    now = time.time()
    return generate_certificate(name, starts=now - _BACKDATED, expires=now + seconds)


def der_of(pem: bytes) -> bytes:
    """Return a PEM certificate as DER."""
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def thumbprint(der: bytes) -> str:
    """Return the SHA-1 thumbprint, as the portal shows it."""
    return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303  # the portal shows SHA-1
