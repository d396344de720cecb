"""The managed identity of an Azure host: no secret, a token from an endpoint on the host itself."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from entra_guard._common.arguments import known_arguments
from entra_guard._common.boundary import public
from entra_guard._common.guid import is_guid
from entra_guard._common.http import Answer, exchange, new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.token_cache import CacheOptions, TokenCache
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._endpoint import LIMIT, token_from
from entra_guard.credentials._files import read_file
from entra_guard.credentials._identity_hosts import identity_host
from entra_guard.credentials._settings import is_client, wrong_value
from entra_guard.credentials._token_errors import CredentialUnavailableError, as_unavailable
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from entra_guard.credentials._cache.token import AccessToken
    from entra_guard.credentials._identity_hosts import IdentityHost

_DEFAULT: Final = "/.default"
_UNAUTHORIZED: Final = 401
_LARGEST_KEY: Final = 4096
_NO_RESPONSE: Final = frozenset({"connect", "timeout", "dns"})
# How a machine's metadata service fails where there is no managed identity.
_NO_IDENTITY: Final = _NO_RESPONSE | {"invalid_request"}
# IMDS is being updated, and responds again within 70 seconds (Microsoft: "Error handling").
_TEMPORARY: Final = frozenset({404, 410})


class ManagedIdentityCredential(CachingCredential, Credential):
    """The managed identity of this host: a virtual machine, App Service, Container Apps, or Azure Arc.

    It can be built on every host; where there is no managed identity, or one of a kind that is not supported
    (Service Fabric, Azure Machine Learning, Cloud Shell), a chain tries its next credential.

    Args:
        client_id: Of a user-assigned identity; or else
        object_id: its object (principal) id; or else
        resource_id: its path in Azure. By default the host's own, system-assigned identity.
        environ: The variables that identify the host; None reads those of the process.
        http_client: Any `httpx.Client`. By default one without a proxy: the endpoint is on the host.
        cache: `cache_size`, `wait`, `clock` and `monotonic`, as in `Settings`.

    Raises:
        ConfigurationError: More than one identity is named, or a setting cannot work.

    Example:
        >>> ManagedIdentityCredential(client_id="11112222-bbbb-3333-cccc-4444dddd5555")
        <ManagedIdentityCredential client_id=11112222-... on virtual machine (IMDS)>
    """

    @public
    @known_arguments(*CacheOptions.__annotations__)
    def __init__(
        self,
        client_id: str | None = None,
        *,
        object_id: str | None = None,
        resource_id: str | None = None,
        environ: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
        **cache: Unpack[CacheOptions],
    ) -> None:
        if http_client is not None and not is_client(http_client):
            raise ConfigurationError("http_client must be an httpx.Client, not an AsyncClient")
        self._identity = _identity(client_id, object_id, resource_id)
        self._host = identity_host(os.environ if environ is None else environ)
        self._client = LazyClient(http_client, partial(new_client, direct=True))
        super().__init__(TokenCache(**cache))

    def __repr__(self) -> str:
        which = " ".join(f"{name}={value}" for name, value in self._identity.items()) or "system-assigned"
        return f"<ManagedIdentityCredential {which} on {self._host.name}>"

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        del claims  # these endpoints take none: a new token is all that can be requested
        if self._host.unsupported:
            raise CredentialUnavailableError(f"No token: {self._host.unsupported}.", error="managed_identity")
        url = self._host.request_url(_resource(scopes), self._identity)
        host, client = self._host, self._client()
        secrets = [value for name, value in host.headers.items() if name == "x-identity-header"]

        def send() -> Answer:
            answer = _get(client, url, host.headers)
            if host.key_file and answer.status == _UNAUTHORIZED:
                key = _arc_key(answer)
                secrets.append(key)
                answer = _get(client, url, {**host.headers, "authorization": f"Basic {key}"})
            return _as_oauth(answer, self._identity if host.key_file else {})

        try:
            return token_from(send, self._clock(), secrets=secrets, passing=_TEMPORARY)
        except TokenAcquisitionError as error:
            _add_host(error, host)
            if host.assumed and error.error in _NO_IDENTITY:
                raise as_unavailable(error) from error
            raise

    def close(self) -> None:
        """Close the connections of the client that the credential made itself."""
        self._client.close()


def _identity(client_id: str | None, object_id: str | None, resource_id: str | None) -> dict[str, str]:
    given = {"client_id": client_id, "object_id": object_id, "resource_id": resource_id}
    named = {name: value for name, value in given.items() if value is not None}
    if empty := [name for name, value in named.items() if not value]:
        raise ConfigurationError(
            f"{empty[0]} is empty. Is the environment variable set? Omit it for the system-assigned identity"
        )
    if len(named) > 1:
        raise ConfigurationError(f"give only one of {' and '.join(named)}")
    for name in ("client_id", "object_id"):
        value: object = named.get(name, "")
        if name in named and not (isinstance(value, str) and is_guid(value)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{name} must be a GUID{wrong_value(value)}")
    return named


def _resource(scopes: tuple[str, ...]) -> str:
    """Return the one resource of a request, without '/.default', as these endpoints expect it."""
    if len(scopes) != 1 or not scopes[0].endswith(_DEFAULT):
        raise TokenAcquisitionError(
            "No token: a managed identity gets tokens for one API at a time, by its default scope.",
            error="invalid_scope",
            hint="Name one scope of the form '<Application ID URI>/.default'.",
        )
    return scopes[0].removesuffix(_DEFAULT)


def _get(client: httpx.Client, url: str, headers: Mapping[str, str]) -> Answer:
    return exchange(client, "GET", url, limit=LIMIT, headers=headers, platform=True)


def _as_oauth(answer: Answer, identity: Mapping[str, str]) -> Answer:
    """Return a response in OAuth's form: App Service has its own, and old Arc agents ignore the identity."""
    if "message" in answer.document and "error_description" not in answer.document:
        return _error_answer(answer, str(answer.document["message"]))
    if "access_token" in answer.document and not _names_identity(answer.document, identity):
        problem = "the host returned a token without the identity that was requested"
        return replace(_error_answer(answer, problem), status=400)
    return answer


def _error_answer(answer: Answer, problem: str) -> Answer:
    return replace(answer, document={"error": "managed_identity", "error_description": problem})


def _names_identity(document: Mapping[str, Any], identity: Mapping[str, str]) -> bool:
    """Return whether a response names the identity that was requested."""
    names = {"resource_id": ("msi_res_id", "mi_res_id")}
    return all(
        any(str(document.get(each, "")).lower() == wanted.lower() for each in names.get(name, (name,)))
        for name, wanted in identity.items()
    )


def _arc_key(answer: Answer) -> str:
    """Read the key file that Azure Arc names in its challenge, from the one folder where it may be.

    Raises:
        TokenAcquisitionError: The challenge names no file, or one in another folder, or it cannot be read.
    """
    # RFC 9110 has no challenge with a path without quotes, so it is read as the agent writes it.
    scheme, _, named = answer.headers.get("www-authenticate", "").partition("realm=")
    path, folder = Path(named.strip().strip('"')), arc_folder()
    if scheme.strip().lower() != "basic" or path.parent != folder or path.suffix != ".key":
        raise TokenAcquisitionError(
            f"No token: Azure Arc's agent named no .key file in {folder}.", error="arc_key"
        )
    key = read_file(path, "key of Azure Arc's agent")
    if len(key) > _LARGEST_KEY:
        raise TokenAcquisitionError(f"No token: {path} is larger than a key.", error="arc_key")
    return key.decode("ascii", "replace").strip()


def arc_folder() -> Path:
    """Return the folder of Azure Arc's agent for its keys: who may read there may get tokens."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", "C:/ProgramData"), "AzureConnectedMachineAgent", "Tokens")
    return Path("/var/opt/azcmagent/tokens")


def _add_host(error: TokenAcquisitionError, host: IdentityHost) -> None:
    """Add the kind of host that was recognised, and what a missing response can mean."""
    text = f"{str(error).rstrip('.')}."
    if not error.hint and error.error in _NO_RESPONSE:
        error.hint = host.no_response
        text = f"{text} {host.no_response}"
    error.args = (f"{text} The host was recognised as: {host.name}.",)
