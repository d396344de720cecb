"""An application that proves itself by a certificate, which is picked up again when its file changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from entra_guard._common.logs import get_logger
from entra_guard.credentials import _files
from entra_guard.credentials._application import ASSERTION_TYPE, ApplicationCredential
from entra_guard.credentials._client_certificate import UnusableCertificateError, read_certificate
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.credentials._client_certificate import Algorithm, ClientCertificate
    from entra_guard.credentials._settings import Settings

log: Final = get_logger("entra_guard.credentials")

_WARN_BEFORE: Final = 30 * 24 * 3600.0
_DAY: Final = 24 * 3600.0


class CertificateCredential(ApplicationCredential):
    """An application with a certificate.

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        certificate_path: A PEM or PFX file with certificate and private key, read again when it changes.
        certificate_data: The same as bytes, instead of a path.
        password: The password of the private key or the PFX file.
        send_certificate_chain: Send the certificates along (x5c), for trust by subject name and issuer.
        algorithm: 'PS256', or 'RS256' with a SHA-1 thumbprint for services that know nothing newer (AD FS).
        settings: See `Settings`.

    Raises:
        ConfigurationError: The certificate cannot be used, or a setting cannot work.

    Example:
        >>> CertificateCredential(tenant_id, client_id, "/etc/orders/identity.pem")  # doctest: +SKIP
    """

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        certificate_path: str | Path | None = None,
        *,
        certificate_data: bytes | None = None,
        password: str | bytes | None = None,
        send_certificate_chain: bool = False,
        algorithm: Algorithm = "PS256",
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(tenant_id, client_id, **settings)
        if (certificate_path is None) == (certificate_data is None):
            raise ConfigurationError("give certificate_path or certificate_data, one of them")
        _check_kinds(certificate_path, certificate_data, password)
        if algorithm not in ("PS256", "RS256"):
            raise ConfigurationError("algorithm must be 'PS256' or 'RS256'")
        self._path = None if certificate_path is None else Path(certificate_path)
        self._password = password.encode() if isinstance(password, str) else password
        self._send_chain = send_certificate_chain
        self._algorithm: Algorithm = algorithm
        self._stamp = self._proof()
        try:
            self._loaded = self._read(certificate_data)
        except (UnusableCertificateError, TokenAcquisitionError) as error:
            raise ConfigurationError(f"the certificate cannot be used: {error}") from None

    def _proof(self) -> object:
        return None if self._path is None else _files.stamp(self._path)

    def _proof_fields(self) -> Mapping[str, str]:
        signed = self._certificate().assertion(
            self.client_id,
            self._endpoint.url,
            now=self._clock(),
            algorithm=self._algorithm,
            send_chain=self._send_chain,
        )
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

    def _certificate(self) -> ClientCertificate:
        """The certificate as the file has it now; the one before while the file is half written."""
        stamp = self._proof()
        if stamp != self._stamp:
            try:
                self._loaded = self._read(None)
                self._stamp = stamp
            except (UnusableCertificateError, TokenAcquisitionError) as error:
                log.warning(
                    "%s changed and cannot be used, the certificate before stays: %s", self._path, error
                )
        return self._loaded

    def _read(self, data: bytes | None) -> ClientCertificate:
        if data is None and self._path is not None:
            data = _files.read(self._path, "certificate")
        found = read_certificate(data or b"", self._password)
        left = found.expires - self._clock()
        if left < _WARN_BEFORE:
            log.warning("the certificate of client %s expires in %.1f days", self.client_id, left / _DAY)
        return found


def _check_kinds(path: object, data: object, password: object) -> None:
    if not isinstance(path, str | Path | None):
        raise ConfigurationError("certificate_path must be a path")
    if not isinstance(data, bytes | None):
        raise ConfigurationError("certificate_data must be bytes: encode() a text of PEM")
    if not isinstance(password, str | bytes | None):
        raise ConfigurationError("password must be text or bytes")
