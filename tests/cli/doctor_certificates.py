"""Certificates for a server on loopback, with and without what Python 3.13's strict rules require."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def old_style(folder: Path) -> tuple[Path, Path]:
    """Write a CA as companies made them: no key usage, no key identifiers. Return CA and server files."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        start, end = now - dt.timedelta(days=1), now + dt.timedelta(days=90)
        made = x509.CertificateBuilder(_name("Contoso old CA"), _name(subject), public)
        return made.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    ca = builder("Contoso old CA", ca_key.public_key()).add_extension(
        x509.BasicConstraints(True, None), False
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = builder("127.0.0.1", key.public_key()).add_extension(names, False)
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(_PEM))
    (folder / "server.pem").write_bytes(private + server.sign(ca_key, hashes.SHA256()).public_bytes(_PEM))
    return folder / "ca.pem", folder / "server.pem"
