"""What tokens say: the claims of v1.0 and v2.0 access tokens and of ID tokens. Knows no keys and no HTTP.

Names and spec are those of real tokens: five fixed ones first, the others by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._oauth.documents import issuer_v1, issuer_v2
from entra_guard.emulator._store.directory import V2
from entra_guard.emulator._tokens.jws import base64url

if TYPE_CHECKING:
    from entra_guard.emulator._store.directory import User
    from entra_guard.emulator._store.ids import Ids

BACKDATED: Final = 300
"""Seconds by which `iat` and `nbf` lie in the past, as in real app-only tokens."""
APP_LIFETIME: Final = 3600
MOST_GROUPS: Final = 200
"""More group ids than this are not listed in a JWT but pointed to."""

Proof = Literal["0", "1", "2"]
"""How a client proved itself: not at all, by secret, by certificate or assertion (`azpacr`)."""


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Everything that decides a token's claims. Times in seconds; `identity` is a managed identity's path."""

    base: str
    tenant_id: str
    client_id: str
    audience: str
    version: Literal[1, 2]
    now: int
    lifetime: int = APP_LIFETIME
    proof: Proof = "1"
    principal_id: str | None = None
    user: User | None = None
    resource_id: str = ""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    identity: str = ""

    @property
    def issuer(self) -> str:
        issuer = issuer_v1 if self.version == 1 else issuer_v2
        return issuer(self.base, self.tenant_id)


def access_claims(spec: TokenSpec, ids: Ids) -> dict[str, Any]:
    """The claims of an access token."""
    who = _user_claims(spec) if spec.user else _app_claims(spec)
    rest = {**_client_claims(spec), **_marks(ids), **who, **_capabilities(spec), "tid": spec.tenant_id}
    return {**_head(spec), **dict(sorted(rest.items()))}


def id_claims(spec: TokenSpec, ids: Ids, nonce: str | None = None) -> dict[str, Any]:
    """The claims of an ID token, which is for the client itself and carries no permission."""
    user = _known(spec.user)
    rest = {
        "name": user.display_name,
        "oid": user.id,
        "preferred_username": user.upn,
        "sub": pairwise(user.id, spec.client_id),
        "tid": spec.tenant_id,
        "ver": "2.0" if spec.version == V2 else "1.0",
        **_marks(ids),
        **({"nonce": nonce} if nonce else {}),
        **({"roles": list(spec.roles)} if spec.roles else {}),
        **({"email": user.mail} if user.mail else {}),
    }
    return {**_head(spec), "aud": spec.client_id, **dict(sorted(rest.items()))}


def pairwise(user_id: str, resource_id: str) -> str:
    """A user's subject towards one app: 43 characters, another for each app."""
    return base64url(hashlib.sha256(f"{user_id}/{resource_id}".encode()).digest())


def _head(spec: TokenSpec) -> dict[str, Any]:
    issued = spec.now - BACKDATED
    return {
        "aud": spec.audience,
        "iss": spec.issuer,
        "iat": issued,
        "nbf": issued,
        "exp": spec.now + spec.lifetime,
    }


def _marks(ids: Ids) -> dict[str, Any]:
    """The claims that mean something to Entra alone."""
    return {
        "aio": f"k2Jg{ids.text(36)}",
        "rh": f"1.A{ids.text(33)}.",
        "uti": ids.uti(),
        "xms_ftd": ids.text(66),
    }


def _client_claims(spec: TokenSpec) -> dict[str, Any]:
    if spec.version == 1:
        return {"appid": spec.client_id, "appidacr": spec.proof, "ver": "1.0"}
    return {"azp": spec.client_id, "azpacr": spec.proof, "ver": "2.0"}


def _app_claims(spec: TokenSpec) -> dict[str, Any]:
    return {
        **({"idp": spec.issuer} if spec.version == 1 else {}),
        **({"idtyp": "app"} if "idtyp" in spec.optional else {}),
        "oid": spec.principal_id,
        **({"roles": list(spec.roles)} if spec.roles else {}),
        "sub": spec.principal_id,
        **({"xms_mirid": spec.identity} if spec.identity else {}),
    }


def _user_claims(spec: TokenSpec) -> dict[str, Any]:
    user = _known(spec.user)
    return {
        "name": user.display_name,
        "oid": user.id,
        "sub": pairwise(user.id, spec.resource_id),
        **(_names_v1(user) if spec.version == 1 else {"preferred_username": user.upn}),
        **(_guest(spec, user) if user.is_guest else {}),
        **_optional_user_claims(spec, user),
        **({"roles": list(spec.roles)} if spec.roles else {}),
        **({"scp": " ".join(spec.scopes)} if spec.scopes else {}),
        **_groups(spec),
    }


def _names_v1(user: User) -> dict[str, Any]:
    return {
        "acr": "1",
        "amr": ["pwd", "mfa"],
        "family_name": user.surname,
        "given_name": user.given_name,
        "ipaddr": "127.0.0.1",
        "unique_name": user.upn,
        "upn": user.upn,
    }


def _guest(spec: TokenSpec, user: User) -> dict[str, Any]:
    return {"idp": issuer_v1(spec.base, user.home_tenant_id), **({"email": user.mail} if user.mail else {})}


def _optional_user_claims(spec: TokenSpec, user: User) -> dict[str, Any]:
    """The claims an API must list as optional to get them in a user's token."""
    offered = {
        "acct": 1 if user.is_guest else 0,
        "email": user.mail,
        "family_name": user.surname,
        "given_name": user.given_name,
        "upn": user.upn,
        "ipaddr": "127.0.0.1",
    }
    chosen = {name: value for name, value in offered.items() if name in spec.optional and value is not None}
    return {**chosen, **({"idtyp": "user"} if "idtyp:include_user_token" in spec.optional else {})}


def _capabilities(spec: TokenSpec) -> dict[str, Any]:
    return {"xms_cc": list(spec.capabilities)} if spec.capabilities else {}


def _groups(spec: TokenSpec) -> dict[str, Any]:
    if len(spec.groups) <= MOST_GROUPS:
        return {"groups": list(spec.groups)} if spec.groups else {}
    # The host is the retired Azure AD Graph, in real tokens too.
    endpoint = f"https://graph.windows.net/{spec.tenant_id}/users/{_known(spec.user).id}/getMemberObjects"
    return {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}


def _known(user: User | None) -> User:
    if user is None:
        raise ValueError("This token needs a user: pass user=.")
    return user
