"""An emulator with an API and a daemon that may call it: what most tests start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import jwt

if TYPE_CHECKING:
    from entra_guard.emulator import AppRegistration, Emulator, Secret

Ask = Callable[..., httpx.Response]


@dataclass(frozen=True)
class Office:
    """What most tests start from."""

    entra: Emulator
    api: AppRegistration
    daemon: AppRegistration
    secret: Secret
    web: httpx.Client

    def ask(
        self, *, tenant: str | None = None, path: str = "oauth2/v2.0/token", **form: Any
    ) -> httpx.Response:
        """A client credentials request, with fields changed; None leaves one out."""
        usual = {
            "grant_type": "client_credentials",
            "client_id": self.daemon.client_id,
            "client_secret": self.secret.value,
            "scope": self.api.default_scope,
        }
        fields = {name: value for name, value in {**usual, **form}.items() if value is not None}
        return self.web.post(f"/{tenant or self.entra.tenant_id}/{path}", data=fields)

    def published(self, tenant: str = "common") -> dict[str, jwt.PyJWK]:
        document = self.web.get(f"/{tenant}/discovery/v2.0/keys").json()
        return {key["kid"]: jwt.PyJWK({**key, "alg": "RS256"}) for key in document["keys"]}

    def verified(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """The claims, as PyJWT sees them with the published keys."""
        key = self.published()[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience or self.api.client_id)
