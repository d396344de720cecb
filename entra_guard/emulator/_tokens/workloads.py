"""The emulator as another issuer, like a cluster's, for federated credentials.

It also returns the keys of every issuer that a federated credential can name: this one, the emulator's
tenants, or an issuer with given keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import split_url
from entra_guard.emulator._store.signing_keys import predefined_key
from entra_guard.emulator._tokens.jws import compact, signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.entries import FederatedCredential
    from entra_guard.emulator._store.store import Store

PATH: Final = "/workloads"


def workload_token(issuer: str, subject: str, audience: str, *, now: float, lifetime: int) -> str:
    """Issue a token as a cluster mounts it into a container: no `jti`, the audience a list.

    Args:
        issuer: The issuer.
        subject: The subject.
        audience: The audience.
        now: Seconds since 1970.
        lifetime: Seconds.
    """
    key = predefined_key("workloads")
    issued = int(now)
    claims = {
        "aud": [audience],
        "exp": issued + lifetime,
        "iat": issued,
        "iss": issuer,
        "nbf": issued,
        "sub": subject,
    }
    return compact({"alg": "RS256", "kid": key.kid}, claims, signer_of(key))


def workload_configuration(base: str) -> dict[str, Any]:
    """Return the OpenID configuration of that issuer."""
    return {
        "issuer": f"{base}{PATH}",
        "jwks_uri": f"{base}{PATH}/keys",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def workload_keys() -> dict[str, Any]:
    """Return the keys of that issuer."""
    key = predefined_key("workloads")
    names = {"kty": "RSA", "use": "sig", "kid": key.kid, "alg": "RS256"}
    return {"keys": [{**names, "n": key.modulus, "e": "AQAB"}]}


def issuer_keys(store: Store, credential: FederatedCredential) -> Mapping[str, Any]:
    """Return the public keys of a credential's issuer, by kid. Nothing is fetched."""
    if credential.jwks is not None:
        import jwt  # noqa: PLC0415 (slow to import, and only here)

        return {str(key.key_id): key.key for key in jwt.PyJWKSet.from_dict(dict(credential.jwks)).keys}
    parts = split_url(credential.issuer)
    if not store.is_own(parts.netloc):
        return {}
    if parts.path == PATH:
        return {key.kid: key.private_key.public_key() for key in [predefined_key("workloads")]}
    tenant = store.directory.tenant(parts.path.strip("/").partition("/")[0])
    return {key.kid: key.private_key.public_key() for key in store.state.keys.published()} if tenant else {}
