"""What another issuer's token shows: that it is an access token, and whether a user or an application calls.

Only text counts as evidence: a blank claim, or one of another JSON type, shows nothing. Sources: RFC 9068,
OpenID Connect Core 1.0, RFC 8176 (values of 'amr'), and the documents of the named products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard, cast

from entra_guard._common.permission_names import OPENID_SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReadClaims(Protocol):
    """What is read from the claims here: see `OpenIdClaims`."""

    @property
    def aud(self) -> str | tuple[str, ...]: ...
    @property
    def iss(self) -> str: ...
    @property
    def sub(self) -> str: ...
    @property
    def oid(self) -> str: ...
    @property
    def app_id(self) -> str: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def header_typ(self) -> str: ...
    @property
    def raw(self) -> Mapping[str, Any]: ...
    @property
    def client_is_subject(self) -> bool: ...


CLIENT_CLAIMS: Final = ("azp", "client_id", "cid", "appid")

# OpenID Connect Core 5.4 and 11. They are about the ID token, and permit nothing in an API.
_PROTOCOL_SCOPES: Final = OPENID_SCOPES | {"address", "phone"}
_ACCESS_TOKEN_HEADERS: Final = frozenset({"at+jwt", "application/at+jwt"})
# What issuers call an access token in the payload's 'typ' (Keycloak: Bearer) and 'token_use' (Cognito).
_ACCESS_TOKEN_WORDS: Final = frozenset(
    {"bearer", "dpop", "jwt", "at", "at+jwt", "application/at+jwt", "access", "access_token"}
)
_OTHER_TOKEN_WORDS: Final = frozenset({"id", "id_token", "refresh", "refresh_token", "offline", "logout"})
# OpenID Connect Core 3.1.3.6 and 3.3.2.11; FAPI 1.0 part 2, 5.1.1; RFC 8417 section 2.2 (logout tokens).
_ID_TOKEN_CLAIMS: Final = ("at_hash", "c_hash", "s_hash", "events")
_CLIENT_CREDENTIALS: Final = frozenset({"client_credentials", "client-credentials"})
# RFC 8176 section 2: what a person does or is. Keys alone (hwk, swk, pop, sc) may be a machine's.
_METHODS_OF_PERSONS: Final = frozenset(
    {"face", "fpt", "iris", "kba", "mca", "mfa", "otp", "pin", "pwd", "retina", "sms", "tel", "user", "vbm"}
    | {"external"}  # Duende: signed in at another provider
)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a claim is a string that shows at least one character."""
    return isinstance(value, str) and any(char.isprintable() and char != " " for char in value)


def permits_something(scope: str) -> bool:
    """Return whether a scope is an API's, and neither blank nor OpenID Connect's own."""
    return is_text(scope) and not _PROTOCOL_SCOPES.issuperset(scope.lower().split())


# --- access token, or something else ---------------------------------------------------------------------


def mark_of_other_token(raw: Mapping[str, Any]) -> str:
    """Return the claim that only other kinds of tokens have, or ''."""
    for name in _ID_TOKEN_CLAIMS:
        if name in raw:
            return f"the claim '{name}', which access tokens do not have"
    for name in ("typ", "token_use"):
        value = raw.get(name)
        if value is not None and (
            not isinstance(value, str) or value.strip().lower() not in _ACCESS_TOKEN_WORDS
        ):
            return f"the claim '{name}', which does not name an access token"
    kind = raw.get("token_type")
    return (
        "the claim 'token_type', which does not name an access token"
        if isinstance(kind, str) and kind.strip().lower() in _OTHER_TOKEN_WORDS
        else ""
    )


def lack_of_evidence(claims: ReadClaims) -> str:
    """Return '' for a token that shows that it is an access token.

    An ID token is signed by the same key, for an audience that may be this API's own client id. Its client
    is its audience, and its scopes are those of the protocol.
    """
    if claims.header_typ in _ACCESS_TOKEN_HEADERS or _has_scope_of_api(claims) or _is_for_another(claims):
        return ""
    return (
        "no evidence of an access token: typ at+jwt, a scope of an API in scp or scope, or a client (azp, "
        "client_id, cid, appid) other than aud. Give the API an audience that is not a client id, or let the "
        "issuer set typ at+jwt (RFC 9068)"
    )


def _has_scope_of_api(claims: ReadClaims) -> bool:
    """Return whether a scope is not one of the protocol's, also if the scopes are read from another claim."""
    raw = claims.raw
    return any(map(permits_something, {*claims.scopes, *_words(raw.get("scp")), *_words(raw.get("scope"))}))


def _is_for_another(claims: ReadClaims) -> bool:
    """Return whether the token names its client, and no claim names the audience itself as the client."""
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    clients = {_folded(value) for name in CLIENT_CLAIMS if is_text(value := claims.raw.get(name))}
    return bool(clients) and clients.isdisjoint(map(_folded, audiences))


def _folded(name: str) -> str:
    return name.strip().lower()


# --- application, or user --------------------------------------------------------------------------------


def is_known_app(claims: ReadClaims) -> bool | None:
    """Recognise the shapes in which known issuers mark applications and users; None for all others."""
    raw = claims.raw
    if (kind := raw.get("idtyp")) in ("app", "user"):
        return bool(kind == "app")
    if _is_machine(claims):
        return True
    if not claims.sub or _maybe_machine(claims):
        return None
    return False if _is_user(claims) else None


def _is_machine(claims: ReadClaims) -> bool:
    raw, sub, client = claims.raw, claims.sub, claims.app_id
    if _CLIENT_CREDENTIALS & (_words(raw.get("gty")) | _words(raw.get("grant_type"))):
        return True  # Auth0, and Cloud Foundry UAA
    if not client or claims.client_is_subject:
        return False
    if sub in (client, f"{client}@clients"):  # RFC 9068 section 2.2; Auth0
        return True
    named = client in (raw.get("client_id"), raw.get("clientId"))  # Duende; Keycloak
    return named and (not sub or _keycloak_account(raw) == f"service-account-{client}".lower())


def _maybe_machine(claims: ReadClaims) -> bool:
    """Return whether a token may be a machine's, though it lacks what would prove it.

    Keycloak writes 'clientHost', 'clientAddress' and a client id for service accounts, whose name a mapper
    may replace.
    """
    raw, client = claims.raw, claims.app_id
    if claims.sub.endswith("@clients") or _keycloak_account(raw).startswith("service-account-"):
        return True
    if "clientHost" in raw or "clientAddress" in raw:
        return True
    return (
        raw.get("typ") == "Bearer" and bool(client) and client in (raw.get("client_id"), raw.get("clientId"))
    )


def _is_user(claims: ReadClaims) -> bool:
    """Return whether a token says that a person signed in.

    'amr' counts where the issuer promises the profile of RFC 9068 (section 2.2.1) and it names a method of
    persons. 'auth_time' counts nowhere: issuers write it for machines too. So it is with
    'preferred_username'. Okta's 'uid' is absent without a user.
    """
    raw = claims.raw
    if claims.header_typ in _ACCESS_TOKEN_HEADERS and _words(raw.get("amr")) & _METHODS_OF_PERSONS:
        return True
    if _has_texts(raw, "cid", "uid"):
        return True
    if raw.get("token_use") == "access" and _has_texts(raw, "username"):  # Cognito
        return True
    if _has_texts(raw, "grant_type", "user_id"):  # Cloud Foundry UAA
        return True
    if raw.get("typ") == "Bearer" and (_has_texts(raw, "sid") or _has_texts(raw, "session_state")):
        return _has_texts(raw, "preferred_username")
    return _is_auth0_user(claims.sub, claims)


def _has_texts(raw: Mapping[str, Any], *names: str) -> bool:
    return all(is_text(raw.get(name)) for name in names)


def _is_auth0_user(sub: str, claims: ReadClaims) -> bool:
    """Return whether 'sub' is '<connection>|<id>' in a token of Auth0."""
    if "|" not in sub:
        return False
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    ours = _host(claims.iss).endswith(".auth0.com") or f"{claims.iss.rstrip('/')}/userinfo" in audiences
    return ours or sub.startswith("auth0|")


def is_b2c_app(claims: ReadClaims) -> bool | None:
    """Recognise B2C's client credentials: sub is the service principal, which oid names too.

    A user's sub is the object id as well, but such a token names its policy ('tfp', or 'acr').
    """
    raw = claims.raw
    if (kind := raw.get("idtyp")) in ("app", "user"):
        return bool(kind == "app")
    of_person = any(_has_texts(raw, name) for name in ("tfp", "acr", "idp")) or any(_words(raw.get("emails")))
    unclear = any(name in raw for name in ("tfp", "acr", "idp", "emails", "auth_time", "nonce"))
    if claims.sub and claims.sub == claims.oid:
        if of_person:
            return None if raw.get("azpacr") in ("1", "2") else False
        return None if unclear else True
    return False if of_person and claims.sub else None


def _keycloak_account(raw: Mapping[str, Any]) -> str:
    name = raw.get("preferred_username")
    return name.lower() if isinstance(name, str) else ""


def _words(value: object) -> set[str]:
    """Return one word or several, in lower case."""
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return {word.lower() for word in values if isinstance(word, str)}


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()
