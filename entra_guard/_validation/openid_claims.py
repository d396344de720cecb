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
from entra_guard._validation.openid_evidence import (
    CLIENT_CLAIMS,
    is_b2c_app,
    is_known_app,
    is_text,
    lack_of_evidence,
    mark_of_other_token,
    permits_something,
)
from entra_guard.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ClaimPath = tuple[str, ...]

_SCOPE_CLAIMS: Final = ("scp", "scope")


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
    def client_is_subject(self) -> bool:
        """Whether the client's id is read from 'sub', where a user's would be too."""
        return self.rules.client == ("sub",)

    @property
    def is_app(self) -> bool | None:
        """Whether an application calls in its own name; None if the token does not say."""
        rule = self.rules.is_app
        if rule is None:
            return is_b2c_app(self) if self.rules.is_b2c else is_known_app(self)
        try:
            found = rule(self.raw)
        except Exception:  # noqa: BLE001  # a rule that fails has decided nothing
            return None
        return found if isinstance(found, bool) else None

    @property
    def permitting_scopes(self) -> tuple[str, ...]:
        """The scopes that permit something in an API: those of OpenID Connect itself do not."""
        return tuple(scope for scope in self.scopes if permits_something(scope))

    @property
    def is_guest(self) -> bool | None:
        """False for applications; None for users, as guests of a tenant are a notion of Entra."""
        return False if self.is_app else None

    @property
    def why_not_access_token(self) -> str:
        """What marks the token as something else than an access token, or what evidence it lacks; or ''."""
        return mark_of_other_token(self.raw) or lack_of_evidence(self)

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
    paths = (rules.client,) if rules.client else tuple((name,) for name in CLIENT_CLAIMS)
    for path in paths:
        value = _at(raw, path)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(path, "a string")
        if is_text(value):
            return value
    return ""


def _scopes(raw: Mapping[str, Any], rules: ClaimRules) -> tuple[str, ...]:
    """Return the scopes: a string is split at spaces (RFC 6749 section 3.3), an array is taken as it is."""
    paths = (rules.scopes,) if rules.scopes else tuple((name,) for name in _SCOPE_CLAIMS)
    for path in paths:
        value = _at(raw, path)
        scopes = tuple(value.split(" ")) if isinstance(value, str) else _strings(value, path)
        if found := tuple(scope for scope in scopes if is_text(scope)):
            return found
    return ()


def _roles(raw: Mapping[str, Any], rules: ClaimRules) -> tuple[str, ...]:
    """Return the roles: an array, or one role as a string (as .NET writes a claim with one value)."""
    value = _at(raw, rules.roles)
    roles = (value,) if isinstance(value, str) else _strings(value, rules.roles)
    return tuple(role for role in roles if is_text(role))


def _strings(value: object, path: ClaimPath) -> tuple[str, ...]:
    if value is None:
        return ()
    items = tuple(cast("list[object]", value)) if isinstance(value, list) else (None,)
    if not all(isinstance(item, str) for item in items):
        raise _wrong_type(path, "a string or an array of strings")
    return cast("tuple[str, ...]", items)


def _wrong_type(path: ClaimPath, expected: str) -> Exception:
    return refusal("invalid_claims", {"found": f"'{'.'.join(path)}' is not {expected}"})
