"""RSA keys with their self-signed certificates, and how they are serialised."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_SUBJECT: Final = "accounts.accesscontrol.windows.net"
# A fixed start makes a key's certificate, and so its kid, depend on the key and the serial number alone.
_START: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
# Entra's certificates are valid for five years; these must not expire while tests run.
_YEARS: Final = 30
_KEY_SIZE: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class KeyMaterial:
    """A private key and its certificate in DER."""

    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)


def generate_key() -> rsa.RSAPrivateKey:
    """Generate an RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)


def generate_material(serial: int) -> KeyMaterial:
    """Generate an RSA key and a self-signed certificate with this serial number."""
    # Slow to import, and not needed for keys that are in a file.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = generate_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _SUBJECT)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial)
    dated = builder.not_valid_before(_START).not_valid_after(_START.replace(year=_START.year + _YEARS))
    certificate = dated.sign(key, hashes.SHA256())
    return KeyMaterial(key, certificate.public_bytes(serialization.Encoding.DER))


def public_bytes(key: rsa.RSAPrivateKey) -> bytes:
    """Return the public key in DER, as certificates contain it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def private_bytes(material: KeyMaterial) -> bytes:
    """Return the private key as unencrypted PKCS #8 in DER."""
    encoding, no_password = serialization.Encoding.DER, serialization.NoEncryption()
    return material.private_key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)


def load_material(key: bytes, certificate: bytes) -> KeyMaterial:
    """Parse a key that this program generated.

    Raises:
        ValueError: It is not an RSA key of the expected size with its certificate.
    """
    # The full validation takes 500 times as long as parsing. The caller has checked the file's hash.
    private_key = serialization.load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(private_key, rsa.RSAPrivateKey) or private_key.key_size != _KEY_SIZE:
        raise ValueError("The key is not a 2048-bit RSA key.")
    if public_bytes(private_key) not in certificate:  # parsing it would need the import above
        raise ValueError("The certificate belongs to another key.")
    return KeyMaterial(private_key, certificate)
