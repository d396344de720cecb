"""The application that environment variables describe, by the names that azure-identity made known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

from entra_guard._common.boundary import public
from entra_guard._common.logs import get_logger
from entra_guard.credentials._certificate import CertificateCredential
from entra_guard.credentials._client_secret import ClientSecretCredential
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._federated import WorkloadIdentityCredential
from entra_guard.credentials._settings import Settings, check_settings
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.credentials._application import ApplicationCredential
    from entra_guard.credentials._cache.token import AccessToken

log: Final = get_logger("entra_guard.credentials")


@dataclass(frozen=True, slots=True)
class _ProofKind:
    """One way to prove an application, and the variable that selects it."""

    name: str
    variable: str


_APPLICATION: Final = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
_AUTHORITY: Final = "AZURE_AUTHORITY_HOST"
_PASSWORD: Final = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105  # a variable's name
_SEND_CHAIN: Final = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
_SECRET: Final = _ProofKind("client secret", "AZURE_CLIENT_SECRET")
_CERTIFICATE: Final = _ProofKind("certificate", "AZURE_CLIENT_CERTIFICATE_PATH")
_FEDERATED: Final = _ProofKind("federated token", "AZURE_FEDERATED_TOKEN_FILE")
_PROOFS: Final = (_SECRET, _CERTIFICATE, _FEDERATED)
PROOF_VARIABLES: Final = tuple(kind.variable for kind in _PROOFS)
_FLAGS: Final = {"": False, "0": False, "false": False, "1": True, "true": True}
_OPTIONAL: Final = {_CERTIFICATE: (_PASSWORD, _SEND_CHAIN)}


class EnvironmentCredential(Credential):
    """An application that environment variables describe: by secret, certificate or federated token.

    AZURE_TENANT_ID and AZURE_CLIENT_ID, and the first that is set of AZURE_CLIENT_SECRET,
    AZURE_CLIENT_CERTIFICATE_PATH (with AZURE_CLIENT_CERTIFICATE_PASSWORD and
    AZURE_CLIENT_SEND_CERTIFICATE_CHAIN) and AZURE_FEDERATED_TOKEN_FILE; AZURE_AUTHORITY_HOST names the
    authority. Where none is set it can be built all the same, so that it can be part of a chain.

    Args:
        environ: The variables; None reads those of the process.
        settings: See `Settings`; these win over variables.

    Attributes:
        account: Which variables it used or missed.
        credential: The credential that they describe, or None.

    Raises:
        ConfigurationError: A proof is set without its tenant or client id, or cannot be used.

    Example:
        >>> EnvironmentCredential({}).account
        'missing: AZURE_TENANT_ID, AZURE_CLIENT_ID, one of AZURE_CLIENT_SECRET, ...'
    """

    @public
    def __init__(self, environ: Mapping[str, str] | None = None, **settings: Unpack[Settings]) -> None:
        check_settings(settings)
        found, account = _described_by(os.environ if environ is None else environ, settings)
        self.credential: ApplicationCredential | None = found
        self.account: str = account
        self.tenant_id: str = found.tenant_id if found is not None else ""
        self.authority: str = found.authority if found is not None else ""
        log.info("EnvironmentCredential: %s", self.account)

    def __repr__(self) -> str:
        return f"<EnvironmentCredential {self.account}>"

    @public
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._configured().get_token(*scopes, **options)

    @public
    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        return await self._configured().aget_token(*scopes, **options)

    def health(self) -> dict[str, Any]:
        return super().health() if self.credential is None else self.credential.health()

    def _configured(self) -> Credential:
        if self.credential is None:
            raise CredentialUnavailableError(
                f"No token: the environment does not describe an application; {self.account}.",
                error="environment",
            )
        return self.credential

    def close(self) -> None:
        """Close the connections."""
        if self.credential is not None:
            self.credential.close()


def _described_by(environ: Mapping[str, str], settings: Settings) -> tuple[ApplicationCredential | None, str]:
    """Return the credential, and an account of the variables."""
    kind = next((kind for kind in _PROOFS if environ.get(kind.variable)), None)
    missing = [name for name in _APPLICATION if not environ.get(name)]
    if kind is None:
        proofs = f"one of {', '.join(kind.variable for kind in _PROOFS)}"
        return None, f"missing: {', '.join([*missing, proofs])}"
    if missing:
        raise ConfigurationError(f"{kind.variable} is set: set {' and '.join(missing)}, too")
    names = [*_APPLICATION, kind.variable, *_OPTIONAL.get(kind, ()), _AUTHORITY]
    used = [name for name in names if environ.get(name)]
    ignored = [other.variable for other in _PROOFS if other is not kind and environ.get(other.variable)]
    account = f"{kind.name} from {', '.join(used)}" + (f"; not used: {', '.join(ignored)}" if ignored else "")
    return _build(kind, environ, settings), account


def _build(kind: _ProofKind, environ: Mapping[str, str], settings: Settings) -> ApplicationCredential:
    if host := environ.get(_AUTHORITY):
        settings.setdefault("authority", host)
    tenant, client = (environ[name] for name in _APPLICATION)
    if kind is _SECRET:
        return ClientSecretCredential(tenant, client, environ[kind.variable], **settings)
    if kind is _CERTIFICATE:
        return CertificateCredential(
            tenant,
            client,
            environ[kind.variable],
            password=environ.get(_PASSWORD) or None,
            send_certificate_chain=_flag(environ, _SEND_CHAIN),
            **settings,
        )
    return WorkloadIdentityCredential(environ=environ, **settings)


def _flag(environ: Mapping[str, str], variable: str) -> bool:
    """Return a variable that is 'true' or 'false' (as in azure-identity also '1' or '0'), or False."""
    text = environ.get(variable, "").strip().lower()
    if text not in _FLAGS:
        raise ConfigurationError(f"{variable} must be true or false, got {text!r:.40}")
    return _FLAGS[text]
