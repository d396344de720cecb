"""The credential that environment variables describe, by the names that azure-identity made known."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

from entra_guard._common.logs import get_logger
from entra_guard.credentials._application import ClientSecretCredential
from entra_guard.credentials._base import Credential
from entra_guard.credentials._certificate import CertificateCredential
from entra_guard.credentials._federated import WorkloadIdentityCredential
from entra_guard.credentials._settings import Settings, check_settings
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.credentials._cache.token import AccessToken

log: Final = get_logger("entra_guard.credentials")


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to prove an application, and the variable that decides for it."""

    name: str
    proof: str


_APPLICATION: Final = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
_AUTHORITY: Final = "AZURE_AUTHORITY_HOST"
_PASSWORD: Final = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105  # a variable's name
_SEND_CHAIN: Final = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
_SECRET: Final = _Way("client secret", "AZURE_CLIENT_SECRET")
_CERTIFICATE: Final = _Way("certificate", "AZURE_CLIENT_CERTIFICATE_PATH")
_FEDERATED: Final = _Way("federated token", "AZURE_FEDERATED_TOKEN_FILE")
_WAYS: Final = (_SECRET, _CERTIFICATE, _FEDERATED)
_OPTIONAL: Final = {_CERTIFICATE: (_PASSWORD, _SEND_CHAIN)}


class EnvironmentCredential(Credential):
    """An application as environment variables describe it: by secret, certificate or federated token.

    AZURE_TENANT_ID and AZURE_CLIENT_ID, and the first that is set of AZURE_CLIENT_SECRET,
    AZURE_CLIENT_CERTIFICATE_PATH (with AZURE_CLIENT_CERTIFICATE_PASSWORD and
    AZURE_CLIENT_SEND_CERTIFICATE_CHAIN) and AZURE_FEDERATED_TOKEN_FILE; AZURE_AUTHORITY_HOST names the
    authority. Where none is set it can be built all the same, so that it can stand in a chain; `account`
    tells which variables it used or missed.

    Args:
        environ: The variables.
        settings: See `Settings`; these win over variables.

    Raises:
        ConfigurationError: A proof is there without its tenant or client id, or cannot be used.

    Example:
        >>> EnvironmentCredential({}).account
        'missing: AZURE_TENANT_ID, AZURE_CLIENT_ID, one of AZURE_CLIENT_SECRET, ...'
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, **settings: Unpack[Settings]) -> None:
        check_settings(settings)
        self._credential, self.account = _described(environ, settings)
        if self._credential is not None:
            self.tenant_id, self.authority = self._credential.tenant_id, self._credential.authority
        log.info("EnvironmentCredential: %s", self.account)

    def __repr__(self) -> str:
        return f"<EnvironmentCredential {self.account}>"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._found().get_token(*scopes, **options)

    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        return await self._found().aget_token(*scopes, **options)

    def _found(self) -> Credential:
        if self._credential is None:
            raise CredentialUnavailableError(
                f"No token: the environment describes no application; {self.account}.", error="environment"
            )
        return self._credential

    def close(self) -> None:
        """Close what connections there are."""
        if self._credential is not None:
            self._credential.close()


def _described(environ: Mapping[str, str], settings: Settings) -> tuple[Credential | None, str]:
    """The credential, and the account of the variables."""
    way = next((way for way in _WAYS if environ.get(way.proof)), None)
    missing = [name for name in _APPLICATION if not environ.get(name)]
    if way is None:
        proofs = f"one of {', '.join(way.proof for way in _WAYS)}"
        return None, f"missing: {', '.join([*missing, proofs])}"
    if missing:
        raise ConfigurationError(f"{way.proof} is set, and {' and '.join(missing)} must be too")
    names = [*_APPLICATION, way.proof, *_OPTIONAL.get(way, ()), _AUTHORITY]
    used = [name for name in names if environ.get(name)]
    ignored = [other.proof for other in _WAYS if other is not way and environ.get(other.proof)]
    account = f"{way.name} from {', '.join(used)}" + (f"; not used: {', '.join(ignored)}" if ignored else "")
    return _built(way, environ, settings), account


def _built(way: _Way, environ: Mapping[str, str], settings: Settings) -> Credential:
    if host := environ.get(_AUTHORITY):
        settings.setdefault("authority", host)
    tenant, client = (environ[name] for name in _APPLICATION)
    if way is _SECRET:
        return ClientSecretCredential(tenant, client, environ[way.proof], **settings)
    if way is _CERTIFICATE:
        return CertificateCredential(
            tenant,
            client,
            environ[way.proof],
            password=environ.get(_PASSWORD) or None,
            send_certificate_chain=environ.get(_SEND_CHAIN, "").lower() in {"1", "true"},
            **settings,
        )
    return WorkloadIdentityCredential(environ=environ, **settings)
