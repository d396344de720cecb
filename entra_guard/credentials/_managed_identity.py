"""The identity that Azure gives to a host: no secret, a token from an endpoint of the host itself."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from entra_guard._common.guid import is_guid
from entra_guard._common.http import Answer, exchange, new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard.credentials import _files
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.token_cache import CacheOptions, TokenCache
from entra_guard.credentials._endpoint import LIMIT, token_from
from entra_guard.credentials._identity_hosts import identity_host
from entra_guard.credentials._settings import is_client
from entra_guard.credentials._token_errors import absent
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from entra_guard.credentials._cache.token import AccessToken
    from entra_guard.credentials._identity_hosts import IdentityHost

_DEFAULT: Final = "/.default"
_UNAUTHORIZED: Final = 401
_LARGEST_KEY: Final = 4096
_NOBODY: Final = frozenset({"connect", "timeout", "dns"})
_NO_IDENTITY: Final = _NOBODY | {"invalid_request"}
"""What the metadata service of a machine answers, or does not, where there is no managed identity."""
_PASSING: Final = frozenset({404, 410})
"""IMDS is being updated, and answers again within 70 seconds (Microsoft: "Error handling")."""


class ManagedIdentityCredential(CachingCredential):
    """The managed identity of this host: a virtual machine, App Service, Container Apps, or Azure Arc.

    Args:
        client_id: Of a user-assigned identity; or else
        object_id: its object (principal) id; or else
        resource_id: its path in Azure. None of them means the host's own, system-assigned identity.
        environ: The environment variables that tell which host this is.
        http_client: Any `httpx.Client`. By default one that uses no proxy: the endpoint is on the host.
        cache_size: The most tokens to keep.
        clock: Seconds since the epoch.
        monotonic: Seconds that only go forward.

    Raises:
        ConfigurationError: More than one identity is named, the host is of an unknown kind, or a setting
            cannot work.

    Example:
        >>> ManagedIdentityCredential(client_id="11112222-bbbb-3333-cccc-4444dddd5555")
        <ManagedIdentityCredential client_id=11112222-... on virtual machine (IMDS)>
    """

    def __init__(
        self,
        client_id: str | None = None,
        *,
        object_id: str | None = None,
        resource_id: str | None = None,
        environ: Mapping[str, str] = os.environ,
        http_client: httpx.Client | None = None,
        **keeping: Unpack[CacheOptions],
    ) -> None:
        if http_client is not None and not is_client(http_client):
            raise ConfigurationError("http_client must be an httpx.Client, the plain one")
        self._identity = _identity(client_id, object_id, resource_id)
        self._host = identity_host(environ)
        self._client = LazyClient(http_client, partial(new_client, direct=True))
        self._client.warm_up()
        super().__init__(TokenCache(**keeping))

    def __repr__(self) -> str:
        which = " ".join(f"{name}={value}" for name, value in self._identity.items()) or "system-assigned"
        return f"<ManagedIdentityCredential {which} on {self._host.name}>"

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        del claims  # these endpoints take none: the most that can be done is to ask anew
        resource = _resource(scopes)
        url = self._host.question(resource, self._identity)
        host, client = self._host, self._client()
        secrets = [value for name, value in host.headers.items() if name == "x-identity-header"]

        def ask() -> Answer:
            answer = _get(client, url, host.headers)
            if host.key_file and answer.status == _UNAUTHORIZED:
                key = _key_of(answer)
                secrets.append(key)
                answer = _get(client, url, {**host.headers, "authorization": f"Basic {key}"})
            return _in_oauths_words(answer, self._identity if host.key_file else {})

        try:
            return token_from(ask, self._clock(), secrets=secrets, passing=_PASSING)
        except TokenAcquisitionError as error:
            _explain(error, host)
            if host.assumed and error.error in _NO_IDENTITY:
                raise absent(error) from error
            raise

    def close(self) -> None:
        """Close the connections of the client that the credential made itself."""
        self._client.close()


def _identity(client_id: str | None, object_id: str | None, resource_id: str | None) -> dict[str, str]:
    given = {"client_id": client_id, "object_id": object_id, "resource_id": resource_id}
    named = {name: value for name, value in given.items() if value}
    if len(named) > 1:
        raise ConfigurationError(f"name the identity once: {' or '.join(named)}")
    for name in ("client_id", "object_id"):
        if name in named and not is_guid(named[name]):
            raise ConfigurationError(f"{name} must be a GUID")
    return named


def _resource(scopes: tuple[str, ...]) -> str:
    """The one resource of a request, as these endpoints want it: without '/.default'."""
    if len(scopes) != 1 or not scopes[0].endswith(_DEFAULT):
        raise TokenAcquisitionError(
            "No token: a managed identity gets tokens for one API at a time.",
            error="invalid_scope",
            hint="Name one scope of the form '<Application ID URI>/.default'.",
        )
    return scopes[0].removesuffix(_DEFAULT)


def _get(client: httpx.Client, url: str, headers: Mapping[str, str]) -> Answer:
    return exchange(client, "GET", url, limit=LIMIT, headers=headers, platform=True)


def _in_oauths_words(answer: Answer, identity: Mapping[str, str]) -> Answer:
    """App Service tells errors as statusCode and message; old Arc agents ignore which identity is named."""
    if "message" in answer.document and "error_description" not in answer.document:
        return _refusing(answer, str(answer.document["message"]))
    if "access_token" in answer.document and not _confirmed(answer.document, identity):
        problem = "the host gave a token without saying that it is of the identity that was named"
        return replace(_refusing(answer, problem), status=400)
    return answer


def _refusing(answer: Answer, problem: str) -> Answer:
    return replace(answer, document={"error": "managed_identity", "error_description": problem})


def _confirmed(document: Mapping[str, Any], identity: Mapping[str, str]) -> bool:
    """Whether the answer names the identity that was asked for."""
    spellings = {"resource_id": ("msi_res_id", "mi_res_id")}
    return all(
        any(str(document.get(told, "")).lower() == wanted.lower() for told in spellings.get(name, (name,)))
        for name, wanted in identity.items()
    )


def _key_of(answer: Answer) -> str:
    """Read the key file that Azure Arc names in its challenge, from the one place where it may be.

    Raises:
        TokenAcquisitionError: It names none, or a file elsewhere, or one that cannot be read.
    """
    # A path without quotes is no challenge that RFC 9110 knows, so it is read as the agent writes it.
    scheme, _, named = answer.headers.get("www-authenticate", "").partition("realm=")
    path, folder = Path(named.strip().strip('"')), arc_folder()
    if scheme.strip().lower() != "basic" or path.parent != folder or path.suffix != ".key":
        raise TokenAcquisitionError(
            f"No token: Azure Arc's agent named no .key file in {folder}.", error="arc_key"
        )
    key = _files.read(path, "key of Azure Arc's agent")
    if len(key) > _LARGEST_KEY:
        raise TokenAcquisitionError(f"No token: {path} is larger than a key.", error="arc_key")
    return key.decode("ascii", "replace").strip()


def arc_folder() -> Path:
    """Where Azure Arc's agent keeps its keys: only those who may read there get tokens."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", "C:/ProgramData"), "AzureConnectedMachineAgent", "Tokens")
    return Path("/var/opt/azcmagent/tokens")


def _explain(error: TokenAcquisitionError, host: IdentityHost) -> None:
    """Add which host this was taken for, and what silence can mean."""
    words = str(error)
    if not error.hint and error.error in _NOBODY:
        error.hint = host.absent
        words = f"{words} {host.absent}"
    error.args = (f"{words} The host was taken for: {host.name}.",)
