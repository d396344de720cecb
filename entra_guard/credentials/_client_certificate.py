"""Select an application's certificate and private key, and sign client assertions with them. Reads no file.

The assertion is Microsoft's form of RFC 7523 section 2.2 (Microsoft: "Application authentication
certificate credentials").
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from entra_guard._common.encoding import to_base64url
from entra_guard.credentials._certificate_formats import UnusableCertificateError, read_keys_and_certificates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.credentials._certificate_formats import KeysAndCertificates

Algorithm = Literal["PS256", "RS256"]

_LIFETIME: Final = 600  # seconds; Microsoft recommends 5 to 10 minutes
_SMALLEST_KEY: Final = 2048
_LONGEST_CHAIN: Final = 10


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate, its private key, and the chain that issued it, in order. No repr shows the key."""

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def expires_on(self) -> float:
        """Return when the certificate ends, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    def assertion(
        self, client_id: str, audience: str, *, now: float, algorithm: Algorithm, send_chain: bool
    ) -> str:
        """Sign a new client assertion.

        Args:
            client_id: The application.
            audience: The token endpoint.
            now: Seconds since the epoch.
            algorithm: PS256 names the certificate by SHA-256, RS256 by SHA-1 as older services want it.
            send_chain: Include the certificates, for trust by subject name and issuer.
        """
        times = {"nbf": int(now), "iat": int(now), "exp": int(now) + _LIFETIME}
        claims = {"aud": audience, "iss": client_id, "sub": client_id, "jti": str(uuid.uuid4()), **times}
        return jwt.encode(claims, self.key, algorithm, self._headers(algorithm, send_chain=send_chain))

    def _headers(self, algorithm: Algorithm, *, send_chain: bool) -> dict[str, Any]:
        own = self.certificate
        if algorithm == "PS256":
            headers: dict[str, Any] = {"x5t#S256": to_base64url(own.fingerprint(hashes.SHA256()))}
        else:
            headers = {"x5t": to_base64url(own.fingerprint(hashes.SHA1()))}  # noqa: S303  # a name, no proof
        if send_chain:
            chain = (own, *self.above)
            headers["x5c"] = [b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
        return headers

    def __reduce__(self) -> tuple[Any, ...]:
        key = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        chain = [each.public_bytes(Encoding.DER) for each in (self.certificate, *self.above)]
        return _restored, (key, chain)


def _restored(key: bytes, chain: list[bytes]) -> ClientCertificate:
    own, *above = (x509.load_der_x509_certificate(each) for each in chain)
    private = load_der_private_key(key, None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise UnusableCertificateError("its key is not RSA")
    return ClientCertificate(private, own, tuple(above))


def read_certificate(data: bytes, password: bytes | None, *, now: float) -> ClientCertificate:
    """Read a certificate with its private key from PEM or PFX.

    Where several certificates match a key (an expired one and its renewal), the one that is valid longest is
    used. `above` holds its issuers in order (RFC 7515 section 4.1.6); unrelated certificates are left out.

    Args:
        data: The file's content, as `read_keys_and_certificates` reads it.
        password: The password of the private key or of the PFX.
        now: Seconds since the epoch.

    Raises:
        UnusableCertificateError: Something is missing, does not match, or is of the wrong kind.
    """
    found = read_keys_and_certificates(data, password)
    pairs = _pairs(found)
    if not pairs:
        raise UnusableCertificateError("none of its certificates belongs to its private key")
    key, own = max(pairs, key=lambda pair: _preference(pair[1], now))
    return ClientCertificate(key, own, tuple(_issuers(own, found.certificates, now)))


def _pairs(found: KeysAndCertificates) -> list[tuple[rsa.RSAPrivateKey, x509.Certificate]]:
    keys = [key for key in found.keys if isinstance(key, rsa.RSAPrivateKey)]
    if not keys:
        raise UnusableCertificateError("its key is not RSA, the only kind that Entra accepts")
    large = [key for key in keys if key.key_size >= _SMALLEST_KEY]
    if not large:
        raise UnusableCertificateError(
            f"its key has {keys[0].key_size} bits; at least {_SMALLEST_KEY} are needed"
        )
    return [(key, each) for key in large for each in found.certificates if _belongs(each, key)]


def _belongs(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def _preference(certificate: x509.Certificate, now: float) -> tuple[bool, float]:
    """Return a sort key: valid certificates last, and of these the one that ends last."""
    ends = certificate.not_valid_after_utc.timestamp()
    return certificate.not_valid_before_utc.timestamp() <= now < ends, ends


def _issuers(
    own: x509.Certificate, certificates: Iterable[x509.Certificate], now: float
) -> Iterable[x509.Certificate]:
    """Yield the issuer of a certificate, the issuer of that one, and so on, as far as they are there."""
    current, rest = own, [each for each in certificates if each != own]
    for _ in range(_LONGEST_CHAIN):
        candidates = [each for each in rest if _issued(each, current)]
        if current.issuer == current.subject or not candidates:
            return
        current = max(candidates, key=lambda each: _preference(each, now))
        rest.remove(current)
        yield current


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
