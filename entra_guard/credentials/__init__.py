"""Get tokens for calls to other APIs: from the cache, or requested once.

Every credential has `get_token` and `aget_token`; `auth()` puts tokens on the requests of httpx and httpx2
clients; clients of the Azure SDK and of msgraph-sdk accept each credential. Other clients get the header for
one URL at a time, if its host is in `hosts`:

    auth = credential.auth("https://graph.microsoft.com/.default", hosts=["graph.microsoft.com"])

With requests that takes three lines:

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

from entra_guard.credentials._agent import AgentCredential
from entra_guard.credentials._azure import AsyncCredential
from entra_guard.credentials._bearer_auth import BearerAuth
from entra_guard.credentials._cache.encryption import new_key
from entra_guard.credentials._cache.redis_tokens import RedisTokens
from entra_guard.credentials._cache.token import AccessToken
from entra_guard.credentials._certificate import CertificateCredential
from entra_guard.credentials._chain import ChainedCredential
from entra_guard.credentials._client_secret import ClientSecret, ClientSecretCredential
from entra_guard.credentials._credential import Credential
from entra_guard.credentials._environment import EnvironmentCredential
from entra_guard.credentials._federated import ClientAssertionCredential, WorkloadIdentityCredential
from entra_guard.credentials._managed_identity import ManagedIdentityCredential
from entra_guard.credentials._on_behalf_of import OnBehalfOfCredential
from entra_guard.credentials._settings import Settings
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import TokenAcquisitionError

__all__ = [
    "AccessToken",
    "AgentCredential",
    "AsyncCredential",
    "BearerAuth",
    "CertificateCredential",
    "ChainedCredential",
    "ClientAssertionCredential",
    "ClientSecret",
    "ClientSecretCredential",
    "Credential",
    "CredentialUnavailableError",
    "EnvironmentCredential",
    "ManagedIdentityCredential",
    "OnBehalfOfCredential",
    "RedisTokens",
    "Settings",
    "TokenAcquisitionError",
    "WorkloadIdentityCredential",
    "new_key",
]
