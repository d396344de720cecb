"""Grants that end in a user's tokens: authorization code, refresh token, device code, on behalf of."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.app_grants import check_resource_parameter, in_strings, lifetimes
from entra_guard.emulator._oauth.clients import Client, authenticate, identify, refuse_credentials
from entra_guard.emulator._oauth.redirects import platform_of
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes, read_scopes
from entra_guard.emulator._store.directory import CONSUMERS, GRAPH, V2, AppRegistration, User
from entra_guard.emulator._store.sessions import (
    CODE_LIFETIME,
    REFRESH_LIFETIME,
    SPA_REFRESH_LIFETIME,
    Code,
    Refresh,
    digest,
)
from entra_guard.emulator._tokens.claims import id_claims
from entra_guard.emulator._tokens.jws import base64url, compact, minified, signer_of
from entra_guard.emulator._tokens.spec import TokenParties, audience_of, build_spec, consented_scopes, signed
from entra_guard.emulator._tokens.verification import InvalidTokenError, verify_own_token

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.token_request import TokenRequest

_ON_BEHALF_OF: Final = "on_behalf_of"


def authorization_code(asked: TokenRequest) -> dict[str, Any]:
    """Tokens for the user who signed in at the authorize endpoint."""
    text = asked.needed("code")
    code = asked.store.state.sessions.codes.get(digest(text))
    if code is None:
        raise EntraError(70000)
    asked = _in_tenant(asked, code.tenant_id)
    client = _redeeming_client(asked, code)
    _check_code(asked, client.app, code)
    asked.store.change(sessions=asked.store.state.sessions.with_code(text, replace(code, used=True)))
    scopes = read_scopes(asked.form.get("scope") or code.scope)
    user, spa = _user(asked, code.user_id), platform_of(client.app, code.redirect_uri) == "spa"
    return user_answer(asked, client, user, scopes, nonce=code.nonce, spa=spa)


def _in_tenant(asked: TokenRequest, tenant_id: str) -> TokenRequest:
    """The request in the tenant where the user signed in, when it was made behind an alias."""
    if asked.segment in {"common", "organizations", "consumers"}:
        return replace(asked, tenant=asked.store.directory.tenants[tenant_id])
    if asked.tenant.id != tenant_id:
        raise EntraError(70000)
    return asked


def _redeeming_client(asked: TokenRequest, code: Code) -> Client:
    """Who redeems a code: a page of another origin, an app on a device, or a server with its secret."""
    app = identify(asked.store, asked.tenant, asked.form.get("client_id") or code.client_id)
    if app.client_id != code.client_id:
        raise EntraError(70000)
    origin, platform = asked.http.header("origin"), platform_of(app, code.redirect_uri)
    if platform == "spa" and origin is None:
        raise EntraError(9002327)
    if platform != "spa" and origin is not None:
        raise EntraError(9002326)
    if platform != "web":
        refuse_credentials(asked.form)
        return Client(app, "0")
    return authenticate(asked.store, asked.tenant, asked.http, asked.form)


def _check_code(asked: TokenRequest, app: AppRegistration, code: Code) -> None:
    if code.used:
        raise EntraError(54005)
    if asked.store.now() >= code.issued + CODE_LIFETIME:
        raise EntraError(70008)
    given = asked.needed("redirect_uri")
    if given != code.redirect_uri:
        raise EntraError(500112, uri=given, value=code.redirect_uri)
    _check_verifier(asked, code, spa=platform_of(app, code.redirect_uri) == "spa")


def _check_verifier(asked: TokenRequest, code: Code, *, spa: bool) -> None:
    """RFC 7636: the verifier, hashed as the challenge was, is the challenge."""
    if not code.challenge:
        if spa:
            raise EntraError(9002325)
        return
    verifier = asked.form.get("code_verifier", "")
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    shown = hashed if code.method == "S256" else verifier
    if not hmac.compare_digest(shown.encode(), code.challenge.encode()):
        raise EntraError(501481)


def refresh_token(asked: TokenRequest) -> dict[str, Any]:
    """New tokens for old consent; the refresh token is replaced, and the old one stays good."""
    kept = asked.store.state.sessions.refreshes.get(digest(asked.needed("refresh_token")))
    if kept is None:
        raise EntraError(9002313)
    asked = _in_tenant(asked, kept.tenant_id)
    app = identify(asked.store, asked.tenant, asked.form.get("client_id") or kept.client_id)
    if app.client_id != kept.client_id:
        raise EntraError(70000)
    if asked.store.now() >= kept.expires:
        raise EntraError(700082)
    if asked.store.state.sessions.is_revoked(kept.user_id, kept.issued):
        raise EntraError(50173)
    client = _refreshing_client(asked, app, spa=kept.spa)
    scopes = read_scopes(asked.form.get("scope") or kept.scope)
    return user_answer(
        asked,
        client,
        _user(asked, kept.user_id),
        scopes,
        spa=kept.spa,
        expires=kept.expires if kept.spa else None,
    )


def _refreshing_client(asked: TokenRequest, app: AppRegistration, *, spa: bool) -> Client:
    if spa and asked.http.header("origin") is None:
        raise EntraError(9002327)
    return Client(app, "0") if spa else _public_or_proven(asked, app)


def _public_or_proven(asked: TokenRequest, app: AppRegistration) -> Client:
    """The client: one that can keep no secret is believed, any other must prove itself."""
    if app.public_client or app.public_redirect_uris:
        refuse_credentials(asked.form)
        return Client(app, "0")
    return authenticate(asked.store, asked.tenant, asked.http, asked.form)


def device_code(asked: TokenRequest) -> dict[str, Any]:
    """Tokens for the user who approved this device, or word that nobody has yet."""
    device = asked.store.state.sessions.devices.get(digest(asked.needed("device_code")))
    app = identify(asked.store, asked.tenant, asked.form.get("client_id", ""))
    if device is None or device.client_id != app.client_id:
        raise EntraError(70018)
    if device.declined:
        raise EntraError(70017)
    if asked.store.now() >= device.expires:
        raise EntraError(70020)
    if not device.user_id:
        raise EntraError(70016)
    user = _user(asked, device.user_id)
    asked = _in_tenant(asked, user.tenant_id)
    return user_answer(asked, _public_or_proven(asked, app), user, read_scopes(device.scope))


def jwt_bearer(asked: TokenRequest) -> dict[str, Any]:
    """On behalf of: an API exchanges the token it was called with for one to call another API."""
    if asked.needed("requested_token_use") != _ON_BEHALF_OF:
        raise EntraError(900144, name="requested_token_use")
    client = authenticate(asked.store, asked.tenant, asked.http, asked.form)
    claims = _assertion_claims(asked, client.app)
    scopes = read_scopes(asked.needed("scope"))
    return user_answer(asked, client, _user(asked, str(claims.get("oid"))), scopes)


def _assertion_claims(asked: TokenRequest, app: AppRegistration) -> dict[str, Any]:
    """The claims of the token the API was called with.

    Raises:
        EntraError: It was not issued here, not to this API, not to a user, or its time is over.
    """
    try:
        claims = verify_own_token(asked.store, asked.needed("assertion"))
    except InvalidTokenError as problem:
        if "expired" in str(problem):
            raise EntraError(500133) from None
        raise EntraError(50013, detail=str(problem)) from None
    audience = str(claims.get("aud"))
    if audience not in app.names():
        expected = {"resource": app.client_id, "app": app.client_id, "name": app.name}
        raise EntraError(500131, value=audience, **expected)
    if "scp" not in claims:
        raise EntraError(7000114, app=str(claims.get("azp") or claims.get("appid")))
    return claims


def _user(asked: TokenRequest, user_id: str) -> User:
    user = asked.store.directory.users.get(user_id)
    if user is None or not user.enabled:
        raise EntraError(50057)
    return user


def user_answer(
    asked: TokenRequest,
    client: Client,
    user: User,
    scopes: RequestedScopes,
    *,
    nonce: str = "",
    spa: bool = False,
    expires: float | None = None,
) -> dict[str, Any]:
    """The answer with a user's tokens: an access token, and what else the scopes ask for."""
    check_resource_parameter(asked, scopes.resource)
    parties = _parties(asked, client, user, scopes)
    granted = granted_scopes(asked, parties, scopes)
    spec = build_spec(asked.store, parties, scopes=granted)
    qualified = [f"{parties.resource.app_id_uri}/{name}" for name in granted if name not in scopes.reserved]
    open_id = [name for name in scopes.reserved if name != "offline_access"]
    answer: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": " ".join([*open_id, *qualified]),
        **lifetimes(spec),
        "access_token": signed(asked.store, spec),
    }
    if "offline_access" in scopes.reserved:
        answer["refresh_token"] = _new_refresh(asked, client, user, scopes, spa=spa, expires=expires)
    if "openid" in scopes.reserved:
        answer["id_token"] = _id_token(asked, parties, nonce)
    if asked.form.get("client_info") == "1":
        answer["client_info"] = base64url(minified({"uid": user.id, "utid": user.tenant_id}))
    return answer if asked.version == V2 else in_strings(answer, spec, scopes.resource)


def _parties(asked: TokenRequest, client: Client, user: User, scopes: RequestedScopes) -> TokenParties:
    api = asked.resource(scopes.resource)
    return TokenParties(
        base=asked.http.base,
        tenant=asked.tenant,
        client=client.app,
        resource=api,
        audience=audience_of(api, scopes.resource),
        proof=client.proof,
        user=user,
        capabilities=asked.capabilities(),
    )


def granted_scopes(asked: TokenRequest, parties: TokenParties, scopes: RequestedScopes) -> tuple[str, ...]:
    """The permissions the token will carry.

    Raises:
        EntraError: One does not exist, or nobody consented to it.
    """
    known, consented = [s.value for s in parties.resource.scopes], consented_scopes(asked.store, parties)
    named = tuple(name for name in scopes.names if name != DEFAULT)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise EntraError(
            650053, name=parties.client.name, scope=" ".join(unknown), resource=parties.resource.client_id
        )
    # An app calling itself needs nobody's consent.
    itself = parties.client.client_id == parties.resource.client_id
    missing = not consented if scopes.default else not set(named) <= set(consented)
    if missing and not itself:
        raise EntraError(65001, app=parties.client.client_id, name=parties.client.name)
    open_id = scopes.reserved if parties.resource.client_id == GRAPH else ()
    chosen = (consented or tuple(known)) if scopes.default else named
    return (*chosen, *(name for name in open_id if name not in {"offline_access", *chosen}))


def _new_refresh(
    asked: TokenRequest,
    client: Client,
    user: User,
    scopes: RequestedScopes,
    *,
    spa: bool,
    expires: float | None,
) -> str:
    """A new refresh token. A page's lives a day from sign-in, however often it is replaced."""
    text, now = f"1.A{asked.store.ids.text(96)}", asked.store.time_for(user.id)
    lifetime = SPA_REFRESH_LIFETIME if spa else REFRESH_LIFETIME
    scope = " ".join([*scopes.reserved, *(f"{scopes.resource}/{name}" for name in scopes.names)])
    kept = Refresh(client.app.client_id, asked.tenant.id, user.id, scope, now, expires or now + lifetime, spa)
    asked.store.change(sessions=asked.store.state.sessions.with_refresh(text, kept))
    return text


def _id_token(asked: TokenRequest, parties: TokenParties, nonce: str) -> str:
    key = asked.store.state.keys.for_api("", personal=asked.tenant.id == CONSUMERS)
    own = replace(parties, resource=parties.client, audience=parties.client.client_id)
    claims = id_claims(
        build_spec(asked.store, own, version=2 if asked.version == V2 else 1), asked.store.ids, nonce
    )
    return compact({"typ": "JWT", "alg": "RS256", "kid": key.kid}, claims, signer_of(key))
