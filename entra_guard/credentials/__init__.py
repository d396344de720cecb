"""Tokens for calls to other APIs: from memory when they are there, fetched once when they are not.

Every credential has `get_token` and `aget_token`; `auth()` puts tokens on the requests of httpx and httpx2
clients, and each credential serves Azure's own SDK clients too. With requests it takes three lines:

    def auth(request):
        request.headers["Authorization"] = f"Bearer {credential.get_token(scope).token}"
        return request

    requests.get(url, auth=auth)

and with aiohttp:

    async def auth(request, handler):
        request.headers["Authorization"] = f"Bearer {(await credential.aget_token(scope)).token}"
        return await handler(request)

    aiohttp.ClientSession(middlewares=[auth])
"""

from entra_guard.credentials._application import ClientSecretCredential, Settings
from entra_guard.credentials._azure import AsyncCredential
from entra_guard.credentials._bearer_auth import BearerAuth
from entra_guard.credentials._certificate import CertificateCredential
from entra_guard.credentials._chain import ChainedCredential
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._environment import EnvironmentCredential
from entra_guard.credentials._federated import ClientAssertionCredential, WorkloadIdentityCredential
from entra_guard.credentials._managed_identity import ManagedIdentityCredential
from entra_guard.credentials._on_behalf_of import OnBehalfOfCredential
from entra_guard.credentials._redis import RedisTokens
from entra_guard.credentials._sealing import new_key
from entra_guard.credentials._token import AccessToken
from entra_guard.errors import TokenAcquisitionError

__all__ = [
    "AccessToken",
    "AsyncCredential",
    "BearerAuth",
    "CertificateCredential",
    "ChainedCredential",
    "ClientAssertionCredential",
    "ClientSecretCredential",
    "Credential",
    "EnvironmentCredential",
    "ManagedIdentityCredential",
    "OnBehalfOfCredential",
    "RedisTokens",
    "Settings",
    "TokenAcquisitionError",
    "WorkloadIdentityCredential",
    "new_key",
]
