"""An application that proves its identity with a certificate, which is read again when its file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from entra_guard._common.arguments import check_flags, known_arguments
from entra_guard._common.boundary import public
from entra_guard.credentials._application import ASSERTION_TYPE, ApplicationCredential
from entra_guard.credentials._certificate_source import CertificateSource, certificate_sources
from entra_guard.credentials._proofs import ProofRotation
from entra_guard.credentials._settings import SETTING_NAMES
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from entra_guard.credentials._client_certificate import Algorithm
    from entra_guard.credentials._settings import Settings


class CertificateCredential(ApplicationCredential):
    """An application with a certificate.

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        certificate_path: A PEM or PFX file with certificate and private key, read again when it changes. A
            list holds an old and a new one: when Entra refuses one, the next is used. Of several certificates
            in one file, the one that matches the private key and is valid longest is used.
        certificate_data: The same as bytes or text, instead of a path; also as secret stores deliver it (a
            PFX in base64, line breaks written as backslash and n, UTF-16).
        password: The password of the private key or the PFX file.
        send_certificate_chain: Send the certificates (x5c), for trust by subject name and issuer.
        algorithm: 'PS256', or 'RS256' with a SHA-1 thumbprint for services that accept nothing newer (AD FS).
        settings: See `Settings`.

    Raises:
        ConfigurationError: The certificate cannot be used, or a setting cannot work.

    Example:
        >>> CertificateCredential(tenant_id, client_id, "/etc/orders/identity.pem")
    """

    @public
    @known_arguments(*SETTING_NAMES)
    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        certificate_path: str | Path | Sequence[str | Path] | None = None,
        *,
        certificate_data: bytes | str | Sequence[bytes | str] | None = None,
        password: str | bytes | None = None,
        send_certificate_chain: bool = False,
        algorithm: Algorithm = "PS256",
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(tenant_id, client_id, **settings)
        check_flags(send_certificate_chain=send_certificate_chain)
        sources = certificate_sources(certificate_path, certificate_data)
        if not isinstance(password, str | bytes | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"password must be str or bytes, got {type(password).__name__}")
        if algorithm not in ("PS256", "RS256"):
            raise ConfigurationError(f"algorithm must be 'PS256' or 'RS256', got {algorithm!r:.40}")
        secret = password.encode("utf-8", "surrogatepass") if isinstance(password, str) else password
        self._send_chain = send_certificate_chain
        self._algorithm: Algorithm = algorithm
        self._sources = [CertificateSource(source, secret, self._clock()) for source in sources]
        self._proofs = ProofRotation("certificate", [each.loaded.expires_on for each in self._sources])
        self._warn_before_expiry()

    def _proof_version(self) -> object:
        stamps = tuple(stamp for source in self._sources if (stamp := source.stamp()) is not None)
        return stamps or None

    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:
        certificates = [source.current(self._clock()) for source in self._sources]
        self._proofs.expiry[:] = [each.expires_on for each in certificates]
        signed = certificates[number].assertion(
            self.client_id,
            self._endpoint.url,
            now=self._clock(),
            algorithm=self._algorithm,
            send_chain=self._send_chain,
        )
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
