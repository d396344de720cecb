"""Requests to the emulator's token endpoint and keys, as most tests send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import jwt

if TYPE_CHECKING:
    from entra_guard.testing import Entra

Get = Callable[..., httpx.Response]


def request_token(
    entra: Entra, *, tenant: str | None = None, path: str = "oauth2/v2.0/token", **form: Any
) -> httpx.Response:
    """Send a client credentials request of the caller, with fields changed; None omits a field."""
    usual = {
        "grant_type": "client_credentials",
        "client_id": entra.caller.client_id,
        "client_secret": entra.secret.value,
        "scope": entra.api.default_scope,
    }
    fields = {name: value for name, value in {**usual, **form}.items() if value is not None}
    return entra.http_client.post(f"/{tenant or entra.tenant_id}/{path}", data=fields)


def published_keys(entra: Entra, tenant: str = "common") -> dict[str, jwt.PyJWK]:
    """Return the published keys by kid."""
    document = entra.http_client.get(f"/{tenant}/discovery/v2.0/keys").json()
    return {key["kid"]: jwt.PyJWK({**key, "alg": "RS256"}) for key in document["keys"]}


def verified_claims(entra: Entra, token: str, audience: str | None = None) -> dict[str, Any]:
    """Return the claims, verified by PyJWT with the published keys."""
    key = published_keys(entra)[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience=audience or entra.api.client_id)
