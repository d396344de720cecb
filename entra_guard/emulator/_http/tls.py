"""A certificate authority for loopback names, for clients that require https.

Name constraints limit it to `localhost`, its subdomains, 127.0.0.0/8, and a name for other containers.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import ssl
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY = dt.timedelta(days=1)
_YEAR = dt.timedelta(days=365)
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True)
class LocalAuthority:
    """Certificates of the authority and the server, as files in one folder."""

    folder: Path

    @classmethod
    def create(cls, host: str = "") -> LocalAuthority:
        """Create an authority in a new temporary folder that only this user can read."""
        authority = cls(Path(tempfile.mkdtemp(prefix="entra-emulator-")))
        _write_files(authority, host)
        return authority

    @classmethod
    def load_or_create(cls, folder: Path, host: str = "") -> LocalAuthority:
        """Load the authority from a folder; create it if it is missing or about to expire.

        Args:
            folder: The folder; each host name has its own below it.
            host: The name that the certificate is also for.
        """
        folder = folder / host if host else folder
        authority = cls(folder)
        if not authority.is_valid():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_files(authority, host)
        return authority

    def is_valid(self) -> bool:
        """Return whether both files belong together and are valid for at least one more day."""
        try:
            found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            # Two emulators that start together, or a full disk, may leave files that do not match.
            x509.load_pem_x509_certificate(self.chain.read_bytes()).verify_directly_issued_by(found)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        return found.not_valid_after_utc > dt.datetime.now(dt.UTC) + _DAY

    @property
    def certificate(self) -> Path:
        """The authority's certificate, which clients must trust."""
        return self.folder / "ca.pem"

    @property
    def chain(self) -> Path:
        """The server's private key and certificate."""
        return self.folder / "server.pem"

    @cached_property
    def combined(self) -> Path:
        """Return the public authorities and this one, for REQUESTS_CA_BUNDLE or SSL_CERT_FILE."""
        import certifi  # noqa: PLC0415 (installed with httpx, needed only here)

        path = self.folder / "combined.pem"
        content = Path(certifi.where()).read_bytes() + self.certificate.read_bytes()
        if not path.is_file() or path.read_bytes() != content:
            # In one step: clients of another emulator may read it now.
            handle, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        return path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a client context that trusts only this authority."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_files(authority: LocalAuthority, host: str) -> None:
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    own = [x509.DNSName(host)] if host else []
    ca = _ca_certificate(ca_key, own)
    server = _server_certificate(server_key, ca, ca_key, own)
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority.chain.touch(mode=0o600)
    authority.chain.write_bytes(private + server.public_bytes(pem))
    authority.certificate.write_bytes(ca.public_bytes(pem))


def _ca_certificate(key: ec.EllipticCurvePrivateKey, own: Sequence[x509.DNSName]) -> x509.Certificate:
    name = _common_name("entra-guard emulator, this machine only")
    permitted = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")), *own]
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    own: Sequence[x509.DNSName],
) -> x509.Certificate:
    names = [*own, x509.DNSName("localhost"), x509.DNSName("*.localhost"), x509.IPAddress(_LOOPBACK)]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(_common_name("localhost"), ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - _DAY).not_valid_after(now + _YEAR)


def _common_name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
