"""The claims of issuers other than Entra: B2C, Auth0, Okta, Keycloak, Duende, Spring, AD FS ...

Nothing here is on the path of Entra's own tokens, which `claims.py` reads. Sources: RFC 9068 (access
tokens as JWT), RFC 7519 (types of registered claims), and the documents of the named products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, final

import msgspec

from entra_guard._common.strict_json import UNREADABLE, NotStrictJsonError, read_object
from entra_guard._validation.claims import ABSENT, Claims, NumericDate, StringTuple
from entra_guard.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ClaimPath = tuple[str, ...]

_CLIENT_CLAIMS: Final = ("azp", "client_id", "cid", "appid")
_SCOPE_CLAIMS: Final = ("scp", "scope")
_ACCESS_TOKEN_HEADERS: Final = frozenset({"at+jwt", "application/at+jwt"})
# What issuers call an access token in the payload's 'typ' (Keycloak: Bearer) and 'token_use' (Cognito).
_ACCESS_TOKEN_WORDS: Final = frozenset(
    {"bearer", "dpop", "jwt", "at", "at+jwt", "application/at+jwt", "access", "access_token"}
)
_OTHER_TOKEN_WORDS: Final = frozenset({"id", "id_token", "refresh", "refresh_token", "offline", "logout"})
# OpenID Connect Core 3.1.3.6 and 3.3.2.11; FAPI 1.0 part 2, 5.1.1; RFC 8417 section 2.2 (logout tokens).
_ID_TOKEN_CLAIMS: Final = ("at_hash", "c_hash", "s_hash", "events")


_CLIENT_CREDENTIALS: Final = frozenset({"client_credentials", "client-credentials"})


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Where an issuer puts what the guard reads.

    Attributes:
        scopes: Path of the claim with the scopes; empty for 'scp', else 'scope'.
        roles: Path of the claim with the roles.
        client: Path of the claim with the client id; empty for the first of 'azp', 'client_id', 'cid'
            and 'appid'.
        is_app: Decides whether a token is an application's own; None where the known shapes decide.
        is_b2c: Azure AD B2C issued the tokens.
    """

    scopes: ClaimPath = ()
    roles: ClaimPath = ("roles",)
    client: ClaimPath = ()
    is_app: Callable[[Mapping[str, Any]], bool | None] | None = None
    is_b2c: bool = False


DEFAULT_RULES: Final = ClaimRules()


class _Registered(msgspec.Struct, frozen=True):
    """The claims whose types RFC 7519 section 4.1 fixes."""

    aud: str | StringTuple = ""
    iss: str = ""
    iat: NumericDate = ABSENT
    nbf: NumericDate = ABSENT
    exp: NumericDate = ABSENT
    sub: str = ""


_decode_registered: Final = msgspec.json.Decoder(_Registered).decode


@final
class OpenIdClaims(msgspec.Struct, frozen=True):
    """The claims of another issuer's token, under the names that the checklist reads."""

    aud: str | StringTuple = ""
    iss: str = ""
    iat: NumericDate = ABSENT
    nbf: NumericDate = ABSENT
    exp: NumericDate = ABSENT
    sub: str = ""
    oid: str = ""
    tid: str = ""
    ver: str = ""
    uti: str = ""
    app_id: str = ""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    header_typ: str = ""
    raw: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    rules: ClaimRules = DEFAULT_RULES

    @property
    def cnf(self) -> Any:
        """The key that the token is bound to (RFC 7800); None for a bearer token."""
        return self.raw.get("cnf")

    @property
    def is_app(self) -> bool | None:
        """Whether an application calls in its own name; None where the token does not say so."""
        rule = self.rules.is_app
        if rule is None:
            return _is_b2c_app(self) if self.rules.is_b2c else _is_app(self)
        try:
            found = rule(self.raw)
        except Exception:  # noqa: BLE001  # a rule that fails has decided nothing
            return None
        return found if isinstance(found, bool) else None

    @property
    def is_guest(self) -> bool | None:
        """False for applications; None for users, as guests of a tenant are a notion of Entra."""
        return False if self.is_app else None

    @property
    def why_not_access_token(self) -> str:
        """What marks the token as something else than an access token, or what evidence it lacks; or ''."""
        return _mark_of_other_token(self.raw) or _lack_of_evidence(self)

    def __repr__(self) -> str:
        return f"OpenIdClaims(iss={self.iss!r}, aud={self.aud!r}, app_id={self.app_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show only what `repr` shows where rich prints; msgspec would show all claims."""
        return [("iss", self.iss), ("app_id", self.app_id)]


AnyClaims = Claims | OpenIdClaims


def read_openid_claims(payload: bytes, rules: ClaimRules, header_typ: str) -> OpenIdClaims:
    """Read the claims from a decoded payload.

    Args:
        payload: The JSON object.
        rules: Where the issuer puts client, scopes and roles.
        header_typ: The member 'typ' of the token's header.

    Raises:
        InvalidTokenError: invalid_claims: not one JSON object, a name twice, or a claim of a wrong type.
    """
    registered, raw, why = None, dict[str, Any](), ""
    try:
        raw = read_object(payload)
        registered = _decode_registered(payload)
    except (NotStrictJsonError, *UNREADABLE) as error:
        why = str(error)
    if registered is None:  # not inside: the other error may hold the payload
        raise refusal("invalid_claims", {"found": why})
    found = registered
    return OpenIdClaims(
        found.aud,
        found.iss,
        found.iat,
        found.nbf,
        found.exp,
        found.sub,
        _string_or_nothing(raw.get("oid")),
        _string_or_nothing(raw.get("tid")),
        _string_or_nothing(raw.get("ver")),
        _string_or_nothing(raw.get("uti")) or _string_or_nothing(raw.get("jti")),
        _client(raw, rules),
        _scopes(raw, rules),
        _roles(raw, rules),
        header_typ.lower(),
        raw,
        rules,
    )


def read_routing_claims(payload: bytes) -> OpenIdClaims:
    """Read the claims that say which of several guards a token is for: aud, iss, tid and ver.

    All other claims are left to that guard, so none of them can make a token unreadable here.
    """
    try:
        raw = read_object(payload)
    except NotStrictJsonError:
        return OpenIdClaims()
    aud = raw.get("aud")
    audiences = cast("list[object]", aud) if isinstance(aud, list) else [aud]
    return OpenIdClaims(
        aud=tuple(name for name in audiences if isinstance(name, str)),
        iss=_string_or_nothing(raw.get("iss")),
        tid=_string_or_nothing(raw.get("tid")),
        ver=_string_or_nothing(raw.get("ver")),
    )


def _string_or_nothing(value: object) -> str:
    """Return a string claim that means something in Entra only; elsewhere it may be anything."""
    return value if isinstance(value, str) else ""


def _at(claims: Mapping[str, Any], path: ClaimPath) -> object:
    """Return the claim at a path, or None."""
    value: Any = claims
    for name in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(name)
    return value


def _client(raw: Mapping[str, Any], rules: ClaimRules) -> str:
    paths = (rules.client,) if rules.client else tuple((name,) for name in _CLIENT_CLAIMS)
    for path in paths:
        value = _at(raw, path)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(path, "a string")
        if value:
            return value
    return ""


def _scopes(raw: Mapping[str, Any], rules: ClaimRules) -> tuple[str, ...]:
    """Return the scopes: a string is split at spaces (RFC 6749 section 3.3), an array is taken as it is."""
    paths = (rules.scopes,) if rules.scopes else tuple((name,) for name in _SCOPE_CLAIMS)
    for path in paths:
        value = _at(raw, path)
        scopes = tuple(value.split(" ")) if isinstance(value, str) else _strings(value, path)
        if any(scopes):
            return tuple(scope for scope in scopes if scope)
    return ()


def _roles(raw: Mapping[str, Any], rules: ClaimRules) -> tuple[str, ...]:
    """Return the roles: an array, or one role as a string (as .NET writes a claim with one value)."""
    value = _at(raw, rules.roles)
    roles = (value,) if isinstance(value, str) else _strings(value, rules.roles)
    return tuple(role for role in roles if role)


def _strings(value: object, path: ClaimPath) -> tuple[str, ...]:
    if value is None:
        return ()
    items = tuple(cast("list[object]", value)) if isinstance(value, list) else (None,)
    if not all(isinstance(item, str) for item in items):
        raise _wrong_type(path, "a string or an array of strings")
    return cast("tuple[str, ...]", items)


def _wrong_type(path: ClaimPath, expected: str) -> Exception:
    return refusal("invalid_claims", {"found": f"'{'.'.join(path)}' is not {expected}"})


# --- access token, or something else ---------------------------------------------------------------------


def _mark_of_other_token(raw: Mapping[str, Any]) -> str:
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


def _lack_of_evidence(claims: OpenIdClaims) -> str:
    """Return '' for a token that shows that it is an access token.

    An ID token is signed by the same key, for an audience that may be this API's own client id.
    """
    raw, audiences = claims.raw, (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if claims.header_typ in _ACCESS_TOKEN_HEADERS or claims.scopes:
        return ""
    if raw.get("scp") or raw.get("scope") or raw.get("client_id") or raw.get("cid"):
        return ""
    party = raw.get("azp") or raw.get("appid")
    if party and party not in audiences:
        return ""
    return (
        "no evidence of an access token: typ at+jwt, scp, scope, client_id, cid, or an azp other than aud. "
        "Give the API an audience that is not a client id, or let the issuer set typ at+jwt (RFC 9068)"
    )


# --- application, or user --------------------------------------------------------------------------------


def _is_app(claims: OpenIdClaims) -> bool | None:
    """Recognise the shapes in which known issuers mark applications and users; None for all others."""
    raw = claims.raw
    if (kind := raw.get("idtyp")) in ("app", "user"):
        return bool(kind == "app")
    if _is_machine(claims):
        return True
    if not claims.sub or _maybe_machine(claims):
        return None
    return False if _is_user(claims) else None


def _is_machine(claims: OpenIdClaims) -> bool:
    raw, sub, client = claims.raw, claims.sub, claims.app_id
    if _CLIENT_CREDENTIALS & (_words(raw.get("gty")) | _words(raw.get("grant_type"))):
        return True  # Auth0, and Cloud Foundry UAA
    if not client or claims.rules.client == ("sub",):
        return False
    if sub in (client, f"{client}@clients"):  # RFC 9068 section 2.2; Auth0
        return True
    named = client in (raw.get("client_id"), raw.get("clientId"))  # Duende; Keycloak
    return named and (not sub or _keycloak_account(raw) == f"service-account-{client}".lower())


def _maybe_machine(claims: OpenIdClaims) -> bool:
    """Return whether a token may be a machine's, though it lacks what would prove it."""
    return claims.sub.endswith("@clients") or _keycloak_account(claims.raw).startswith("service-account-")


def _is_user(claims: OpenIdClaims) -> bool:
    """Return whether a token says that a person signed in.

    'auth_time' and 'amr' count where the issuer promises the profile of RFC 9068 (section 2.2.1): others
    write them for machines too. So it is with 'preferred_username'. Okta's 'uid' is absent without a user.
    """
    raw, sub = claims.raw, claims.sub
    if claims.header_typ in _ACCESS_TOKEN_HEADERS and (raw.get("auth_time") or raw.get("amr")):
        return True
    if raw.get("cid") and raw.get("uid"):
        return True
    if raw.get("token_use") == "access" and raw.get("username"):  # Cognito
        return True
    if raw.get("grant_type") and raw.get("user_id"):  # Cloud Foundry UAA
        return True
    if raw.get("typ") == "Bearer" and (raw.get("sid") or raw.get("session_state")):
        return bool(_keycloak_account(raw))
    return _is_auth0_user(sub, claims)


def _is_auth0_user(sub: str, claims: OpenIdClaims) -> bool:
    """Return whether 'sub' is '<connection>|<id>' in a token of Auth0."""
    if "|" not in sub:
        return False
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    ours = _host(claims.iss).endswith(".auth0.com") or f"{claims.iss.rstrip('/')}/userinfo" in audiences
    return ours or sub.startswith("auth0|")


def _is_b2c_app(claims: OpenIdClaims) -> bool | None:
    """Recognise B2C's client credentials: sub is the service principal, which oid names too.

    A user's sub is the object id as well, but such a token names its policy ('tfp', or 'acr').
    """
    raw = claims.raw
    if (kind := raw.get("idtyp")) in ("app", "user"):
        return bool(kind == "app")
    of_policy = any(raw.get(name) for name in ("tfp", "acr"))
    signed_in = of_policy or any(raw.get(name) for name in ("auth_time", "emails", "idp", "nonce"))
    with_secret = raw.get("azpacr") in ("1", "2")
    if claims.sub and claims.sub == claims.oid:
        return (None if with_secret else False) if signed_in else True
    return False if signed_in and claims.sub else None


def _keycloak_account(raw: Mapping[str, Any]) -> str:
    name = raw.get("preferred_username")
    return name.lower() if isinstance(name, str) else ""


def _words(value: object) -> set[str]:
    """Return one word or several, in lower case."""
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return {word.lower() for word in values if isinstance(word, str)}


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()
