"""Client certificates: generate them, parse them, compute their thumbprints."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from entra_guard.emulator._store import key_material

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class GeneratedCertificate:
    """A client certificate with its private key, as PEM. The repr does not show the key.

    Attributes:
        thumbprint: SHA-1 in hexadecimal, as the portal shows it.
        certificate: The certificate.
        key: The private key.
    """

    thumbprint: str
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def pem(self) -> bytes:
        """Key and certificate in one file, as most tools expect it."""
        return self.key + self.certificate

    def write(self, path: Path) -> Path:
        """Write key and certificate to a file that only this user can read."""
        path.touch(mode=0o600)
        path.write_bytes(self.pem)
        return path


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The facts of a certificate that the directory stores. Times in seconds since 1970."""

    der: bytes = field(repr=False)
    starts: float
    expires: float


def generate_certificate(name: str, *, starts: float, expires: float) -> GeneratedCertificate:
    """Generate an RSA key and a self-signed certificate. Times in seconds since 1970."""
    from cryptography import x509  # noqa: PLC0415 (slow to import, and only for certificates)
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = key_material.generate_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(_utc_time(starts)).not_valid_after(_utc_time(expires))
    certificate = dated.sign(key, hashes.SHA256())
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    return GeneratedCertificate(
        thumbprint=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 (the portal shows SHA-1)
        certificate=certificate.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password),
    )


def read_certificate(given: bytes | str) -> CertificateFacts:
    """Parse a certificate from PEM or DER.

    Raises:
        ValueError: It is not a certificate of an RSA key.
    """
    from cryptography import x509  # noqa: PLC0415 (slow to import, and only for certificates)

    octets = given.encode() if isinstance(given, str) else given
    try:
        read = x509.load_pem_x509_certificate if b"-----BEGIN" in octets else x509.load_der_x509_certificate
        certificate = read(octets)
    except ValueError:
        raise ValueError("This is not a certificate: pass the text of a PEM file, or DER.") from None
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        raise ValueError("The certificate's key is not an RSA key: Entra accepts RSA keys only.")  # noqa: TRY004 (the value is wrong)
    return CertificateFacts(
        der=certificate.public_bytes(serialization.Encoding.DER),
        starts=certificate.not_valid_before_utc.timestamp(),
        expires=certificate.not_valid_after_utc.timestamp(),
    )


def public_key_of(der: bytes) -> object:
    """Return the public key of a certificate in DER."""
    from cryptography import x509  # noqa: PLC0415 (slow to import, and only for certificates)

    return x509.load_der_x509_certificate(der).public_key()


def _utc_time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
