"""Applications that prove their identity with another issuer's token.

Microsoft: "Workload identity federation".
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack, cast

from entra_guard._common.arguments import known_arguments
from entra_guard._common.boundary import public
from entra_guard.credentials._application import ASSERTION_TYPE, ApplicationCredential
from entra_guard.credentials._cache.token import is_bearer
from entra_guard.credentials._files import file_stamp, read_line
from entra_guard.credentials._settings import SETTING_NAMES
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.credentials._settings import Settings

_VARIABLES: Final = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "token_file_path": "AZURE_FEDERATED_TOKEN_FILE",
}


class ClientAssertionCredential(ApplicationCredential):
    """An application whose assertions come from a function: a key vault, a cluster, another cloud.

    Args:
        tenant_id: The tenant's id or domain.
        client_id: The application's client id.
        func: Returns an assertion; called on its own thread for each request. It may take its time.
        settings: See `Settings`.

    Raises:
        ConfigurationError: A setting cannot work.

    Example:
        >>> identity = ManagedIdentityCredential()
        >>> ClientAssertionCredential(tenant_id, client_id,
        ...     lambda: identity.get_token("api://AzureADTokenExchange/.default").token)
        <ClientAssertionCredential client_id=... tenant_id=...>
    """

    @public
    @known_arguments(*SETTING_NAMES)
    def __init__(
        self, tenant_id: str, client_id: str, func: Callable[[], str], **settings: Unpack[Settings]
    ) -> None:
        super().__init__(tenant_id, client_id, **settings)
        if not callable(func) or inspect.iscoroutinefunction(func):
            raise ConfigurationError(
                f"func must be a plain function that returns an assertion, got {type(func).__name__}"
            )
        self._func = func

    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:  # noqa: ARG002  # it has one proof
        return _assertion_fields(self._assertion())

    def _assertion(self) -> str:
        try:
            assertion = self._func()
        except TokenAcquisitionError:
            raise
        except Exception as error:
            raise TokenAcquisitionError(
                f"No token: the function that returns the assertion failed ({type(error).__name__}).",
                error="client_assertion",
                retryable=True,
            ) from error
        if is_bearer(assertion):
            return assertion
        kind = type(assertion).__name__
        del assertion  # no frame of an error holds what may be a secret
        raise TokenAcquisitionError(
            "No token: the function that returns the assertion must return a JWT: a str without white space "
            f"that is not empty, got {kind}.",
            error="client_assertion",
        )


class WorkloadIdentityCredential(ApplicationCredential):
    """An application with a token that its cluster mounts into the container, read for each request.

    Args:
        tenant_id: The tenant's id or domain; by default AZURE_TENANT_ID.
        client_id: The application's client id; by default AZURE_CLIENT_ID.
        token_file_path: Where the token is mounted; by default AZURE_FEDERATED_TOKEN_FILE.
        environ: The variables; None reads those of the process.
        settings: See `Settings`; AZURE_AUTHORITY_HOST is the default of `authority`.

    Raises:
        ConfigurationError: A value is missing, or cannot work.

    Example:
        >>> WorkloadIdentityCredential("contoso.com", "11112222-bbbb-3333-cccc-4444dddd5555", "/run/token")
        <WorkloadIdentityCredential client_id=11112222-... tenant_id=contoso.com>
    """

    @public
    @known_arguments(*SETTING_NAMES)
    def __init__(
        self,
        tenant_id: str | None = None,
        client_id: str | None = None,
        token_file_path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        environ = os.environ if environ is None else environ
        given = {"tenant_id": tenant_id, "client_id": client_id, "token_file_path": token_file_path}
        found = {name: given[name] or environ.get(variable) for name, variable in _VARIABLES.items()}
        if missing := [variable for name, variable in _VARIABLES.items() if not found[name]]:
            raise ConfigurationError(f"set {' and '.join(missing)}, or pass the same as arguments")
        if host := environ.get("AZURE_AUTHORITY_HOST"):
            settings.setdefault("authority", host)
        super().__init__(cast("str", found["tenant_id"]), cast("str", found["client_id"]), **settings)
        self._path = Path(str(found["token_file_path"]))

    def _proof_version(self) -> object:
        return file_stamp(self._path)

    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:  # noqa: ARG002  # it has one proof
        return _assertion_fields(read_line(self._path, "federated token"))


def _assertion_fields(assertion: str) -> Mapping[str, str]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
