"""From the directory to a token: roles, scopes, version, audience and key.

The token endpoint and `issue_token` share it, so that both issue the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._http.trail import note
from entra_guard.emulator._store.entries import CONSUMERS, GRAPH, V1, V2, AppRegistration, Tenant, User
from entra_guard.emulator._tokens.claims import (
    APP_LIFETIME,
    NOTHING_REQUESTED,
    ClaimsRequest,
    ClientAuth,
    TokenSpec,
    access_claims,
)
from entra_guard.emulator._tokens.jws import Signer, compact, graph_token, signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.ids import Ids
    from entra_guard.emulator._store.store import Store

# The role with which each blueprint may create its own agents; no administrator assigns it.
CREATE_AS_MANAGER: Final = "AgentIdentity.CreateAsManager"


@dataclass(frozen=True, slots=True)
class TokenParties:
    """Who requests a token, for which API and, if delegated, for which user.

    Attributes:
        audience: The name that the request used for the API; v1.0 tokens repeat it.
        fmi_path: For which of its agents a blueprint requests an exchange token.
    """

    base: str
    tenant: Tenant
    client: AppRegistration
    resource: AppRegistration
    audience: str
    client_auth: ClientAuth = "1"
    user: User | None = None
    capabilities: tuple[str, ...] = ()
    fmi_path: str = ""
    requested: ClaimsRequest = NOTHING_REQUESTED


def build_spec(
    store: Store,
    parties: TokenParties,
    *,
    scopes: tuple[str, ...] = (),
    roles: tuple[str, ...] | None = None,
    version: Literal[1, 2] | None = None,
    lifetime: int | None = None,
    identity: str = "",
) -> TokenSpec:
    """Decide a token from the directory; roles, version and lifetime (seconds) can be overridden."""
    api, version = parties.resource, version or parties.resource.token_version or 1
    directory, user = store.directory, parties.user
    principal = directory.principal_of(parties.client.client_id, parties.tenant.id)
    agent = directory.agents.get(parties.client.client_id)
    holder_id = user.id if user else principal.id if principal else ""
    shows_capabilities = "xms_cc" in api.optional_claims or api.client_id == GRAPH
    return TokenSpec(
        base=parties.base,
        tenant_id=parties.tenant.id,
        client_id=parties.client.client_id,
        audience=_audience_claim(api, parties.audience, version),
        version=version,
        now=int(store.time_for(holder_id)),
        lifetime=lifetime or usual_lifetime(store, parties),
        client_auth=parties.client_auth,
        principal_id=principal.id if principal else parties.client.service_principal_id,
        user=user,
        resource_id=api.client_id,
        roles=assigned_roles(store, parties) if roles is None else roles,
        scopes=scopes,
        groups=directory.group_ids_of(user.id) if user and api.group_claims else (),
        optional=api.optional_claims,
        identity=identity,
        client_name=parties.client.name,
        region=parties.tenant.region,
        blueprint_id=agent.blueprint_id if agent else "",
        fmi_path=parties.fmi_path,
        capabilities=parties.capabilities if shows_capabilities else (),
        requested=parties.requested,
    )


def usual_lifetime(store: Store, parties: TokenParties) -> int:
    """Return the lifetime in seconds: one hour for apps, 60 to 90 minutes for users, a day with CAE."""
    if "cp1" in parties.capabilities and parties.resource.client_id == GRAPH:
        return store.ids.between(20 * 3600, 28 * 3600)
    return store.ids.between(3600, 5400) if parties.user else APP_LIFETIME


def audience_of(api: AppRegistration, requested_name: str) -> str:
    """Return the audience of a v1.0 token: the requested name; Graph's URL for Graph's client id."""
    return api.app_id_uri if api.client_id == GRAPH and requested_name == GRAPH else requested_name


def _audience_claim(api: AppRegistration, requested_name: str, version: int) -> str:
    by_guid = version == V2 or "aud:use_guid" in api.optional_claims
    return api.client_id if by_guid else requested_name


def assigned_roles(store: Store, parties: TokenParties) -> tuple[str, ...]:
    """Return the values of the API's roles assigned to the client, or to the user and its groups."""
    directory, tenant_id = store.directory, parties.tenant.id
    client = directory.principal_of(parties.client.client_id, tenant_id)
    target = directory.principal_of(parties.resource.client_id, tenant_id)
    if target is None:
        return ()
    user, app = parties.user, [client.id] if client else []
    holders = frozenset((user.id, *directory.group_ids_of(user.id)) if user else app)
    held = directory.roles_of(holders, target.id)
    roles = tuple(role.value for role in parties.resource.app_roles if role.enabled and role.id in held)
    is_manager = parties.client.is_blueprint and parties.resource.client_id == GRAPH and user is None
    return (*roles, CREATE_AS_MANAGER) if is_manager else roles


def consented_scopes(store: Store, parties: TokenParties) -> tuple[str, ...]:
    """Return the API's scopes that the client may use for this user."""
    directory, tenant_id = store.directory, parties.tenant.id
    client = directory.principal_of(parties.client.client_id, tenant_id)
    target = directory.principal_of(parties.resource.client_id, tenant_id)
    if client is None or target is None or parties.user is None:
        return ()
    return directory.scopes_of(client.id, target.id, parties.user.id)


def sign_spec(store: Store, spec: TokenSpec) -> str:
    """Return the access token, signed by the key for its API."""
    note("permissions", ", ".join((*spec.roles, *spec.scopes)) or "none")
    key = store.state.keys.for_api(spec.resource_id, personal=spec.tenant_id == CONSUMERS)
    note("token", f"v{spec.version}.0, valid for {spec.lifetime // 60} min, signed by {key.kid}")
    return sign_token(header_of(spec, key.kid, store.ids), access_claims(spec, store.ids), signer_of(key))


def sign_token(header: Mapping[str, Any], claims: Mapping[str, Any], signer: Signer) -> str:
    """Return the signed token; with a nonce in its header, the kind that only Graph can verify."""
    return (graph_token if "nonce" in header else compact)(header, claims, signer)


def header_of(spec: TokenSpec, kid: str, ids: Ids) -> dict[str, str]:
    """Return the header that Entra writes; only v1.0 tokens have `x5t`, only Graph's have a nonce."""
    return {
        "typ": "JWT",
        **({"nonce": ids.text(32)} if spec.resource_id == GRAPH else {}),
        "alg": "RS256",
        "kid": kid,
        **({"x5t": kid} if spec.version == V1 else {}),
    }
