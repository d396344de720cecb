"""Claims of v1.0 and v2.0 access tokens and of ID tokens.

Names and order are those of real tokens: five fixed claims first, the others by name.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.entries import GRAPH, V2
from entra_guard.emulator._tokens.issuers import issuer_v1, issuer_v2

if TYPE_CHECKING:
    from collections.abc import Container

    from entra_guard.emulator._store.entries import User
    from entra_guard.emulator._store.ids import Ids

# Seconds by which `iat` and `nbf` are before the issue time, as in real app-only tokens.
BACKDATED: Final = 300
APP_LIFETIME: Final = 3600
# The role template that Entra puts into tokens of apps and users without a directory role.
_DEFAULT_DIRECTORY_ROLE: Final = "0997a1d0-0d1d-4acb-b408-d5ca73121e90"
# 2020-01-01, as in Graph's organization.
_TENANT_CREATED: Final = 1577836800
# With more groups, the token has a reference to Graph instead of the list.
MAX_GROUPS: Final = 200

# How a client authenticated (`azpacr`): not at all, by secret, by certificate or assertion.
ClientAuth = Literal["0", "1", "2"]


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """What a client requests of an access token by the `claims` parameter.

    Attributes:
        auth_contexts: Authentication contexts that the user's sign-in must fulfil, for the claim `acrs`.
        not_before: The earliest `nbf`, in seconds since 1970: a newer token than one that was revoked.
    """

    auth_contexts: tuple[str, ...] = ()
    not_before: int = 0


NOTHING_REQUESTED: Final = ClaimsRequest()


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Everything that decides a token's claims.

    Attributes:
        base: The authority's base URL.
        now: Issue time, in seconds since 1970.
        lifetime: Seconds.
        client_auth: How the client authenticated, the claim `azpacr`.
        identity: Azure resource id of a managed identity.
        client_name: The client's display name, which tokens for Graph have.
        region: The tenant's region, which tokens for Graph have.
        blueprint_id: The client id of the client's blueprint, if the client is an AI agent.
        fmi_path: For which of its agents a blueprint requests an exchange token.
    """

    base: str
    tenant_id: str
    client_id: str
    audience: str
    version: Literal[1, 2]
    now: int
    lifetime: int = APP_LIFETIME
    client_auth: ClientAuth = "1"
    principal_id: str | None = None
    user: User | None = None
    resource_id: str = ""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    requested: ClaimsRequest = NOTHING_REQUESTED
    identity: str = ""
    client_name: str = ""
    region: str = ""
    blueprint_id: str = ""
    fmi_path: str = ""

    @property
    def issued(self) -> int:
        """The time in `iat` and `nbf`: a while ago, but not before what the client requested."""
        return max(self.now - BACKDATED, min(self.now, self.requested.not_before))

    @property
    def issuer(self) -> str:
        issuer = issuer_v1 if self.version == 1 else issuer_v2
        return issuer(self.base, self.tenant_id)


def access_claims(spec: TokenSpec, ids: Ids) -> dict[str, Any]:
    """Return the claims of an access token."""
    who = _user_claims(spec) if spec.user else _app_claims(spec)
    rest = {
        **_client_claims(spec),
        **_internal_claims(ids),
        **who,
        **_graph_claims(spec),
        **_capabilities(spec),
        **_agent_claims(spec),
        "tid": spec.tenant_id,
    }
    return {**_first_claims(spec), **dict(sorted(rest.items()))}


def id_claims(
    spec: TokenSpec, ids: Ids, nonce: str | None = None, scopes: Container[str] = ("profile", "email")
) -> dict[str, Any]:
    """Return the claims of an ID token, whose audience is the client and which has no permissions.

    `profile` adds names and the object id, `email` the mail address.
    """
    user, named = _require_user(spec.user), "profile" in scopes
    names = _names_v1(user) if spec.version == 1 else {"preferred_username": user.upn}
    rest = {
        "sub": pairwise(user.id, spec.client_id),
        "tid": spec.tenant_id,
        "ver": "2.0" if spec.version == V2 else "1.0",
        "sid": ids.guid(),
        **_internal_claims(ids),
        **({"name": user.display_name, "oid": user.id, **names} if named else {}),
        **({"nonce": nonce} if nonce else {}),
        **({"roles": list(spec.roles)} if spec.roles else {}),
        **({"email": user.mail} if user.mail and "email" in scopes else {}),
    }
    return {**_first_claims(spec), "aud": spec.client_id, **dict(sorted(rest.items()))}


def pairwise(user_id: str, resource_id: str) -> str:
    """Return a user's subject for one app: 43 characters, different for each app."""
    return base64url(hashlib.sha256(f"{user_id}/{resource_id}".encode()).digest())


def _first_claims(spec: TokenSpec) -> dict[str, Any]:
    return {
        "aud": spec.audience,
        "iss": spec.issuer,
        "iat": spec.issued,
        "nbf": spec.issued,
        "exp": spec.now + spec.lifetime,
    }


def _internal_claims(ids: Ids) -> dict[str, Any]:
    """Return the claims that only Entra can interpret."""
    return {
        "aio": f"k2Jg{ids.text(36)}",
        "rh": f"1.A{ids.text(33)}.",
        "uti": ids.uti(),
        "xms_ftd": ids.text(66),
    }


def _graph_claims(spec: TokenSpec) -> dict[str, Any]:
    """Return the claims that only tokens for Microsoft Graph have."""
    if spec.resource_id != GRAPH:
        return {}
    return {
        "app_displayname": spec.client_name,
        "idtyp": "user" if spec.user else "app",
        "tenant_region_scope": spec.region,
        "wids": [_DEFAULT_DIRECTORY_ROLE],
        "xms_tcdt": _TENANT_CREATED,
    }


def _client_claims(spec: TokenSpec) -> dict[str, Any]:
    if spec.version == 1:
        return {"appid": spec.client_id, "appidacr": spec.client_auth, "ver": "1.0"}
    return {"azp": spec.client_id, "azpacr": spec.client_auth, "ver": "2.0"}


def _app_claims(spec: TokenSpec) -> dict[str, Any]:
    return {
        **({"idp": spec.issuer} if spec.version == 1 else {}),
        **({"idtyp": "app"} if "idtyp" in spec.optional or spec.fmi_path else {}),
        "oid": spec.principal_id,
        **({"roles": list(spec.roles)} if spec.roles else {}),
        "sub": exchange_subject(spec.tenant_id, spec.client_id, spec.fmi_path)
        if spec.fmi_path
        else spec.principal_id,
        **({"xms_mirid": spec.identity} if spec.identity else {}),
    }


def _user_claims(spec: TokenSpec) -> dict[str, Any]:
    user = _require_user(spec.user)
    contexts = spec.requested.auth_contexts
    return {
        **({"acrs": list(contexts)} if contexts else {}),
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
    """Return the optional claims that the API registered."""
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


def _agent_claims(spec: TokenSpec) -> dict[str, Any]:
    """Return the claims of AI agents' tokens (Microsoft: "Token claims reference for agents")."""
    is_agent_user = spec.user is not None and bool(spec.user.agent_id)
    subject = "3 9 13" if is_agent_user else "3" if spec.user else "3 9 11"
    if not spec.blueprint_id:
        # A token that was exchanged on behalf of an agent's user account still says whose it is.
        return {"xms_sub_fct": subject} if is_agent_user else {}
    return {
        "idtyp": "user" if spec.user else "app",
        "xms_act_fct": "3 9 11",
        "xms_idrel": "1" if spec.user else "7",
        "xms_par_app_azp": spec.blueprint_id,
        "xms_sub_fct": subject,
        "xms_tnt_fct": "3 9",
    }


def exchange_subject(tenant_id: str, client_id: str, fmi_path: str) -> str:
    """Return the subject of a token that an app gets for one of its agents or workloads (`fmi_path`)."""
    tenant, app = (base64url(uuid.UUID(value).bytes_le) for value in (tenant_id, client_id))
    return f"/eid1/c/pub/t/{tenant}/a/{app}/{fmi_path}"


def _groups(spec: TokenSpec) -> dict[str, Any]:
    if len(spec.groups) <= MAX_GROUPS:
        return {"groups": list(spec.groups)} if spec.groups else {}
    # Real tokens have the host of the retired Azure AD Graph too.
    endpoint = (
        f"https://graph.windows.net/{spec.tenant_id}/users/{_require_user(spec.user).id}/getMemberObjects"
    )
    return {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}


def _require_user(user: User | None) -> User:
    if user is None:
        raise ValueError("This token is issued for a user: pass user=.")
    return user
