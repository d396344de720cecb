"""The response with a user's tokens: access token, refresh token, ID token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._oauth.app_grants import (
    check_resource_parameter,
    lifetimes,
    with_string_values,
)
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes
from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.entries import CONSUMERS, GRAPH, V2, User
from entra_guard.emulator._store.sessions import REFRESH_LIFETIME, SPA_REFRESH_LIFETIME, RefreshToken
from entra_guard.emulator._tokens.claims import id_claims
from entra_guard.emulator._tokens.jws import compact, compact_json, signer_of
from entra_guard.emulator._tokens.spec import (
    TokenParties,
    audience_of,
    build_spec,
    consented_scopes,
    sign_spec,
)

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.clients import Client
    from entra_guard.emulator._oauth.token_request import TokenRequest


def user_tokens(
    request: TokenRequest,
    client: Client,
    user: User,
    scopes: RequestedScopes,
    *,
    nonce: str = "",
    spa: bool = False,
    expires: float | None = None,
) -> dict[str, Any]:
    """Return an access token for a user, and the other tokens that the scopes request."""
    check_resource_parameter(request, scopes.resource)
    parties = _token_parties(request, client, user, scopes)
    granted = granted_scopes(request, parties, scopes)
    spec = build_spec(request.store, parties, scopes=granted)
    qualified = [f"{parties.resource.app_id_uri}/{name}" for name in granted if name not in scopes.reserved]
    open_id = [name for name in scopes.reserved if name != "offline_access"]
    content: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": " ".join([*open_id, *qualified]),
        **lifetimes(spec),
        "access_token": sign_spec(request.store, spec),
    }
    if "offline_access" in scopes.reserved:
        content["refresh_token"] = _new_refresh_token(request, client, user, scopes, spa=spa, expires=expires)
    if "openid" in scopes.reserved:
        content["id_token"] = _id_token(request, parties, scopes, nonce)
    if request.form.get("client_info") == "1":
        content["client_info"] = base64url(compact_json({"uid": user.id, "utid": user.tenant_id}))
    return content if request.version == V2 else with_string_values(content, spec, scopes.resource)


def _token_parties(
    request: TokenRequest, client: Client, user: User, scopes: RequestedScopes
) -> TokenParties:
    api = request.resource(scopes.resource)
    return TokenParties(
        base=request.http.base,
        tenant=request.tenant,
        client=client.app,
        resource=api,
        audience=audience_of(api, scopes.resource),
        client_auth=client.auth,
        user=user,
        capabilities=request.capabilities(),
        requested=request.claims_request(),
    )


def granted_scopes(request: TokenRequest, parties: TokenParties, scopes: RequestedScopes) -> tuple[str, ...]:
    """Return the permissions of the token.

    Raises:
        EntraError: A permission does not exist, or consent for it is missing.
    """
    known = [scope.value for scope in parties.resource.scopes]
    consented = consented_scopes(request.store, parties)
    named = tuple(name for name in scopes.names if name != DEFAULT)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise EntraError(
            650053, name=parties.client.name, scope=" ".join(unknown), resource=parties.resource.client_id
        )
    # An app that calls itself needs no consent.
    calls_itself = parties.client.client_id == parties.resource.client_id
    missing = not consented if scopes.default else not set(named) <= set(consented)
    if missing and not calls_itself:
        raise EntraError(65001, app=parties.client.client_id, name=parties.client.name)
    open_id = scopes.reserved if parties.resource.client_id == GRAPH else ()
    chosen = (consented or tuple(known)) if scopes.default else named
    return (*chosen, *(name for name in open_id if name not in {"offline_access", *chosen}))


def _new_refresh_token(
    request: TokenRequest,
    client: Client,
    user: User,
    scopes: RequestedScopes,
    *,
    spa: bool,
    expires: float | None,
) -> str:
    """Return a new refresh token. A page's token expires a day after sign-in, however often it is renewed."""
    store, text = request.store, f"1.A{request.store.ids.text(96)}"
    now, lifetime = store.time_for(user.id), SPA_REFRESH_LIFETIME if spa else REFRESH_LIFETIME
    scope = " ".join([*scopes.reserved, *(f"{scopes.resource}/{name}" for name in scopes.names)])
    app_id, tenant_id, ends = client.app.client_id, request.tenant.id, expires or now + lifetime
    token = RefreshToken(app_id, tenant_id, user.id, scope, now, ends, spa, client.auth != "0")
    store.change(sessions=store.state.sessions.with_refresh_token(text, token, now=store.now()))
    return text


def _id_token(request: TokenRequest, parties: TokenParties, scopes: RequestedScopes, nonce: str) -> str:
    store = request.store
    key = store.state.keys.for_api("", personal=request.tenant.id == CONSUMERS)
    own = replace(parties, resource=parties.client, audience=parties.client.client_id)
    spec = build_spec(store, own, version=2 if request.version == V2 else 1)
    header = {"typ": "JWT", "alg": "RS256", "kid": key.kid}
    # The v1.0 endpoint has no scopes for claims: its ID tokens always name the user.
    named = scopes.reserved if request.version == V2 else ("profile",)
    return compact(header, id_claims(spec, store.ids, nonce, named), signer_of(key))
