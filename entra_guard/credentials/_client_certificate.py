"""An application's certificate and private key: read, judged, and used to sign assertions. Knows no file.

The assertion is Microsoft's form of RFC 7523 section 2.2 (Microsoft: "Application authentication
certificate credentials").
"""

from __future__ import annotations

import re
import uuid
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

if TYPE_CHECKING:
    from collections.abc import Iterable

Algorithm = Literal["PS256", "RS256"]

_LIFETIME: Final = 600
"""Seconds; Microsoft asks for 5 to 10 minutes."""
_SMALLEST_KEY: Final = 2048
_PEM: Final = b"-----BEGIN"
_KEY: Final = b"PRIVATE KEY-----"
_PFX: Final = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03", re.DOTALL)
"""How a PFX begins: a sequence, of some length, of which the first is the version 3 (RFC 7292 section 4)."""


class UnusableCertificateError(ValueError):
    """What was given is no certificate with its private key; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate, its private key, and the certificates above it. No repr shows the key."""

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def expires(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    def assertion(
        self, client_id: str, audience: str, *, now: float, algorithm: Algorithm, send_chain: bool
    ) -> str:
        """Sign a new assertion that this application is asking.

        Args:
            client_id: Who is asking.
            audience: The token endpoint.
            now: Seconds since the epoch.
            algorithm: PS256 names the certificate by SHA-256, RS256 by SHA-1 as older services want it.
            send_chain: Put the certificates in, for trust by subject name and issuer.
        """
        times = {"nbf": int(now), "iat": int(now), "exp": int(now) + _LIFETIME}
        claims = {"aud": audience, "iss": client_id, "sub": client_id, "jti": str(uuid.uuid4()), **times}
        return jwt.encode(claims, self.key, algorithm, self._headers(algorithm, send_chain=send_chain))

    def _headers(self, algorithm: Algorithm, *, send_chain: bool) -> dict[str, Any]:
        own = self.certificate
        if algorithm == "PS256":
            headers: dict[str, Any] = {"x5t#S256": _base64url(own.fingerprint(hashes.SHA256()))}
        else:
            headers = {"x5t": _base64url(own.fingerprint(hashes.SHA1()))}  # noqa: S303  # a name, no proof
        if send_chain:
            chain = (own, *self.above)
            headers["x5c"] = [b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
        return headers


def read_certificate(data: bytes, password: bytes | None) -> ClientCertificate:
    """Read a certificate with its private key from PEM (in any order) or PFX (PKCS #12).

    Raises:
        UnusableCertificateError: Something is missing, does not belong together, or is of the wrong kind.
    """
    if not data.strip():
        raise UnusableCertificateError("it is empty")
    key, certificates = _from_pem(data, password) if _PEM in data else _from_pfx(data, password)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnusableCertificateError("its key is not RSA, and Entra takes no other")
    if key.key_size < _SMALLEST_KEY:
        raise UnusableCertificateError(f"its key has {key.key_size} bits, and needs {_SMALLEST_KEY} at least")
    public = key.public_key()
    own = [each for each in certificates if each.public_key() == public]
    if not own:
        raise UnusableCertificateError("none of its certificates belongs to its private key")
    return ClientCertificate(key, own[0], tuple(each for each in certificates if each not in own))


def _from_pem(data: bytes, password: bytes | None) -> tuple[object, Iterable[x509.Certificate]]:
    if _KEY not in data:
        raise UnusableCertificateError("it holds no private key")
    try:
        key = load_pem_private_key(data, password)
    except TypeError:
        told = "no password was given" if password is None else "it is not encrypted: leave the password out"
        raise UnusableCertificateError(f"its private key cannot be read, as {told}") from None
    except ValueError:
        words = "its private key is damaged" if password is None else "its password is another"
        raise UnusableCertificateError(words) from None
    try:
        return key, x509.load_pem_x509_certificates(data)
    except ValueError:
        raise UnusableCertificateError("it holds a private key and no certificate") from None


def _from_pfx(data: bytes, password: bytes | None) -> tuple[object, Iterable[x509.Certificate]]:
    if not _PFX.match(data):
        raise UnusableCertificateError("it is neither PEM nor PFX: a .cer or .der file holds no private key")
    try:
        key, own, above = pkcs12.load_key_and_certificates(data, password)
    except ValueError:
        words = "its password is another, or it is damaged" if password else "it needs a password"
        raise UnusableCertificateError(words) from None
    if key is None or own is None:
        raise UnusableCertificateError("it holds no private key with its certificate")
    return key, [own, *above]


def _base64url(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
