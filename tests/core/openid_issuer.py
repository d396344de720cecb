"""An OpenID issuer that is not Entra, on its own host: its documents, its keys and its tokens.

Auth0, Okta, B2C and their like cannot run on loopback. A transport answers for their hosts; the keys, the
signatures and everything in the guard are real.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from entra_guard import AccessError, Authority, Guard, Principal

TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
CLIENT = "00001111-aaaa-2222-bbbb-3333cccc4444"
API = "11112222-bbbb-3333-cccc-4444dddd5555"
PERSON = "22223333-cccc-4444-dddd-5555eeee6666"


@cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """Return the n-th key of this test run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(number: int = 1, kid: str | None = "k1", **members: Any) -> dict[str, Any]:
    """Return a public key as a key set has it; without a kid for None."""
    key = RSAAlgorithm.to_jwk(private_key(number).public_key(), as_dict=True)
    found = {"kty": "RSA", "use": "sig", "n": key["n"], "e": key["e"]} | members
    return found if kid is None else found | {"kid": kid}


class OpenIdIssuer:
    """One issuer: what it publishes, and tokens signed with its first key."""

    def __init__(
        self,
        issuer: str,
        *,
        configuration: str = "",
        keys_url: str = "",
        keys: tuple[dict[str, Any], ...] = (),
    ) -> None:
        self.issuer = issuer
        self.configuration = configuration or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        self.keys_url = keys_url or f"{issuer.rstrip('/')}/keys"
        self.keys = list(keys) or [jwk()]
        self.document: dict[str, Any] = {"issuer": issuer, "jwks_uri": self.keys_url}
        self.requested: list[str] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.requested.append(url)
        if url == self.configuration:
            return httpx.Response(200, json=self.document)
        return (
            httpx.Response(200, json={"keys": self.keys})
            if url == self.keys_url
            else httpx.Response(404, json={})
        )

    def guard(self, audience: str = "orders", **settings: Any) -> Guard:
        if "authority" not in settings:
            settings["authority"] = Authority.openid(self.issuer)
        return Guard(
            audience=audience,
            http_client=httpx.Client(transport=httpx.MockTransport(self.respond)),
            **settings,
        )

    def token(
        self, claims: dict[str, Any], *, signed_by: int = 1, kid: str | None = "k1", **header: Any
    ) -> str:
        now = int(time.time())
        full = {"iss": self.issuer, "aud": "orders", "iat": now - 10, "exp": now + 3600} | claims
        full = {name: value for name, value in full.items() if value is not ...}
        headers = header if kid is None else {"kid": kid} | header
        return jwt.encode(full, private_key(signed_by), "RS256", headers=headers)


def b2c() -> OpenIdIssuer:
    """Return a B2C user flow: its issuer is another URL on the same host."""
    policy = "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_susi"
    return OpenIdIssuer(
        f"https://contoso.b2clogin.com/{TENANT}/v2.0/",
        configuration=f"{policy}/v2.0/.well-known/openid-configuration",
        keys_url=f"{policy}/discovery/v2.0/keys".lower(),
    )


def reason_of(guard: Guard, token: str) -> str:
    """Return why a guard refuses a token, or ''."""
    try:
        guard.verify(token)
    except AccessError as error:
        return error.reason
    return ""


def accepted(issuer: OpenIdIssuer, claims: dict[str, Any], *, typ: str = "JWT", **settings: Any) -> Principal:
    """Verify a token of an issuer, and return its caller."""
    return issuer.guard(**settings).verify(issuer.token(claims, typ=typ))
