"""Grants that return a user's tokens: authorization code, refresh token, device code, on behalf of."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.trail import note, note_user
from entra_guard.emulator._oauth.clients import Client, authenticate, identify, refuse_credentials
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.redirects import platform_of
from entra_guard.emulator._oauth.scopes import parse_scopes
from entra_guard.emulator._oauth.token_request import ALIASES
from entra_guard.emulator._oauth.user_tokens import user_tokens
from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.entries import TOKEN_EXCHANGE
from entra_guard.emulator._store.sessions import AuthorizationCode, digest
from entra_guard.emulator._tokens.verification import (
    ExpiredTokenError,
    InvalidTokenError,
    verify_own_token,
)

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.token_request import TokenRequest
    from entra_guard.emulator._store.entries import AppRegistration, User
    from entra_guard.emulator._store.sessions import RefreshToken

_ON_BEHALF_OF: Final = "on_behalf_of"


def authorization_code(request: TokenRequest) -> dict[str, Any]:
    """Return tokens for the user who signed in at the authorize endpoint."""
    text, store = request.required("code"), request.store
    code = store.state.sessions.codes.get(digest(text))
    if code is None:
        raise EntraError(70000)
    request = _in_tenant(request, code.tenant_id)
    client = _redeeming_client(request, code)
    _check_code(request, client.app, code)
    redeemed = replace(code, redeemed=True)
    store.change(sessions=store.state.sessions.with_code(text, redeemed, now=store.now()))
    scopes = parse_scopes(request.form.get("scope") or code.scope)
    request = replace(request, form={"claims": code.claims, **request.form})
    user, spa = _enabled_user(request, code.user_id), platform_of(client.app, code.redirect_uri) == "spa"
    return user_tokens(request, client, user, scopes, nonce=code.nonce, spa=spa)


def _in_tenant(request: TokenRequest, tenant_id: str) -> TokenRequest:
    """Return the request in the tenant where the user signed in, if it was made to an alias."""
    if request.segment in ALIASES:
        return replace(request, tenant=request.store.directory.tenants[tenant_id])
    if request.tenant.id != tenant_id:
        raise EntraError(70000)
    return request


def _redeeming_client(request: TokenRequest, code: AuthorizationCode) -> Client:
    """Return the client that redeems a code: a page in a browser, an app on a device, or a server."""
    app = identify(request.store, request.tenant, request.form.get("client_id") or code.client_id)
    if app.client_id != code.client_id:
        raise EntraError(70000)
    origin, platform = request.http.header("origin"), platform_of(app, code.redirect_uri)
    if platform == "spa" and origin is None:
        raise EntraError(9002327)
    if platform != "spa" and origin is not None:
        raise EntraError(9002326)
    if platform != "web":
        refuse_credentials(request.form)
        return Client(app, "0")
    return authenticate(request.store, request.tenant, request.http, request.form)


def _check_code(request: TokenRequest, app: AppRegistration, code: AuthorizationCode) -> None:
    if code.redeemed:
        raise EntraError(54005)
    if request.store.now() >= code.expires:
        raise EntraError(70008)
    redirect_uri = request.required("redirect_uri")
    if redirect_uri != code.redirect_uri:
        raise EntraError(500112, uri=redirect_uri, value=code.redirect_uri)
    note("code", "issued to this client, not used before")
    _check_verifier(request, code, spa=platform_of(app, code.redirect_uri) == "spa")


def _check_verifier(request: TokenRequest, code: AuthorizationCode, *, spa: bool) -> None:
    """Check the PKCE verifier against the challenge (RFC 7636 section 4.6)."""
    if not code.challenge:
        if spa:
            raise EntraError(9002325)
        return
    verifier = request.form.get("code_verifier", "")
    hashed = base64url(hashlib.sha256(verifier.encode()).digest())
    shown = hashed if code.method == "S256" else verifier
    if not hmac.compare_digest(shown.encode(), code.challenge.encode()):
        raise EntraError(501481)
    note("PKCE", f"the verifier matches the challenge ({code.method})")


def refresh_token(request: TokenRequest) -> dict[str, Any]:
    """Return new tokens for a refresh token; the old refresh token stays valid."""
    sessions = request.store.state.sessions
    stored = sessions.refresh_tokens.get(digest(request.required("refresh_token")))
    if stored is None:
        raise EntraError(9002313)
    request = _in_tenant(request, stored.tenant_id)
    app = identify(request.store, request.tenant, request.form.get("client_id") or stored.client_id)
    if app.client_id != stored.client_id:
        raise EntraError(70000)
    if request.store.now() >= stored.expires:
        raise EntraError(700082)
    if sessions.is_revoked(stored.user_id, stored.issued):
        raise EntraError(50173)
    note("session", "refresh token of this client")
    client = _refreshing_client(request, app, stored)
    scopes = parse_scopes(request.form.get("scope") or stored.scope)
    user, expires = _enabled_user(request, stored.user_id), stored.expires if stored.spa else None
    return user_tokens(request, client, user, scopes, spa=stored.spa, expires=expires)


def _refreshing_client(request: TokenRequest, app: AppRegistration, stored: RefreshToken) -> Client:
    if stored.spa and request.http.header("origin") is None:
        raise EntraError(9002327)
    if stored.confidential:
        return authenticate(request.store, request.tenant, request.http, request.form)
    return Client(app, "0") if stored.spa else _public_or_authenticated(request, app)


def _public_or_authenticated(request: TokenRequest, app: AppRegistration) -> Client:
    """Return a public client as it is; authenticate any other."""
    if app.public_client or app.public_redirect_uris:
        refuse_credentials(request.form)
        return Client(app, "0")
    return authenticate(request.store, request.tenant, request.http, request.form)


def device_code(request: TokenRequest) -> dict[str, Any]:
    """Return tokens for the user who approved this device.

    Raises:
        EntraError: The user has not approved it yet, has declined it, or the code has ended.
    """
    store, text = request.store, request.required("device_code")
    device = store.state.sessions.device_codes.get(digest(text))
    app = identify(store, request.tenant, request.form.get("client_id", ""))
    if device is None or device.client_id != app.client_id:
        raise EntraError(70018)
    if device.declined:
        raise EntraError(70017)
    if store.now() >= device.expires:
        raise EntraError(70020)
    if not device.user_id:
        raise EntraError(70016)
    user = _enabled_user(request, device.user_id)
    request = _in_tenant(request, user.tenant_id)
    client = _public_or_authenticated(request, app)
    tokens = user_tokens(request, client, user, parse_scopes(device.scope))
    store.change(sessions=store.state.sessions.without_device_code(text))
    return tokens


def jwt_bearer(request: TokenRequest) -> dict[str, Any]:
    """Exchange the token an API was called with for a token to call another API (on behalf of)."""
    if request.required("requested_token_use") != _ON_BEHALF_OF:
        raise EntraError(900144, name="requested_token_use")
    client = authenticate(request.store, request.tenant, request.http, request.form)
    claims = _assertion_claims(request, client.app)
    scopes = parse_scopes(request.required("scope"))
    return user_tokens(request, client, _enabled_user(request, str(claims.get("oid"))), scopes)


def _assertion_claims(request: TokenRequest, app: AppRegistration) -> dict[str, Any]:
    """Return the claims of the token the API was called with.

    Raises:
        EntraError: It was not issued here, is for another API, not of a user, or has expired.
    """
    try:
        claims = verify_own_token(request.store, request.required("assertion"))
    except ExpiredTokenError:
        raise EntraError(500133) from None
    except InvalidTokenError as error:
        raise EntraError(50013, detail=str(error)) from None
    audience, agent = str(claims.get("aud")), request.store.directory.agents.get(app.client_id)
    api = app if agent is None else request.store.directory.apps[agent.blueprint_id]
    if audience not in api.names():
        expected = {"resource": app.client_id, "app": app.client_id, "name": app.name}
        raise EntraError(500131, value=audience, **expected)
    if "scp" not in claims:
        raise EntraError(7000114, app=str(claims.get("azp") or claims.get("appid")))
    note("assertion", "a valid token for this API")
    return claims


def user_fic(request: TokenRequest) -> dict[str, Any]:
    """Return tokens for the user account of an agent, which the agent itself has requested.

    Source: Microsoft, "Agent's user account impersonation protocol".

    Raises:
        EntraError: The client is not an agent, the token is not its own, or the account is another's.
    """
    store = request.store
    client = authenticate(store, request.tenant, request.http, request.form)
    agent = store.directory.agents.get(client.app.client_id)
    try:
        claims = verify_own_token(store, request.required("user_federated_identity_credential"))
    except ExpiredTokenError:
        raise EntraError(500133) from None
    except InvalidTokenError as error:
        raise EntraError(50013, detail=str(error)) from None
    name = request.form.get("user_id") or request.required("username")
    user = store.directory.user(name, request.tenant.id)
    if agent is None or (claims.get("aud"), claims.get("oid")) != (TOKEN_EXCHANGE, agent.id):
        raise EntraError(700213, value=str(claims.get("sub")))
    if user is None or user.agent_id != agent.id:
        raise EntraError(50034, user=name, tenant=request.tenant.name)
    scopes = parse_scopes(request.required("scope"))
    return user_tokens(request, client, _enabled_user(request, user.id), scopes)


def _enabled_user(request: TokenRequest, user_id: str) -> User:
    user = request.store.directory.users.get(user_id)
    if user is None or not user.enabled:
        raise EntraError(50057)
    note_user(user.display_name)
    return user
