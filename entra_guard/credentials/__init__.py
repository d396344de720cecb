"""Tokens for calls to other APIs: from memory when they are there, fetched once when they are not.

Every credential has `get_token` and `aget_token`; `auth()` puts tokens on the requests of httpx and httpx2
clients, and each credential serves Azure's own SDK clients too. Clients of other kinds get the header for
one URL at a time, if its host is among those named:

    auth = credential.auth("https://graph.microsoft.com/.default", hosts=["graph.microsoft.com"])

With requests it takes three lines:

    def bearer(request):
        request.headers.update(auth.headers_for(request.url))
        return request

    requests.get(url, auth=bearer)

and with aiohttp (3.12 or later):

    async def bearer(request, handler):
        request.headers.update(await auth.aheaders_for(str(request.url)))
        return await handler(request)

    aiohttp.ClientSession(middlewares=[bearer])
"""

from entra_guard.credentials._application import ClientSecretCredential
from entra_guard.credentials._azure import AsyncCredential
from entra_guard.credentials._base import Credential
from entra_guard.credentials._bearer_auth import BearerAuth
from entra_guard.credentials._cache.encryption import new_key
from entra_guard.credentials._cache.redis_tokens import RedisTokens
from entra_guard.credentials._cache.token import AccessToken
from entra_guard.credentials._certificate import CertificateCredential
from entra_guard.credentials._chain import ChainedCredential
from entra_guard.credentials._environment import EnvironmentCredential
from entra_guard.credentials._federated import ClientAssertionCredential, WorkloadIdentityCredential
from entra_guard.credentials._managed_identity import ManagedIdentityCredential
from entra_guard.credentials._on_behalf_of import OnBehalfOfCredential
from entra_guard.credentials._settings import Settings
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
